"""What users are promised when things go wrong. Each run reports how many promises it has checked."""

from __future__ import annotations

from enum import Enum


class Promise(Enum):
    """Each promise is marked on the tests that fail if it is broken: ``@pytest.mark.promise(Promise.STALE)``."""

    PROMPT = "/metrics answers 200 within milliseconds, whatever the cloud does"
    UNASKED = "a scrape never triggers a request to the cloud"
    AT_ONCE = "an answer counts from the moment it arrives, even while its cycle is running"
    ONCE = "every user counts once, with the last good answer"
    LASTING = "a user's last good answer counts until it is older than stale_after"
    STALE = "then the user leaves every count, and poll_coverage_ratio drops; a reduced rate never extends this time"
    ABSENT = "once no user is fresh, sessions... and user... are absent, never 0, and up is 0"
    MISSING = "a user unknown to the cloud counts in users_missing, has no sessions, and makes no cycle fail"
    RENEWED = "after a 401 credentials are renewed once and the request is repeated"
    PAUSED = "rejected again, the project pauses its requests for growing periods, so that no key is locked"
    RESUMED = "it recovers by itself from rejected credentials"
    FORBIDDEN = "a 403 is final for the cycle"
    NAMED = "the log names the missing IAM action"
    RETRIED = "429, 5xx, timeouts and resets are retried within the cycle"
    JITTERED = "with jittered, growing pauses"
    RETRY_AFTER = "honouring Retry-After"
    SLOWED = "a 429 also slows that operation down for a while"
    INVALID = "a body that does not match the reference costs that one answer, and is counted as invalid_response"
    UNSTOPPED = "such a body never stops the process"
    BOUNDED = "no answer blocks the event loop for more than 50 ms or takes the process above 200 MiB"
    LANES = "trouble with one operation never affects another operation's numbers"
    APART = "trouble with one project never affects another project's numbers, even with shared credentials"
    PACED = "every request that leaves the process is paced and counted"
    DISCOVERED = "a failing, partial or suddenly empty discovery never empties the list of watched users"
    RELOAD = "a reload that fails for any reason changes nothing"
    SIGTERM = "SIGTERM stops the process within 5 seconds, with connections closed and exit code 0"
