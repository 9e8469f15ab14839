"""Polling cycles: every user polled, or every entry of a listing read, once. Plain data.

Durations are in seconds of the event loop's clock; wall times are in seconds since 1970.
"""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Cycle:
    """One cycle, running or finished."""

    total: int  # users to poll or entries to read, as far as known
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
    last_pass: float = 0.0
    """Seconds that the last cycle with an answer took without its pauses for throttling and retries."""
    last_ended: float | None = None  # wall time
    last_success: float | None = None  # wall time at which a cycle last ended without a failed request
    next_at: float | None = None  # wall time at which the next cycle begins

    @property
    def up(self) -> bool:
        """Whether the running cycle, or else the last finished one, got an answer."""
        return any(cycle.got_through for cycle in (self.current, self.last) if cycle)

    def finish(self, duration: float, pass_duration: float, ended: float) -> None:
        """End the running cycle at wall time ``ended``."""
        assert self.current
        if not self.current.failed:
            self.last_success = ended
        if self.current.answered:
            self.last_pass = pass_duration
        self.last, self.last_duration, self.last_ended, self.current = self.current, duration, ended, None
