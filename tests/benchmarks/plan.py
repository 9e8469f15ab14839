"""How much is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Tell = Callable[[str], None]
"""Says how far a benchmark is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The sizes of a run."""

    users: tuple[int, ...] = (200, 1_000, 10_000, 100_000)
    fleets: tuple[int, ...] = (150, 10_000, 100_000)
    """For the benchmarks of session starts and of the detection of failures."""
    samples: tuple[int, ...] = (1_000, 10_000, 100_000)
    rounds: int = 7
    """Number of rounds in which alternatives take turns."""
    calls: int = 800
    """By each alternative in a round."""
    changes_for: float = 1_800.0
    """Seconds of the simulated clock, at least, in which sessions fail."""
    days: float = 7.0
    """Hours of the simulated clock in which sessions start."""
    detected_for: float = 300.0
    """Seconds in which failures are detected."""
    scrapes: int = 600
    """In a turn, at most."""
    turns: int = 3
    """Samples of the exporters that are scraped."""
    starts: int = 9
    seconds: float = 10.0
    """Seconds of each turn, and of each look at a running process."""
    doubled: tuple[int, ...] = (5_000, 10_000, 20_000)
    """Sizes, each twice the one before."""


QUICK = Plan(
    users=(200, 1_000),
    fleets=(150,),
    samples=(1_000, 10_000),
    days=0.5,
    detected_for=90.0,
    rounds=3,
    calls=200,
    scrapes=50,
    turns=2,
    starts=3,
    seconds=3.0,
    doubled=(500, 1_000),
)
