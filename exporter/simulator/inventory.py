"""The users and the servers that exist, with their state and software versions at a simulated time.

Personal data is invented and recognisable: every such value contains one of `PERSONAL_MARKS`, so that a test can
prove that none of it leaks.
"""

from dataclasses import dataclass
from functools import lru_cache

from msgspec import UNSET

from exporter.simulator.schema import UserDetail, utc
from exporter.simulator.simulation import DAY, HOUR, MINUTE, START, dashed_identifier, identifier, stream

MACHINES_PER_GROUP = 5
LOCK_INTERVAL = 120 * MINUTE
LOCK_DURATION = 40 * MINUTE
KINDS = 25  # one user in 25, by rank, has each of the following account states
LOCKED, EXPIRED, DISABLED, EXPIRING = 5, 6, 7, 8

MAIL_DOMAIN = "workspace.example"
PERSONAL_MARKS = ("198.51.100.", "203.0.113.", "02-00-5e-", "private-", "+49155500")
"""The marks of invented personal data: client IP, public IP, MAC, names and e-mail, phone."""
CLIENT_TYPES = ("Windows 10 Enterprise", "Windows 11 Pro", "macOS 14.5", "UOS 20")


@dataclass(frozen=True, slots=True)
class ServerGroup:
    """An app server group, and the app group that it serves."""

    id: str
    name: str
    app_group_id: str


@lru_cache(1024)
def server_group(seed: int, number: int) -> ServerGroup:
    """Return the server group with this number."""
    return ServerGroup(
        id=dashed_identifier(seed, "group", number),
        name=f"server-group-{number + 1}",
        app_group_id=str(stream(seed, "app-group", number).randrange(10**17, 10**18)),
    )


@dataclass(frozen=True, slots=True)
class Machine:
    """An app server; `share` in [0, 1) is its position in a rollout."""

    name: str
    sid: str
    ip: str
    share: float


@lru_cache(1024)
def machine(seed: int, group: int, number: int) -> Machine:
    """Return a machine of a server group."""
    rng = stream(seed, "machine", group, number)
    name = "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=10))
    domain = "-".join(str(rng.randrange(10**8, 2 * 10**9)) for _ in range(3))
    return Machine(
        name=f"APS-{name}",
        sid=f"S-1-5-21-{domain}-{rng.randrange(1000, 9999)}",
        ip=f"172.16.{group % 250}.{number + 10}",
        share=rng.random(),
    )


@dataclass(frozen=True, slots=True)
class Rollout:
    """A new release every `period` seconds from `begin` on, each spread over `duration` seconds."""

    begin: float
    duration: float = 12 * HOUR
    period: float = 7 * DAY

    def release(self, share: float, at: float) -> int:
        """Return the number of the release in use at a position in [0, 1) of the rollout."""
        latest, since = divmod(at - self.begin, self.period)
        return int(latest) if since >= share * self.duration else int(latest) - 1


CLIENT_ROLLOUT = Rollout(START - 4 * HOUR)
AGENT_ROLLOUT = Rollout(START - 6 * HOUR)


def client_fields(seed: int, name: str, at: float) -> dict[str, str]:
    """Return what a user's client reports about itself; most of it is personal."""
    rng = stream(seed, "device", name)
    release = CLIENT_ROLLOUT.release(stream(seed, "client", name).random(), at)
    return {
        "client_mac": "02-00-5e-" + "-".join(f"{rng.randrange(256):02x}" for _ in range(3)),
        "client_name": f"private-pc-{name}",
        "client_ip": f"198.51.100.{rng.randrange(1, 255)}",
        "public_ip": f"203.0.113.{rng.randrange(1, 255)}",
        "client_type": rng.choice(CLIENT_TYPES),
        "client_version": f"24.{10 + release}.2.{12888 + 17 * release}",
    }


@dataclass(frozen=True, slots=True)
class UserAccount:
    """The facts about a user account that never change; times are simulated, None means never."""

    disabled: bool
    expires: float | None
    first_lock: float | None

    def locked(self, at: float) -> bool:
        """Return whether the account is locked."""
        return self.first_lock is not None and (at - self.first_lock) % LOCK_INTERVAL < LOCK_DURATION

    def expired(self, at: float) -> bool:
        """Return whether the account has expired."""
        return self.expires is not None and at >= self.expires


@lru_cache(200_000)
def user_account(seed: int, name: str, rank: int) -> UserAccount:
    """Return the account of a user; the rank decides whether it is locked, expired, disabled or about to expire."""
    rng = stream(seed, "account", name)
    kind = rank % KINDS
    expiry = {EXPIRED: START - 2 * DAY, EXPIRING: START + 45 * MINUTE}
    later = None if rng.random() < 0.2 else START + round(rng.uniform(5, 300)) * DAY  # noqa: PLR2004 - one in five never
    return UserAccount(
        disabled=kind == DISABLED,
        expires=expiry.get(kind, later),
        first_lock=START - rng.uniform(0, LOCK_DURATION) if kind == LOCKED else None,
    )


def user_id(seed: int, name: str) -> str:
    """Return the id of a user."""
    return identifier(seed, "user", name)


def user_detail(seed: int, name: str, account: UserAccount, at: float, expires: int) -> UserDetail:
    """Return a user at a simulated time; `expires` is in wall-clock milliseconds, 0 means never."""
    rng = stream(seed, "person", name)
    return UserDetail(
        description=UNSET if rng.random() < 0.5 else f"private-note about {name}",  # noqa: PLR2004 - one in two
        id=user_id(seed, name),
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
        user_expired=account.expired(at),
        locked=account.locked(at),
        enabled_change_password=True,
        password_never_expired=rng.random() < 0.1,  # noqa: PLR2004 - a few
        next_login_change_password=False,
        disabled=account.disabled,
        group_names=["DomainUsers", *rng.sample(("Finance", "Engineering", "Sales"), 1)],
        total_desktops=rng.randrange(3),
    )
