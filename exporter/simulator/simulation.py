"""The rules of the simulation: repeatable randomness, simulated time and incidents.

Simulated time is in seconds: 0 is midnight of a Monday, and every simulation starts at `START`.
"""

import random
import uuid
from dataclasses import dataclass
from functools import lru_cache

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START_DAY = 8
START = START_DAY * DAY + 10.5 * HOUR  # a Tuesday at half past ten, when most users are at work
RANDOM_INCIDENT_RATIO = 0.3  # of days


def stream(*key: str | int) -> random.Random:
    """Return a generator that depends only on the key, so that one random decision never changes another."""
    return random.Random("/".join(map(str, key)))  # noqa: S311 - a simulation needs no secure randomness


def identifier(*key: str | int) -> str:
    """Return 32 hexadecimal digits, the form of most ids of the cloud."""
    return f"{stream(*key).getrandbits(128):032x}"


def dashed_identifier(*key: str | int) -> str:
    """Return a UUID, the form of a server group's id."""
    return str(uuid.UUID(hex=identifier(*key)))


@dataclass(frozen=True, slots=True)
class Timeline:
    """The relation of two times: `start` in wall-clock seconds, `speed` in simulated seconds per second, 0 = frozen."""

    start: float
    speed: float

    def simulated(self, clock: float) -> float:
        """Return the simulated time at a wall-clock time."""
        return START + (clock - self.start) * self.speed

    def clock(self, simulated: float) -> float:
        """Return the wall-clock time of a simulated time; a frozen simulation dates its past as at speed 1."""
        return self.start + (simulated - START) / (self.speed or 1.0)


@dataclass(frozen=True, slots=True)
class Incident:
    """A time in which `ratio` of the session starts at one server group fail."""

    begin: float
    duration: float
    ratio: float
    group: int

    def affects(self, group: int, at: float) -> bool:
        """Return whether it affects a session start at this group and time."""
        return group == self.group and self.begin <= at < self.begin + self.duration


@dataclass(frozen=True, slots=True)
class Script:
    """An incident on demand, `at` simulated seconds after the start, for `duration` simulated seconds."""

    at: float
    duration: float = 15 * MINUTE
    ratio: float = 0.9

    def incident(self) -> Incident:
        """Return the incident, which affects the first server group."""
        return Incident(START + self.at, self.duration, self.ratio, group=0)


@lru_cache(128)
def random_incidents(seed: int, day: int, groups: int) -> tuple[Incident, ...]:
    """Return the random incidents of a day: none on most days, never more than one."""
    rng = stream(seed, "incident", day)
    if rng.random() >= RANDOM_INCIDENT_RATIO:
        return ()
    begin = day * DAY + rng.uniform(8, 16) * HOUR
    return (Incident(begin, rng.uniform(10, 40) * MINUTE, rng.uniform(0.8, 0.95), rng.randrange(groups)),)
