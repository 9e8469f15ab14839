"""Polling cycles, each user polled or each entry of a listing read once, and what fails in them.

Durations are in seconds of the event loop's clock; wall times are in seconds since 1970.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from exporter.cloud.client import IAM_ACTIONS
from exporter.cloud.errors import CloudError, Forbidden

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Cycle:
    """One cycle, running or finished."""

    total: int  # users to poll or entries to read; grows as they become known
    started: float  # wall time
    entries: str = "users"  # what is polled or read
    answered: int = 0  # users with an answer, even if it says that the user is unknown; or entries read
    failed: Counter[str] = field(default_factory=Counter)  # users or entries without an answer, by outcome

    @property
    def done(self) -> int:
        """Users or entries that need no further request."""
        return self.answered + self.failed.total()

    @property
    def got_through(self) -> bool:
        """Whether the cloud answered at all, or there was nothing to request."""
        return self.answered > 0 or (self.total == 0 and not self.failed)


@dataclass(slots=True)
class Cycles:
    """The cycles of one operation so far."""

    current: Cycle | None = None
    last: Cycle | None = None  # the last finished one
    last_duration: float | None = None
    last_pass: float = 0.0  # seconds that the last cycle with an answer took, without its pauses
    last_ended: float | None = None  # wall time
    last_success: float | None = None  # wall time at which a cycle last ended without a failed request
    complete_since: float | None = None  # wall time at which that cycle began
    next_at: float | None = None  # wall time at which the next cycle begins

    @property
    def up(self) -> bool:
        """Whether the running cycle, or else the last finished one, got an answer."""
        return any(cycle.got_through for cycle in (self.current, self.last) if cycle)

    def finish(self, duration: float, pass_duration: float, ended: float) -> None:
        """End the running cycle at wall time ``ended``."""
        assert self.current
        if not self.current.failed:
            self.last_success, self.complete_since = ended, self.current.started
        if self.current.answered:
            self.last_pass = pass_duration
        self.last, self.last_duration, self.last_ended, self.current = self.current, duration, ended, None


@dataclass(frozen=True, slots=True)
class Failure:
    """A kind of failure that has not ended."""

    error: CloudError  # the first of its kind
    since: float  # wall time


class FailureLog:
    """One line when a kind of failure begins and one when it ends, for the cycles of one operation.

    ``now`` returns the wall clock, in seconds since 1970. ``facts`` are added to each line.
    """

    def __init__(self, project: str, operation: str, now: Callable[[], float], **facts: str) -> None:
        self._log = _logger.bind(project=project, operation=operation, **facts)
        self._now = now
        self._failures: dict[tuple[str, str], Failure] = {}  # current kinds of failure, by operation and outcome
        self._seen: set[tuple[str, str]] = set()  # those of the running cycle

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What fails at present, in the order in which it began."""
        return tuple(self._failures.values())

    def failed(self, error: CloudError) -> None:
        """Note that a request of the running cycle failed, or one that it needed, such as for a token."""
        kind = (error.operation, error.outcome)
        self._seen.add(kind)
        if kind in self._failures:
            return
        self._failures[kind] = Failure(error.bare(), self._now())
        action = IAM_ACTIONS.get(error.operation) if isinstance(error, Forbidden) else None
        missing = {"missing_iam_action": action} if action else {}
        self._log.warning("requests_failing", **error.facts(), **missing)

    def paused(self, seconds: float, error: CloudError) -> None:
        """Note that no request is sent for so many seconds, because of this error about the credentials."""
        self._log.warning("requests_paused", seconds=seconds, reason=str(error))

    def finished(self, cycle: Cycle, duration: float) -> None:
        """Log what no longer fails after a cycle of so many seconds.

        An outcome that entries of the cycle failed with has not ended, even if no request was sent any more.
        """
        for kind in sorted(self._failures.keys() - self._seen):
            operation, outcome = kind
            if outcome in cycle.failed:
                continue
            self._log.info("requests_recovered", operation=operation, code=outcome)
            del self._failures[kind]
        self._seen = set()
        self._log.debug(
            "cycle_finished",
            **{cycle.entries: cycle.total},
            answered=cycle.answered,
            failed=cycle.failed.total(),
            seconds=round(duration, 3),
        )
