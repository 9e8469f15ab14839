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

MAIL_DOMAIN = "workspace.example"
PERSONAL_MARKS = ("198.51.100.", "203.0.113.", "02-00-5e-", "private-", "+49155500")
"""The marks of invented personal data: client IP, public IP, MAC, names and e-mail, phone."""


@lru_cache(200_000)
def account_times(seed: int, name: str, rank: int) -> tuple[float, float]:
    """Return the simulated times at which an account expires, infinity for never, and at which its locks begin."""
    rng = stream(seed, "account", name)
    later = math.inf if rng.random() < 0.2 else START + round(rng.uniform(5, 300)) * DAY  # noqa: PLR2004 - one in five
    expiry = {EXPIRED: START - 2 * DAY, EXPIRING: START + 45 * MINUTE}.get(rank % KINDS, later)
    return expiry, START - rng.uniform(0, LOCK_DURATION)


def user_detail(seed: int, name: str, rank: int, at: float, expires: int) -> UserDetail:
    """Return a user at a simulated time; `expires` is in wall-clock milliseconds, 0 means never."""
    rng = stream(seed, "person", name)
    expiry, first_lock = account_times(seed, name, rank)
    return UserDetail(
        description=UNSET if rng.random() < 0.5 else f"private-note about {name}",  # noqa: PLR2004 - one in two
        id=identifier(seed, "user", name),
        user_name=name,
        user_email=f"private-{name}@{MAIL_DOMAIN}",
        user_phone=f"+49155500{rng.randrange(10**5):05d}" if rng.random() < 0.8 else None,  # noqa: PLR2004 - most
        active_type=rng.choice(("USER_ACTIVATE", "ADMIN_ACTIVATE")),
        object_sid=dashed_identifier(seed, "sid", name),
        sam_account_name=name,
        user_principal_name=f"{name}@{MAIL_DOMAIN}",
        full_name=f"private-full-name {name}",
        distinguished_name=f"CN={name},CN=Users,DC=workspace,DC=example",
        account_type=0,
        when_created=utc(1_700_000_000 + rng.randrange(10**7), "%Y-%m-%dT%H:%M:%S.000Z"),
        account_expires=expires,
        is_pre_user=False,
        user_expired=at >= expiry,
        locked=rank % KINDS == LOCKED and (at - first_lock) % LOCK_INTERVAL < LOCK_DURATION,
        enabled_change_password=True,
        password_never_expired=rng.random() < 0.1,  # noqa: PLR2004 - a few
        next_login_change_password=False,
        disabled=rank % KINDS == DISABLED,
        group_names=["DomainUsers", *rng.sample(("Finance", "Engineering", "Sales"), 1)],
        total_desktops=rng.randrange(3),
    )
