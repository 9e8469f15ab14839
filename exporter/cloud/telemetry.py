"""Counters of a project's requests to the cloud."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

LATENCY_BUCKETS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 10.0, 30.0)
"""Upper bounds in seconds. One more bucket holds everything above."""


@dataclass(slots=True)
class Latencies:
    """A histogram: the number of requests per bucket, not cumulated, and their total duration in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS) + 1))
    seconds: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one request."""
        self.counts[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        self.seconds += seconds


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
