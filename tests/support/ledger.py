"""What the tests of a run have tried, for the figures at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

IN_TIME = 1.0
"""Seconds within which a scrape is answered even on a busy machine."""

_SERVER_ERRORS = 500


@dataclass
class Ledger:
    """Counts of one run, noted where things happen."""

    faults: Counter[str] = field(default_factory=Counter)
    """Faulty answers that a server gave, by kind."""
    bad_inputs: int = 0
    """Malformed inputs that were handed to something that must refuse or survive them."""
    scrapes: int = 0
    lost: int = 0
    """Scrapes that were answered not at all, or with an error of the server."""
    late: int = 0
    """Scrapes that took long, which is the machine's doing as a rule."""

    def scraped(self, status: int | None, seconds: float) -> None:
        """Note one scrape with its status, None where there was no answer."""
        self.scrapes += 1
        self.lost += status is None or status >= _SERVER_ERRORS
        self.late += seconds >= IN_TIME

    def as_plain(self) -> dict[str, Any]:
        """Return the counts as what a process can send to another."""
        return {**vars(self), "faults": dict(self.faults)}

    def add(self, counts: dict[str, Any]) -> None:
        """Add the counts of another process."""
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + (Counter(count) if name == "faults" else count))


LEDGER = Ledger()
