"""Counters of a project's requests to the cloud."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

LATENCY_BUCKETS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 10.0, 30.0)
"""Upper bounds in seconds."""


@dataclass(slots=True)
class Latencies:
    """A histogram of durations: how many are in each bucket, not cumulated, and their total in seconds."""

    bounds: tuple[float, ...] = LATENCY_BUCKETS  # upper bounds of the buckets; one more holds everything above
    counts: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds

    def copy(self) -> "Latencies":
        """Return a copy that no longer changes."""
        return Latencies(self.bounds, self.counts.copy(), self.seconds)


@dataclass(slots=True)
class Telemetry:
    """All HTTP requests of one project since the start."""

    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)  # by operation and outcome
    latencies: dict[str, Latencies] = field(default_factory=dict)  # by operation, for requests with a complete answer
    texts_cut: int = 0  # texts of sessions that were cut to `MAX_CHARACTERS`
    clock_skew: float | None = None  # cloud minus exporter clock, in seconds; None before the first answer

    def attempted(self, operation: str, outcome: str) -> None:
        """Count one request."""
        self.attempts[operation, outcome] += 1

    def answered(self, operation: str, seconds: float) -> None:
        """Count the time to one complete answer."""
        if (latencies := self.latencies.get(operation)) is None:
            latencies = self.latencies[operation] = Latencies()
        latencies.observe(seconds)
