"""The metrics of sessions and of the servers that they run on."""

from collections import Counter
from collections.abc import Callable
from itertools import product

from exporter.cloud.models import SessionKind
from exporter.fleet import AGES, DOCUMENTED_STATES, UNKNOWN, ServerCounts
from exporter.fleet.counts import INIT_BUCKETS
from exporter.metrics.family import AnyFamily, Histogram, UserFamily, by, counter, gauge
from exporter.metrics.labels import Samples, drop
from exporter.status import ProjectStatus

_SESSION_TYPES = {"1": "desktop", "2": "application"}  # as the cloud writes them


def _sessions(status: ProjectStatus, key: Callable[[SessionKind], tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    """Count sessions by a key."""
    counts: Counter[tuple[str, ...]] = Counter()
    for kind, sessions in status.counts.sessions.items():
        counts[key(kind)] += sessions
    return counts


def _by_state(status: ProjectStatus) -> Samples:
    """Count sessions by state. The documented states are always there, once anything is known."""
    if not status.sessions_known:
        return {}
    zeros = {(state,): 0 for state in DOCUMENTED_STATES}
    return zeros | _sessions(status, lambda kind: (kind.session_state or UNKNOWN,))


def _by_age(status: ProjectStatus) -> Samples:
    """Count sessions by state and age. All ages of the documented states are there, once anything is known."""
    if not status.sessions_known:
        return {}
    zeros = dict.fromkeys(product(DOCUMENTED_STATES, (*AGES, UNKNOWN)), 0)
    return zeros | {key: sessions for key, sessions in status.ages.items() if sessions}


def _of_servers(status: ProjectStatus, counts: Callable[[ServerCounts], Samples]) -> Samples:
    """Return counts of servers, unless the servers are unknown."""
    return counts(status.servers) if status.servers else {}


SESSION_METRICS: tuple[AnyFamily, ...] = (
    gauge("sessions", "Sessions of the watched users.", _by_state, "session_state"),
    gauge(
        "sessions_by_version",
        "Sessions of the watched users by client and agent version.",
        lambda s: _sessions(
            s, lambda k: (k.session_state or UNKNOWN, k.client_version or UNKNOWN, k.agent_version or UNKNOWN)
        ),
        "session_state",
        "client_version",
        "agent_version",
    ),
    gauge(
        "sessions_by_client",
        "Sessions of the watched users by session type (`desktop`, `application` or `unknown`) and client type.",
        lambda s: _sessions(
            s,
            lambda k: (
                k.session_state or UNKNOWN,
                _SESSION_TYPES.get(k.session_type or "", UNKNOWN),
                k.client_type or UNKNOWN,
            ),
        ),
        "session_state",
        "session_type",
        "client_type",
    ),
    gauge(
        "sessions_by_age",
        "Sessions of the watched users by time in their current state; `unknown` if it began before the first look.",
        _by_age,
        "session_state",
        "age",
    ),
    counter(
        "session_starts_total",
        "Distinct sessions that started, including those that entered InitFail.",
        lambda s: {(): s.attempts.starts.total},
    ),
    counter(
        "session_starts_by_client_version_total",
        "Distinct sessions that started, including those that entered InitFail, by client version.",
        lambda s: by(s.attempts.starts.by_client_version),
        "client_version",
    ),
    counter(
        "session_starts_by_server_group_total",
        "Distinct sessions that started, including those that entered InitFail, by server group.",
        lambda s: by(s.attempts.starts.by_server_group),
        "app_server_group_id",
    ),
    counter(
        "session_init_failures_total",
        "Distinct sessions that entered InitFail.",
        lambda s: {(): s.attempts.failures.total},
    ),
    counter(
        "session_init_failures_by_code_total",
        "Distinct sessions that entered InitFail, by the cloud's error code.",
        lambda s: by(s.attempts.failures.by_code),
        "failed_code",
    ),
    counter(
        "session_init_failures_by_server_group_total",
        "Distinct sessions that entered InitFail, by server group.",
        lambda s: by(s.attempts.failures.by_server_group),
        "app_server_group_id",
    ),
    counter(
        "session_init_failures_by_client_version_total",
        "Distinct sessions that entered InitFail, by client version.",
        lambda s: by(s.attempts.failures.by_client_version),
        "client_version",
    ),
    UserFamily(
        "session_init_failures_by_user_total",
        "counter",
        "Distinct sessions that entered InitFail, by user. Absent for users without failures.",
        ("user_name",),
        lambda user: {(): user.init_failures} if user.init_failures else {},
    ),
    Histogram(
        "session_init_duration_seconds",
        "histogram",
        "Time from the start of a session to Active, once for each counted start.",
        (),
        INIT_BUCKETS,
        lambda s: {(): s.attempts.init_durations},
    ),
    counter(
        "session_disconnects_total",
        "Observed changes of sessions from Active to Disconnected.",
        lambda s: {(): s.attempts.disconnects},
    ),
    counter(
        "session_reconnects_total",
        "Observed changes of sessions from Disconnected to Active.",
        lambda s: {(): s.attempts.reconnects},
    ),
)

SERVER_METRICS: tuple[AnyFamily, ...] = (
    gauge(
        "app_server_group_info",
        "Names of server groups, if known. Always 1.",
        lambda s: dict.fromkeys(s.group_names.items(), 1),
        "app_server_group_id",
        "app_server_group_name",
        fold=drop,
    ),
    gauge(
        "app_servers",
        "Servers of a server group by status. Absent if unknown.",
        lambda s: _of_servers(s, lambda servers: servers.servers),
        "app_server_group_id",
        "status",
    ),
    gauge(
        "app_server_sessions",
        "Sessions on the servers of a server group. Absent if unknown.",
        lambda s: _of_servers(s, lambda servers: by(servers.sessions)),
        "app_server_group_id",
    ),
    gauge(
        "app_server_session_capacity",
        "Sessions that the registered servers of a server group can hold. Absent unless known for all of them.",
        lambda s: _of_servers(s, lambda servers: by(servers.capacity)),
        "app_server_group_id",
    ),
)
