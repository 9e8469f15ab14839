"""What the tests of a run have tried, for the figures at its end."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

IN_TIME = 1.0
"""Seconds within which a scrape is answered even on a busy machine."""

_SERVER_ERRORS = 500


def undisturbed() -> float:
    """Seconds of a clock that stops while this thread waits for a processor that others use."""
    waited = 0
    with suppress(OSError):  # only Linux tells
        waited = int(Path("/proc/thread-self/schedstat").read_text().split()[1])  # in nanoseconds
    return time.perf_counter() - waited / 1e9


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
    """Scrapes that took long."""

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
