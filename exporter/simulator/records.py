"""From the model to the API's records: all the fields that the exporter has no use for are filled in here.

The personal data is invented and recognisable: every such value contains one of `PERSONAL_MARKS`, so that
a test can prove that none of it leaks.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

from msgspec import UNSET

from exporter.simulator.accounts import Account
from exporter.simulator.chance import dashed_identifier, identifier, stream
from exporter.simulator.day import NO_FAILURE, Course
from exporter.simulator.farm import machine, server_group
from exporter.simulator.rollout import Rollout
from exporter.simulator.schema import OPEN_END, SessionInfo, SessionState, UserDetail, iso_time, session_time
from exporter.simulator.timeline import DAY, HOUR, START

MAIL_DOMAIN = "workspace.example"
PERSONAL_MARKS = ("198.51.100.", "203.0.113.", "02-00-5e-", "private-", "+49155500")
"""What marks invented personal data: client IP, public IP, MAC, names and e-mail, phone."""

CLIENT_ROLLOUT = Rollout(begin=START - 4 * HOUR, duration=12 * HOUR, period=7 * DAY)
AGENT_ROLLOUT = Rollout(begin=START - 6 * HOUR, duration=12 * HOUR, period=7 * DAY)
CLIENT_TYPES = ("Windows 10 Enterprise", "Windows 11 Pro", "macOS 14.5", "UOS 20")
APPS = ("EXCEL", "WINWORD", "chrome", "sapgui", "explorer")
APPLICATION_RATIO = 0.7
"""The share of the sessions that stream applications; the others are shared desktops."""
REMEMBERED_SESSIONS = 200_000


def client_version(seed: int, name: str, at: float) -> str:
    """The version of a user's client at a simulated time."""
    release = CLIENT_ROLLOUT.release(stream(seed, "client", name).random(), at)
    return f"24.{10 + release}.2.{12888 + 17 * release}"


def agent_version(share: float, at: float) -> str:
    """The version of a machine's agent at a simulated time."""
    release = AGENT_ROLLOUT.release(share, at)
    return f"24.{8 + release}.0.{11461 + 29 * release}"


def client_fields(seed: int, name: str, at: float) -> dict[str, str]:
    """What the client tells about itself; nearly all of it is personal."""
    dice = stream(seed, "device", name)
    return {
        "client_mac": "02-00-5e-" + "-".join(f"{dice.randrange(256):02x}" for _ in range(3)),
        "client_name": f"private-pc-{name}",
        "client_ip": f"198.51.100.{dice.randrange(1, 255)}",
        "public_ip": f"203.0.113.{dice.randrange(1, 255)}",
        "client_type": dice.choice(CLIENT_TYPES),
        "client_version": client_version(seed, name, at),
    }


def session_id(seed: int, name: str, course: Course) -> str:
    """What tells a session from all others."""
    return identifier(seed, "session-id", name, course.key)


@lru_cache(REMEMBERED_SESSIONS)
def settled_fields(seed: int, name: str, course: Course) -> Mapping[str, str]:
    """What is settled about a session at log-in."""
    dice = stream(seed, "session", name, course.key)
    group, host = server_group(seed, course.group), machine(seed, course.group, course.machine)
    application = {"session_type": "2", "app_group_id": group.app_group_id, "app_name": ",".join(dice.sample(APPS, 2))}
    return {
        "id": session_id(seed, name, course),
        "session_stamp": f"{host.sid}-{name}@{MAIL_DOMAIN}-HDP-{course.key}",
        "protocol_type": dice.choice(("HDP", "Hdp")),
        "login_user": f"{name}@{MAIL_DOMAIN}",
        "tenant_id": identifier(seed, "tenant"),
        "app_server_group_id": group.id,
        "app_server_group_name": group.name,
        "machine_sid": host.sid,
        "machine_name": host.name,
        "vm_ip": host.ip,
        **(application if dice.random() < APPLICATION_RATIO else {"session_type": "1"}),
        **client_fields(seed, name, course.begin),
    }


def agent_fields(seed: int, course: Course, state: SessionState) -> Mapping[str, str | None]:
    """What the agent reports: nothing while the session begins, nulls where it never did."""
    if state is SessionState.APPC_INIT:
        return {}
    if state is SessionState.INIT_FAIL:
        return {"os_session_id": None, "agent_version": None}
    host = machine(seed, course.group, course.machine)
    return {"os_session_id": str(1 + int(course.begin) % 60), "agent_version": agent_version(host.share, course.begin)}


def session_info(seed: int, name: str, course: Course, at: float, clock: Callable[[float], float]) -> SessionInfo:
    """A session at a simulated time; `clock` turns such times into those of the clock."""
    since, state = course.step(at)
    over = state in (SessionState.SIGNED_OUT, SessionState.INIT_FAIL)
    failure = course.failure if state is SessionState.INIT_FAIL else NO_FAILURE
    begin = session_time(clock(course.begin))
    return SessionInfo(
        pre_conn_time=begin,
        start_time=begin,
        end_time=session_time(clock(since)) if over else OPEN_END,
        status_continue_time=str(int(clock(at) - clock(since))),
        session_state=state.value,
        failed_code=failure.code,
        failed_reason=failure.reason,
        last_update_status_time=session_time(clock(since)),
        **settled_fields(seed, name, course),
        **agent_fields(seed, course, state),
    )


def user_detail(seed: int, name: str, holder: Account, at: float, expires: int) -> UserDetail:
    """A user at a simulated time; `expires` in milliseconds of the clock, 0 = never."""
    dice = stream(seed, "person", name)
    return UserDetail(
        description=UNSET if dice.random() < 0.5 else f"private-note about {name}",  # noqa: PLR2004 - one in two
        id=identifier(seed, "user", name),
        user_name=name,
        user_email=f"private-{name}@{MAIL_DOMAIN}",
        user_phone=f"+49155500{dice.randrange(10**5):05d}" if dice.random() < 0.8 else None,  # noqa: PLR2004 - most
        active_type=dice.choice(("USER_ACTIVATE", "ADMIN_ACTIVATE")),
        object_sid=dashed_identifier(seed, "sid", name),
        sam_account_name=name,
        user_principal_name=f"{name}@{MAIL_DOMAIN}",
        full_name=f"private-full-name {name}",
        distinguished_name=f"CN={name},CN=Users,DC=workspace,DC=example",
        account_type=0,
        when_created=iso_time(1_700_000_000 + dice.randrange(10**7)),
        account_expires=expires,
        is_pre_user=False,
        user_expired=holder.expired(at),
        locked=holder.locked(at),
        enabled_change_password=True,
        password_never_expired=dice.random() < 0.1,  # noqa: PLR2004 - a few
        next_login_change_password=False,
        disabled=holder.disabled,
        group_names=["DomainUsers", *dice.sample(("Finance", "Engineering", "Sales"), 1)],
        total_desktops=dice.randrange(3),
    )
