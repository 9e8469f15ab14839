"""The sessions of one user and day: when each starts, changes its state and ends, and the record of it at a time.

Seed, user and day alone decide a day, so that the result never depends on earlier queries. Times are simulated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from exporter.simulator.schema import OPEN_END, SUCCESS_CODE, SessionInfo, SessionState, session_time
from exporter.simulator.servers import SERVERS_PER_GROUP, Machine, group_fields, machine_fields, servers_in_service
from exporter.simulator.simulation import (
    DAY,
    HOUR,
    MINUTE,
    START,
    START_DAY,
    Incident,
    Timeline,
    Worker,
    identifier,
    stream,
)

MOST_SESSIONS = 3
CACHE_SIZE = 200_000
ATTENDANCE = (0.85, 0.85, 0.85, 0.85, 0.8, 0.12, 0.06)  # of users, Monday to Sunday
FAILURE_RATIO = 0.008  # of session starts outside of incidents
INCIDENT_START_RATIO = 0.3  # of users at work start another session at the affected server group during an incident
APPLICATION_RATIO = 0.7  # of sessions stream applications, the others are shared desktops
CLIENT_TYPES = ("Windows 10 Enterprise", "Windows 11 Pro", "macOS 14.5", "UOS 20")
APPS = ("EXCEL", "WINWORD", "chrome", "sapgui", "explorer")
NO_FAILURE = (SUCCESS_CODE, "success")
NO_SERVER = ("WKS.00220207", "No server is available in the server group.")
FAILURES = (
    ("WKS.00220001", "The server is not ready."),
    ("WKS.00220013", "Connection to the agent timed out."),
    ("WKS.00220105", "Failed to load the user profile."),
    NO_SERVER,
)
"""Codes and reasons of failed session starts. The reference documents none: these only have the right form."""
Steps = tuple[tuple[float, SessionState], ...]


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


@dataclass(frozen=True, slots=True)
class PlannedSession:
    """A session with all its states and the time at which each begins.

    `group` is the server group that the user chose. If it had no servers, `machine` is in the next group.
    """

    key: str  # unique among the sessions of a user
    group: int
    machine: Machine
    steps: Steps
    removed: float  # when the cloud stops listing it
    failure: tuple[str, str] = NO_FAILURE

    @property
    def begin(self) -> float:
        """The time of the session start."""
        return self.steps[0][0]

    def listed(self, at: float) -> bool:
        """Return whether the cloud lists the session."""
        return self.begin <= at < self.removed

    def step(self, at: float) -> tuple[float, SessionState]:
        """Return the state at a time at which the session is listed, preceded by the time at which it began."""
        return next(step for step in reversed(self.steps) if step[0] <= at)


@lru_cache(CACHE_SIZE)
def sessions_of_day(
    seed: int, worker: Worker, day: int, groups: int, incidents: tuple[Incident, ...]
) -> tuple[PlannedSession, ...]:
    """Return the sessions that a user starts on a day, at most three."""
    rng = stream(seed, "day", worker.key, day)
    sessions = initial_sessions(worker) if day == START_DAY else []
    if not sessions and rng.random() < ATTENDANCE[day % 7]:
        for _ in range(rng.choice((1, 1, 2, 2, 2))):
            at = day * DAY + rng.triangular(6.5, 17, 8.75) * HOUR
            group = worker.home if rng.random() < 0.85 else rng.randrange(groups)  # noqa: PLR2004 - mostly at home
            sessions.append(
                planned_session(rng, f"{day}-{len(sessions)}", group, at, groups=groups, incidents=incidents)
            )
    for incident in incidents:
        if sessions and len(sessions) < MOST_SESSIONS and rng.random() < INCIDENT_START_RATIO:
            at = rng.uniform(max(incident.begin, day * DAY), min(incident.end, (day + 1) * DAY))
            sessions.append(
                planned_session(rng, f"{day}-{len(sessions)}", incident.group, at, groups=groups, incidents=incidents)
            )
    return tuple(sessions)


def planned_session(  # noqa: PLR0913 - what decides a session
    rng: Random, key: str, group: int, at: float, *, groups: int, incidents: tuple[Incident, ...]
) -> PlannedSession:
    """Return a random session that a user starts at a server group at this time."""
    machine = Machine(group, rng.randrange(servers_in_service(group)))
    ready = at + rng.uniform(10, 60)
    affected = [each for each in incidents if each.group == group and at < each.end and each.begin <= ready]
    if rng.random() < max((incident.ratio for incident in affected), default=FAILURE_RATIO):
        steps: Steps = ((at, SessionState.APPC_INIT), (ready, SessionState.INIT_FAIL))
        removed = ready + rng.uniform(10, 20) * MINUTE
        return PlannedSession(key, group, machine, steps, removed, NO_SERVER if affected else rng.choice(FAILURES))
    if affected:
        backup = (group + 1) % groups
        machine = Machine(backup, rng.randrange(servers_in_service(backup)))
    leave = ready + rng.uniform(0.5, 7.5) * HOUR
    outages = [incident for incident in incidents if incident.group == machine.group and ready < incident.begin < leave]
    steps = ((at, SessionState.APPC_INIT), *connected(rng, ready, leave, outages), (leave, SessionState.SIGNED_OUT))
    return PlannedSession(key, group, machine, steps, leave + rng.uniform(5, 20) * MINUTE)


def connected(rng: Random, begin: float, end: float, outages: Sequence[Incident]) -> Steps:
    """Return the states of a session from its first connection on, Disconnected while its server is lost."""
    steps: Steps = ()
    for outage in outages:
        if outage.begin <= begin:
            continue
        steps += connections(rng, begin, outage.begin)
        if steps[-1][1] is SessionState.ACTIVE:
            steps += ((outage.begin, SessionState.DISCONNECTED),)
        begin = outage.end + rng.uniform(5, 120)
    return steps + connections(rng, begin, end) if begin < end else steps


def connections(rng: Random, begin: float, end: float) -> Steps:
    """Return alternating states, beginning with Active, then Disconnected."""
    steps = [(begin, SessionState.ACTIVE)]
    at = begin + rng.uniform(10, 150) * MINUTE
    while at < end:
        steps.append((at, SessionState.DISCONNECTED))
        at += rng.uniform(1, 30) * MINUTE
        if at < end:
            steps.append((at, SessionState.ACTIVE))
            at += rng.uniform(10, 150) * MINUTE
    return tuple(steps)


def initial_sessions(worker: Worker) -> list[PlannedSession]:
    """Return one session for each of the first five users by rank, so that even a frozen simulation has all states."""
    init, active, away, out, failed = SessionState
    minutes_ago: list[list[tuple[float, SessionState]]] = [
        [(95, init), (94, active), (-180, out)],
        [(80, init), (79, active), (5, away), (-180, out)],
        [(0.3, init), (-1, active), (-180, out)],
        [(70, init), (69, active), (2, out)],
        [(4.5, init), (4, failed)],
    ]
    if worker.rank >= len(minutes_ago):
        return []
    steps = tuple((START - ago * MINUTE, state) for ago, state in minutes_ago[worker.rank])
    machine = Machine(worker.home, worker.rank % servers_in_service(worker.home))
    return [PlannedSession("opening", worker.home, machine, steps, steps[-1][0] + 15 * MINUTE, FAILURES[0])]


def session_id(seed: int, worker: Worker, session: PlannedSession) -> str:
    """Return the id of a session."""
    return identifier(seed, "session-id", worker.key, session.key)


@lru_cache(CACHE_SIZE)
def constant_fields(seed: int, worker: Worker, session: PlannedSession) -> Mapping[str, str]:
    """Return the fields that are known at the session start and never change."""
    rng, device = stream(seed, "session", worker.key, session.key), stream(seed, "device", worker.key)
    release = CLIENT_ROLLOUT.release(stream(seed, "client", worker.key).random(), session.begin)
    machine = machine_fields(seed, session.machine)
    group_id, group_name = group_fields(seed, session.machine.group)
    primary_id, _ = group_fields(seed, session.group)
    app_group_id = str(stream(seed, "app-group", session.machine.group).randrange(10**17, 10**18))
    application = {"session_type": "2", "app_group_id": app_group_id, "app_name": ",".join(rng.sample(APPS, 2))}
    return {
        "id": session_id(seed, worker, session),
        "session_stamp": f"{machine['machine_sid']}-{worker.name}@{worker.domain}-HDP-{session.key}",
        "protocol_type": rng.choice(("HDP", "Hdp")),
        "login_user": f"{worker.name}@{worker.domain}",
        "tenant_id": identifier(seed, "tenant"),
        "app_server_group_id": group_id,
        "app_server_group_name": group_name,
        "primary_server_group_id": primary_id,
        "secondary_server_group_id": "" if primary_id == group_id else group_id,
        **machine,
        **(application if rng.random() < APPLICATION_RATIO else {"session_type": "1"}),
        "client_mac": "02-00-5e-" + "-".join(f"{device.randrange(256):02x}" for _ in range(3)),
        "client_name": f"private-pc-{worker.name}",
        "client_ip": f"198.51.100.{device.randrange(1, 255)}",
        "public_ip": f"203.0.113.{device.randrange(1, 255)}",
        "client_type": device.choice(CLIENT_TYPES),
        "client_version": f"24.{10 + release}.2.{12888 + 17 * release}",
    }


def session_info(seed: int, worker: Worker, session: PlannedSession, at: float, timeline: Timeline) -> SessionInfo:
    """Return the record of a session at a simulated time."""
    clock = timeline.clock
    since, state = session.step(at)
    over = state in (SessionState.SIGNED_OUT, SessionState.INIT_FAIL)
    code, reason = session.failure if state is SessionState.INIT_FAIL else NO_FAILURE
    begin = session_time(clock(session.begin))
    agent: dict[str, str | None] = {}  # nothing during the session start, nulls if that failed
    if state is SessionState.INIT_FAIL:
        agent = {"os_session_id": None, "agent_version": None}
    elif state is not SessionState.APPC_INIT:
        release = AGENT_ROLLOUT.release(session.machine.number / SERVERS_PER_GROUP, session.begin)
        version = f"24.{8 + release}.0.{11461 + 29 * release}"
        agent = {"os_session_id": str(1 + int(session.begin) % 60), "agent_version": version}
    return SessionInfo(
        pre_conn_time=begin,
        start_time=begin,
        end_time=session_time(clock(since)) if over else OPEN_END,
        status_continue_time=str(int(clock(at) - clock(since))),
        session_state=state.value,
        failed_code=code,
        failed_reason=reason,
        last_update_status_time=session_time(clock(since)),
        **constant_fields(seed, worker, session),
        **agent,
    )
