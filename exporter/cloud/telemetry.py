"""What a project's calls to the cloud looked like, as plain numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

LATENCY_BUCKETS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 10.0, 30.0)
"""Upper bounds in seconds; one more bucket holds all that took longer."""


@dataclass(slots=True)
class Latencies:
    """A histogram: how many calls fell into each bucket (not cumulated), and the seconds of all together."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS) + 1))
    seconds: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one call."""
        self.counts[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        self.seconds += seconds


@dataclass(slots=True)
class Telemetry:
    """Counts since the start of every HTTP attempt of one project."""

    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By operation and outcome: the status, or what went wrong instead of one."""
    latencies: dict[str, Latencies] = field(default_factory=dict)
    """By operation, of the attempts that brought a whole answer."""
    texts_cut: int = 0
    """Texts of sessions that were longer than what is kept of them."""
    clock_skew: float | None = None
    """The last answer's ``Date`` less our clock, in seconds; None before the first."""

    def attempted(self, operation: str, outcome: str) -> None:
        """Count one attempt."""
        self.attempts[operation, outcome] += 1

    def answered(self, operation: str, seconds: float) -> None:
        """Count the time to one whole answer."""
        if (latencies := self.latencies.get(operation)) is None:
            latencies = self.latencies[operation] = Latencies()
        latencies.observe(seconds)
