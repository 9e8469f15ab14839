"""Simulated time, and how it lies on the clock.

Simulated time is in seconds: 0 is a Monday's midnight, and every simulation starts at `START`.
"""

from dataclasses import dataclass

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START_DAY = 8
START = START_DAY * DAY + 10.5 * HOUR
"""A Tuesday at half past ten, when most are at work."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """`start` in seconds of the clock, `speed` in simulated seconds per second; at 0 the simulation stands still."""

    start: float
    speed: float

    def simulated(self, clock: float) -> float:
        """The simulated time at a time of the clock."""
        return START + (clock - self.start) * self.speed

    def clock(self, simulated: float) -> float:
        """When the clock shows a simulated time; at speed 0 the past is told as if at speed 1."""
        return self.start + (simulated - START) / (self.speed or 1.0)
