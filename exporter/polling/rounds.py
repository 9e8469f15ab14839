"""Rounds: every user asked for, or every entry read, once; and how that went. Plain data.

Durations are of a steady clock; wall times are in seconds since 1970.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Round:
    """One round, under way or finished."""

    total: int
    """Users to ask for, or entries to read, as far as known."""
    started: float
    """Wall time."""
    entries: str = "users"
    """What is asked for or read."""
    answered: int = 0
    """Users that the cloud gave an answer about, that it does not know one being an answer too; or entries read."""
    failed: Counter[str] = field(default_factory=Counter)
    """Those without an answer, by what went wrong."""

    @property
    def asked(self) -> int:
        """Those done with."""
        return self.answered + self.failed.total()

    @property
    def got_through(self) -> bool:
        """Whether the cloud answered at all, or there was nothing to ask."""
        return self.answered > 0 or (self.total == 0 and not self.failed)


@dataclass(slots=True)
class Rounds:
    """The rounds of one operation."""

    current: Round | None = None
    last: Round | None = None
    """The last finished one."""
    last_duration: float | None = None
    last_ended: float | None = None
    """Wall time."""
    last_success: float | None = None
    """Wall time at which a round last ended without any failed call."""
    next_at: float | None = None
    """Wall time at which the next round is to begin."""

    @property
    def known(self) -> bool:
        """Whether the last round has brought any answer."""
        return self.last is not None and self.last.answered > 0

    @property
    def up(self) -> bool:
        """Whether the round under way, or else the last finished one, has got an answer."""
        return any(r.got_through for r in (self.current, self.last) if r)

    def finish(self, duration: float, ended: float) -> None:
        """The round under way ended at wall time ``ended`` after ``duration`` seconds."""
        assert self.current
        if not self.current.failed:
            self.last_success = ended
        self.last, self.last_duration, self.last_ended, self.current = self.current, duration, ended, None
