"""What the tests of a run have tried, for the figures at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

IN_TIME = 1.0
"""Seconds within which a scrape is answered even on a busy machine; otherwise it counts as lost."""


@dataclass
class Ledger:
    """Counts of one run, noted where things happen."""

    faults: Counter[str] = field(default_factory=Counter)
    """Faulty answers that a server gave, by kind."""
    bad_inputs: int = 0
    """Malformed inputs that were handed to something that must refuse or survive them."""
    scrapes: int = 0
    lost: int = 0
    """Scrapes that were answered too late, not at all, or with an error of the server."""

    def scraped(self, status: int | None, seconds: float) -> bool:
        """Note one scrape and its status, None where there was no answer; whether it was answered well."""
        well = status is not None and status < 500 and seconds < IN_TIME
        self.scrapes += 1
        self.lost += not well
        return well


LEDGER = Ledger()
