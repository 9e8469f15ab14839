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
    group: int = 0


@dataclass(frozen=True, slots=True)
class Script:
    """An incident at the first server group, `at` simulated seconds after the start, for `duration` of them."""

    at: float
    duration: float = 15 * MINUTE
    ratio: float = 0.9


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

    `rank` is a random order of all users, `home` is the usual server group. `joins` and `leaves` are the numbers of the
    changes by which the user joins and leaves.
    """

    key: str
    name: str
    domain: str
    rank: int
    home: int
    joins: int
    leaves: int

    def exists(self, changes: int) -> bool:
        """Return whether the user exists after so many changes."""
        return self.joins <= changes < self.leaves


@lru_cache(200_000)
def account_times(seed: int, worker: Worker) -> tuple[float, float]:
    """Return the simulated times at which an account expires, infinity for never, and at which its locks begin."""
    rng = stream(seed, "account", worker.key)
    later = math.inf if rng.random() < 0.2 else START + round(rng.uniform(5, 300)) * DAY  # noqa: PLR2004 - one in five
    expiry = {EXPIRED: START - 2 * DAY, EXPIRING: START + 45 * MINUTE}.get(worker.rank % KINDS, later)
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
        next_login_change_password=False,
        total_desktops=rng.randrange(3),
    )


def user_detail(seed: int, worker: Worker, at: float, timeline: Timeline) -> UserDetail:
    """Return a user at a simulated time."""
    expiry, first_lock = account_times(seed, worker)
    return replace(
        lasting_user(seed, worker),
        account_expires=0 if math.isinf(expiry) else int(timeline.clock(expiry)) * 1000,
        user_expired=at >= expiry,
        locked=worker.rank % KINDS == LOCKED and (at - first_lock) % LOCK_INTERVAL < LOCK_DURATION,
    )
