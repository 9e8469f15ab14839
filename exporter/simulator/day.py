"""One user's working day: the sessions of the day, each with all its states and when they begin.

A day depends on (seed, user, day) alone and is drawn whole, so that what a user does at a time never depends
on who asked when. Times are in simulated seconds.
"""

from dataclasses import dataclass
from functools import lru_cache
from random import Random

from exporter.simulator.chance import stream
from exporter.simulator.farm import MACHINES_PER_GROUP
from exporter.simulator.incidents import Incident
from exporter.simulator.schema import SUCCESS_CODE, SessionState
from exporter.simulator.timeline import DAY, HOUR, MINUTE, START, START_DAY

MOST_SESSIONS = 3
REMEMBERED_DAYS = 200_000
ATTENDANCE = (0.85, 0.85, 0.85, 0.85, 0.8, 0.12, 0.06)
"""The share of the users at work, Monday to Sunday."""

FAILURE_RATIO = 0.008
"""The share of log-ins that fail on a good day."""

STORM_RATIO = 0.3
"""The share of the users at work who log in to the server group of an incident while it lasts."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a session never began. The reference lists no codes for it: these have its form, not its words."""

    code: str
    reason: str


NO_FAILURE = Failure(SUCCESS_CODE, "success")
FAILURES = (
    Failure("WKS.00220001", "The server is not ready."),
    Failure("WKS.00220013", "Connection to the agent timed out."),
    Failure("WKS.00220105", "Failed to load the user profile."),
    Failure("WKS.00220207", "No server is available in the server group."),
)
Steps = tuple[tuple[float, SessionState], ...]


@dataclass(frozen=True, slots=True)
class Course:
    """A session from log-in to its last state: each state with the time it begins at.

    `key` tells the sessions of a user apart; `removed` is when it leaves the listing; `failure` is what it says
    once in InitFail.
    """

    key: str
    group: int
    machine: int
    steps: Steps
    removed: float
    failure: Failure = NO_FAILURE

    @property
    def begin(self) -> float:
        """The time of the log-in."""
        return self.steps[0][0]

    def listed(self, at: float) -> bool:
        """Whether the cloud knows the session at a time."""
        return self.begin <= at < self.removed

    def step(self, at: float) -> tuple[float, SessionState]:
        """Since when it is in the state of a time at which it is listed, and that state."""
        return next(step for step in reversed(self.steps) if step[0] <= at)


@dataclass(frozen=True, slots=True)
class Worker:
    """Who the day is drawn for; `rank` orders the users by chance, `home` is the usual server group."""

    name: str
    rank: int
    home: int


@lru_cache(REMEMBERED_DAYS)
def working_day(
    seed: int, worker: Worker, day: int, groups: int, incidents: tuple[Incident, ...]
) -> tuple[Course, ...]:
    """The sessions that a user begins on a day, at most three."""
    opening = opening_scene(worker) if day == START_DAY else None
    dice = stream(seed, "day", worker.name, day)
    courses = [] if opening is None else [opening]
    if opening is None and dice.random() < ATTENDANCE[day % 7]:
        for _ in range(dice.choice((1, 1, 2, 2, 2))):
            at = day * DAY + dice.triangular(6.5, 17, 8.75) * HOUR
            group = worker.home if dice.random() < 0.85 else dice.randrange(groups)  # noqa: PLR2004 - mostly at home
            courses.append(course(dice, f"{day}-{len(courses)}", group, at, incidents))
    for incident in incidents:
        if courses and len(courses) < MOST_SESSIONS and dice.random() < STORM_RATIO:
            at = dice.uniform(incident.begin, incident.end)
            courses.append(course(dice, f"{day}-{len(courses)}", incident.group, at, incidents))
    return tuple(courses)


def course(dice: Random, key: str, group: int, at: float, incidents: tuple[Incident, ...]) -> Course:
    """Draw one session that begins with a log-in at this time."""
    machine = dice.randrange(MACHINES_PER_GROUP)
    ready = at + dice.uniform(10, 60)
    ratio = max((incident.ratio for incident in incidents if incident.hits(group, at)), default=FAILURE_RATIO)
    if dice.random() < ratio:
        steps: Steps = ((at, SessionState.APPC_INIT), (ready, SessionState.INIT_FAIL))
        return Course(key, group, machine, steps, ready + dice.uniform(10, 20) * MINUTE, dice.choice(FAILURES))
    leave = ready + dice.uniform(0.5, 7.5) * HOUR
    steps = ((at, SessionState.APPC_INIT), *presence(dice, ready, leave), (leave, SessionState.SIGNED_OUT))
    return Course(key, group, machine, steps, leave + dice.uniform(5, 20) * MINUTE)


def presence(dice: Random, begin: float, end: float) -> Steps:
    """Active and Disconnected in turn, beginning with Active."""
    steps = [(begin, SessionState.ACTIVE)]
    at = begin + dice.uniform(10, 150) * MINUTE
    while at < end:
        steps.append((at, SessionState.DISCONNECTED))
        at += dice.uniform(1, 30) * MINUTE
        if at < end:
            steps.append((at, SessionState.ACTIVE))
            at += dice.uniform(10, 150) * MINUTE
    return tuple(steps)


def opening_scene(worker: Worker) -> Course | None:
    """The first five by rank open the simulation in one state each, so that even a frozen clock shows all five."""
    init, active, away, out, failed = SessionState
    minutes_ago: tuple[tuple[tuple[float, SessionState], ...], ...] = (
        ((95, init), (94, active)),
        ((80, init), (79, active), (5, away)),
        ((0.3, init), (-1, active)),
        ((70, init), (69, active), (2, out)),
        ((4.5, init), (4, failed)),
    )
    if worker.rank >= len(minutes_ago):
        return None
    scene = minutes_ago[worker.rank]
    steps = tuple((START - ago * MINUTE, state) for ago, state in scene)
    last = scene[-1][1]
    if last in (init, active, away):
        steps += ((START + 3 * HOUR, out),)
    removed = steps[-1][0] + 15 * MINUTE
    failure = FAILURES[0] if last is failed else NO_FAILURE
    return Course("opening", worker.home, worker.rank % MACHINES_PER_GROUP, steps, removed, failure)
