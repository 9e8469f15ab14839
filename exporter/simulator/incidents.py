"""Incidents: for a while most new sessions at one server group end in InitFail."""

from dataclasses import dataclass
from functools import lru_cache

from exporter.simulator.chance import stream
from exporter.simulator.timeline import DAY, HOUR, MINUTE

RANDOM_INCIDENT_CHANCE = 0.3
"""The share of days on which an incident happens by itself."""


@dataclass(frozen=True, slots=True)
class Incident:
    """From `begin`, for `duration` seconds, `ratio` of the log-ins at server group `group` fail."""

    begin: float
    duration: float
    ratio: float
    group: int

    @property
    def end(self) -> float:
        """When log-ins work again."""
        return self.begin + self.duration

    def hits(self, group: int, at: float) -> bool:
        """Whether a log-in at this group and time is exposed to it."""
        return group == self.group and self.begin <= at < self.end


@dataclass(frozen=True, slots=True)
class Script:
    """An incident on demand: it begins `at` simulated seconds after the start and lasts `duration`."""

    at: float
    duration: float = 15 * MINUTE
    ratio: float = 0.9


@lru_cache(128)
def incidents_of_day(seed: int, day: int, groups: int) -> tuple[Incident, ...]:
    """The incidents that begin on a day by chance: mostly none, never more than one."""
    dice = stream(seed, "incident", day)
    if dice.random() >= RANDOM_INCIDENT_CHANCE:
        return ()
    begin = day * DAY + dice.uniform(8, 16) * HOUR
    return (Incident(begin, dice.uniform(10, 40) * MINUTE, dice.uniform(0.8, 0.95), dice.randrange(groups)),)


def scripted(script: Script, start: float) -> Incident:
    """The scripted incident; it hits the first server group."""
    return Incident(start + script.at, script.duration, script.ratio, group=0)
