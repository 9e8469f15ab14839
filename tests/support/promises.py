"""What users are promised for the time when things go wrong; every run says how many promises it has proved."""

from __future__ import annotations

from enum import Enum


class Promise(Enum):
    """Each sentence is marked on the tests that fail where it is broken: ``@pytest.mark.promise(Promise.STALE)``."""

    PROMPT = "/metrics answers 200 in milliseconds, whatever the cloud does"
    UNASKED = "nothing is asked while a scrape waits"
    AT_ONCE = "an answer counts from the moment it arrives, also while its round goes on"
    ONCE = "every user counts once, with the last good answer"
    LASTING = "a user's last good answer counts until it is older than stale_after"
    STALE = "then the user drops out of every count and poll_coverage_ratio says so"
    ABSENT = "with nobody fresh left, sessions... and user... are absent, never 0, and up is 0"
    MISSING = "a user whom the cloud does not know counts in users_missing, has no sessions, and fails no round"
    RENEWED = "after a 401 credentials are renewed once and the call repeated"
    PAUSED = "refused again, or refused outright, the project pauses its calls, ever longer, so that no key gets locked"
    RESUMED = "from refused credentials a project recovers by itself"
    FORBIDDEN = "a 403 is final for the round"
    NAMED = "the log says which IAM action is missing"
    RETRIED = "429, 5xx, timeouts and resets are retried inside the round's budget"
    JITTERED = "with jittered, growing pauses"
    RETRY_AFTER = "honouring Retry-After"
    SLOWED = "a 429 also slows that operation down for a while"
    INVALID = "a body that is not what the reference says costs that one answer, and is counted invalid_response"
    UNSTOPPED = "such a body never stops the process"
    BOUNDED = "a body over 16 MiB is not read on"
    APART = "one project's trouble never touches another's numbers"
    SIGTERM = "SIGTERM stops it within 5 seconds, connections closed, exit 0"
