"""What is simulated besides sessions: repeatable randomness, time and incidents, and the users and servers that exist.

Simulated time is in seconds: 0 is midnight of a Monday, and every simulation starts at `START`. Personal data is
invented: every such value contains one of `PERSONAL_MARKS`, so that a test can prove that none of it leaks.
"""

import math
import random
import uuid
from dataclasses import dataclass
from functools import lru_cache

from msgspec import UNSET
from msgspec.structs import replace

from exporter.simulator.schema import UserDetail, utc

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START_DAY = 8
START = START_DAY * DAY + 10.5 * HOUR  # a Tuesday at half past ten, when most users are at work
RANDOM_INCIDENT_RATIO = 0.3  # of days
WORK_DAYS = 5  # of a week
OFFICE_BEGIN, OFFICE_TIME = 8 * HOUR, 9.5 * HOUR
NIGHT_TIME = HOUR / 2  # of a work day's time, how long a shortened night or weekend takes


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


class OfficeHours(Timeline):
    """A timeline on which every night or weekend passes like half an hour of a work day."""

    __slots__ = ()

    def simulated(self, clock: float) -> float:
        """Return the simulated time at a wall-clock time."""
        number, time = divmod(self._worked(START) + (clock - self.start) * self.speed, OFFICE_TIME + NIGHT_TIME)
        week, weekday = divmod(number, WORK_DAYS)
        if time > OFFICE_TIME:
            time = OFFICE_TIME + (time - OFFICE_TIME) / NIGHT_TIME * self._night(weekday)
        return (7 * week + weekday) * DAY + OFFICE_BEGIN + time

    def clock(self, simulated: float) -> float:
        """Return the wall-clock time of a simulated time."""
        return self.start + (self._worked(simulated) - self._worked(START)) / (self.speed or 1.0)

    def _worked(self, simulated: float) -> float:
        """Return the time since the first work day began, with shortened nights and weekends."""
        week, time = divmod(simulated - OFFICE_BEGIN, 7 * DAY)
        weekday = min(time // DAY, WORK_DAYS - 1)
        time -= weekday * DAY
        if time > OFFICE_TIME:
            time = OFFICE_TIME + (time - OFFICE_TIME) / self._night(weekday) * NIGHT_TIME
        return (WORK_DAYS * week + weekday) * (OFFICE_TIME + NIGHT_TIME) + time

    @staticmethod
    def _night(weekday: float) -> float:
        """Return how long the night after a work day is; the last one includes the weekend."""
        return (3 if weekday == WORK_DAYS - 1 else 1) * DAY - OFFICE_TIME


@dataclass(frozen=True, slots=True)
class Incident:
    """A time in which a server group has lost its servers, and `ratio` of the session starts there fail.

    The other session starts are served by the next group.
    """

    begin: float
    duration: float
    ratio: float
    group: int = 0

    @property
    def end(self) -> float:
        """The time from which the servers are back."""
        return self.begin + self.duration

    def at(self, time: float) -> bool:
        """Return whether it lasts at a time."""
        return self.begin <= time < self.end


@dataclass(frozen=True, slots=True)
class Script:
    """An incident at the first server group, `at` simulated seconds after the start, for `duration` of them.

    It repeats at the same time of all work days among the next ones, `days` in total, each time at the next group.
    """

    at: float
    duration: float = 15 * MINUTE
    ratio: float = 0.9
    days: int = 1


def scripted_incidents(script: Script, day: int, groups: int) -> tuple[Incident, ...]:
    """Return the incidents of a script that last on a day, or on part of it."""
    begin = START + script.at
    latest = day - int(begin // DAY)
    numbers = range(max(0, latest - 1 - int(script.duration // DAY)), min(latest + 1, script.days))
    incidents = [
        Incident(begin + number * DAY, script.duration, script.ratio, number % groups)
        for number in numbers
        if number == 0 or (begin // DAY + number) % 7 < WORK_DAYS
    ]
    return tuple(incident for incident in incidents if incident.end > day * DAY)


@lru_cache(128)
def random_incidents(seed: int, day: int, groups: int) -> tuple[Incident, ...]:
    """Return the random incidents of a day: none on most days, never more than one."""
    rng = stream(seed, "incident", day)
    if rng.random() >= RANDOM_INCIDENT_RATIO:
        return ()
    begin = day * DAY + rng.uniform(8, 16) * HOUR
    return (Incident(begin, rng.uniform(10, 40) * MINUTE, rng.uniform(0.8, 0.95), rng.randrange(groups)),)


LOCK_INTERVAL = 120 * MINUTE
LOCK_DURATION = 40 * MINUTE
KINDS = 25  # one user in 25, by rank, has each of the following account states
LOCKED, EXPIRED, DISABLED, EXPIRING = 5, 6, 7, 8

DOMAIN, SECOND_DOMAIN = "workspace.example", "partners.example"
GROUPS = ("Finance", "Engineering", "Sales")
PLATFORMS = (*["AD"] * 9, "LOCAL", "UOS")
ACTIVE_TYPES = ("USER_ACTIVATE", "ADMIN_ACTIVATE")
PERSONAL_MARKS = ("198.51.100.", "203.0.113.", "02-00-5e-", "private-", "+49155500")
"""The marks of invented personal data: client IP, public IP, MAC, names and e-mail, phone."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A user; everything random about the user depends on `key`, which no other user has.

    `rank` is a random order of all users, `home` is the usual server group. The user exists from `joins` to `leaves`.
    """

    key: str
    name: str
    domain: str
    rank: int
    home: int
    joins: float
    leaves: float

    def exists(self, at: float) -> bool:
        """Return whether the user exists at a time."""
        return self.joins <= at < self.leaves


@lru_cache(200_000)
def account_times(seed: int, worker: Worker, timeline: Timeline) -> tuple[float, float]:
    """Return the wall-clock time at which an account expires, infinity for never, and when its locks begin (simulated).

    Whatever the speed, most accounts expire in days and months of the wall clock.
    """
    rng = stream(seed, "account", worker.key)
    days = math.inf if rng.random() < 0.2 else round(rng.uniform(5, 300))  # noqa: PLR2004 - one in five
    expiry = {
        EXPIRED: timeline.start - 2 * DAY,
        EXPIRING: timeline.clock(START + 45 * MINUTE),
    }.get(worker.rank % KINDS, timeline.start + days * DAY)
    return expiry, START - rng.uniform(0, LOCK_DURATION)


def listed_user(seed: int, worker: Worker) -> UserDetail:
    """Return the fields by which ListUsers filters. They depend on the rank alone, because all users need them."""
    name, rank = worker.name, worker.rank
    return UserDetail(
        id=identifier(seed, "user", worker.key),
        user_name=name,
        description=f"private-note about {name}" if rank // 2 % 2 else UNSET,
        active_type=ACTIVE_TYPES[rank % 2],
        disabled=rank % KINDS == DISABLED,
        group_names=["DomainUsers", GROUPS[rank % len(GROUPS)]],
        domain=worker.domain,
        enterprise_project_id=_enterprise_project(seed) if rank % 7 > 4 else "0",  # noqa: PLR2004 - two in seven
        platform_type=PLATFORMS[rank % len(PLATFORMS)],
    )


@lru_cache
def _enterprise_project(seed: int) -> str:
    return dashed_identifier(seed, "enterprise-project")


@lru_cache(200_000)
def lasting_user(seed: int, worker: Worker) -> UserDetail:
    """Return all fields that do not change with time."""
    name, principal = worker.name, f"{worker.name}@{worker.domain}"
    components = ",".join(f"DC={part}" for part in worker.domain.split("."))
    rng = stream(seed, "person", worker.key)
    return replace(
        listed_user(seed, worker),
        user_email=f"private-{principal}",
        user_phone=f"+49155500{rng.randrange(10**5):05d}" if rng.random() < 0.8 else None,  # noqa: PLR2004 - most
        object_sid=dashed_identifier(seed, "sid", worker.key),
        sam_account_name=name,
        user_principal_name=principal,
        full_name=f"private-full-name {name}",
        distinguished_name=f"CN={name},CN=Users,{components}",
        account_type=0,
        when_created=utc(1_700_000_000 + rng.randrange(10**7), "%Y-%m-%dT%H:%M:%S.000Z"),
        is_pre_user=False,
        enabled_change_password=True,
        password_never_expired=rng.random() < 0.1,  # noqa: PLR2004 - a few
        total_desktops=rng.randrange(3),
        next_login_change_password=rng.random() < 0.05,  # noqa: PLR2004 - very few
    )


def user_detail(seed: int, worker: Worker, at: float, timeline: Timeline) -> UserDetail:
    """Return a user at a simulated time."""
    expiry, first_lock = account_times(seed, worker, timeline)
    return replace(
        lasting_user(seed, worker),
        account_expires=0 if math.isinf(expiry) else int(expiry) * 1000,
        user_expired=timeline.clock(at) >= expiry,
        locked=worker.rank % KINDS == LOCKED and (at - first_lock) % LOCK_INTERVAL < LOCK_DURATION,
    )
