"""The one list of metrics: name, help text, the function that gives the samples, and labels. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

from exporter.cloud.telemetry import LATENCY_BUCKETS
from exporter.fleet import DOCUMENTED_STATES, UNKNOWN, FreshUser
from exporter.metrics.exposition import (
    Description,
    Family,
    Histogram,
    Rendered,
    S,
    UserFamily,
    UserPart,
    project_labels,
)
from exporter.metrics.labels import Folding, Labelling, Samples, expiry_of, labelled
from exporter.status import OperationStatus, ProcessStatus, ProjectStatus

F = TypeVar("F", bound=Description)


def _by(values: Mapping[str, Any]) -> Mapping[tuple[str], Any]:
    """Return values by a single label."""
    return {(label,): value for label, value in values.items()}


def _sessions(status: ProjectStatus) -> Samples:
    """Count sessions by state. The documented states are always there, once anything is known."""
    if not status.sessions_known:
        return {}
    states = Counter(dict.fromkeys(((state,) for state in DOCUMENTED_STATES), 0))
    for (state, _, _), count in status.counts.sessions.items():
        states[state,] += count
    return states


def _of_accounts(status: ProjectStatus, users: int) -> Samples:
    """Return a number of users, unless no account is known."""
    return {(): users} if status.accounts_known else {}


def _of_users(status: ProjectStatus, users: int) -> Samples:
    """Return a number of users, unless neither sessions nor accounts are known."""
    return {(): users} if status.accounts_known or status.sessions_known else {}


def _gauge(name: str, text: str, samples: Callable[[S], Samples], *labels: str) -> Family[S]:
    return Family(name, "gauge", text, labels, samples)


def _counter(name: str, text: str, samples: Callable[[S], Samples], *labels: str) -> Family[S]:
    return Family(name, "counter", text, labels, samples)


def _user_gauge(name: str, text: str, samples: Callable[[FreshUser], Samples], *labels: str) -> UserFamily:
    return UserFamily(name, "gauge", text, ("user_name", *labels), samples)


def _account_flag(name: str, text: str, field: str) -> UserFamily:
    """Return the metric of a flag, which is absent if the cloud does not say."""
    return _user_gauge(name, text, lambda user: {(): getattr(user.account, field)} if user.account else {})


def _coverage(status: ProjectStatus, operation: OperationStatus) -> float:
    """Return the share of the watched users that an operation covers; 0 before discovery knows who is watched."""
    return operation.fresh / status.configured if status.configured else float(status.users_known)


def _poll_gauge(name: str, text: str, value: Callable[[OperationStatus], float | None]) -> Family[ProjectStatus]:
    """Return the metric of a number of each operation."""
    return _gauge(name, text, lambda s: _by({name: value(each) for name, each in s.operations.items()}), "operation")


_POLLED: tuple[Family[ProjectStatus] | UserFamily, ...] = (
    _gauge("sessions", "Sessions of the watched users.", _sessions, "session_state"),
    _gauge(
        "sessions_by_version",
        "Sessions of the watched users by client and agent version.",
        lambda s: s.counts.sessions,
        "session_state",
        "client_version",
        "agent_version",
    ),
    _counter(
        "session_init_failures_total", "Distinct sessions that entered InitFail.", lambda s: {(): s.init_failures.total}
    ),
    _counter(
        "session_init_failures_by_code_total",
        "Distinct sessions that entered InitFail, by the cloud's error code.",
        lambda s: _by(s.init_failures.by_code),
        "failed_code",
    ),
    _counter(
        "session_init_failures_by_server_group_total",
        "Distinct sessions that entered InitFail, by server group.",
        lambda s: _by(s.init_failures.by_server_group),
        "app_server_group_id",
    ),
    UserFamily(
        "session_init_failures_by_user_total",
        "counter",
        "Distinct sessions that entered InitFail, by user. Absent for users without failures.",
        ("user_name",),
        lambda user: {(): user.init_failures} if user.init_failures else {},
    ),
    _gauge("users", "Watched users.", lambda s: _of_users(s, s.configured)),
    _gauge(
        "users_discovered",
        "Watched users that were discovered. Absent without `discover`.",
        lambda s: {(): s.discovery.users if s.discovery else None},
    ),
    _gauge(
        "users_discovery_successful",
        "1 if the last listing for discovery was complete and plausible, else 0. Absent without `discover`.",
        lambda s: {(): s.discovery.successful if s.discovery else None},
    ),
    _gauge("users_locked", "Users with a locked account.", lambda s: _of_accounts(s, s.counts.locked)),
    _counter(
        "account_locks_total",
        "Accounts that became locked. A relock within an hour is not counted again.",
        lambda s: {(): s.account_locks},
    ),
    _gauge("users_expired", "Users with an expired account.", lambda s: _of_accounts(s, s.counts.expired)),
    _gauge("users_disabled", "Users with a disabled account.", lambda s: _of_accounts(s, s.counts.disabled)),
    _gauge("users_missing", "Configured users unknown to the cloud.", lambda s: _of_users(s, s.counts.missing)),
    _user_gauge(
        "user_missing",
        "1 if the cloud does not know the user, else 0.",
        lambda user: {(): user.missing} if user.known else {},
    ),
    _account_flag("user_locked", "1 if the account is locked, else 0.", "locked"),
    _account_flag("user_expired", "1 if the account has expired, else 0.", "user_expired"),
    _account_flag("user_disabled", "1 if the account is disabled, else 0.", "disabled"),
    _user_gauge(
        "user_account_expires_timestamp_seconds",
        "When the account expires. Absent if it never does.",
        lambda user: {(): expiry_of(user)},
    ),
    _user_gauge(
        "user_sessions",
        "Sessions of a user.",
        lambda user: Counter([(each.session_state or UNKNOWN,) for each in user.listed]) if user.sessions else {},
        "session_state",
    ),
    _counter(
        "label_values_cut_total",
        "Session texts shortened to the length limit of labels.",
        lambda s: {(): s.telemetry.texts_cut},
    ),
    _gauge(
        "clock_skew_seconds", "Cloud clock minus exporter clock, in seconds.", lambda s: {(): s.telemetry.clock_skew}
    ),
)
"""Metrics with values from the cloud's answers."""

_POLLING: tuple[Family[ProjectStatus], ...] = (
    _gauge("up", "1 if the cloud answers session queries for at least one user, else 0.", lambda s: {(): s.up}),
    _gauge(
        "poll_source_info",
        "Where sessions come from, `per_user` or `bulk`. Always 1.",
        lambda s: {(s.source.name,): 1},
        "source",
    ),
    _gauge(
        "poll_coverage_ratio",
        "Share of the watched users with a fresh answer, 0 to 1.",
        lambda s: _by({name: _coverage(s, each) for name, each in s.operations.items()}),
        "operation",
    ),
    _poll_gauge(
        "poll_last_success_timestamp_seconds",
        "When a polling cycle last completed without a failed request.",
        lambda each: each.cycles.last_success,
    ),
    _poll_gauge("poll_duration_seconds", "Duration of the last polling cycle.", lambda each: each.cycles.last_duration),
    _poll_gauge(
        "poll_interval_seconds",
        "Time per polling cycle: the configured interval, or longer if the rate limit or the cloud requires it.",
        lambda each: each.interval,
    ),
    _gauge("poll_rate_limit", "Configured requests per minute and operation.", lambda s: {(): s.rate_limit}),
    _counter(
        "api_requests_total",
        "HTTP requests to the cloud including retries, by HTTP status or kind of failure.",
        lambda s: s.telemetry.attempts,
        "operation",
        "code",
    ),
    _gauge(
        "credentials_expiry_timestamp_seconds",
        "When the current credentials expire. Absent if unknown.",
        lambda s: {(): s.credentials_expire_at},
    ),
)
"""Metrics on how the polling goes."""


def _as_of_last_poll(family: F) -> F:
    """Return the family with a help text that says how old its values may be."""
    first, stop, more = family.help.partition(".")
    return replace(family, help=f"{first}, as of the last poll{stop}{more}")


FAMILIES: tuple[Family[ProjectStatus] | UserFamily, ...] = (*map(_as_of_last_poll, _POLLED), *_POLLING)

FOLDED: Family[Folding] = _as_of_last_poll(
    _gauge(
        "label_values_folded",
        "Values of a label that exceed its limit and are combined into `other`.",
        lambda folding: _by(folding.beyond),
        "label",
    )
)

LATENCY = Histogram(
    "api_request_duration_seconds",
    "histogram",
    "Time to the complete response of a request to the cloud.",
    ("operation",),
    LATENCY_BUCKETS,
    lambda s: _by(s.telemetry.latencies),
)

PROCESS_FAMILIES: tuple[Family[ProcessStatus], ...] = (
    _gauge(
        "exporter_build_info",
        "Versions of the exporter and of Python. Always 1.",
        lambda process: {(process.version, process.revision, process.python_version): 1},
        "version",
        "revision",
        "python_version",
    ),
    _gauge(
        "exporter_config_last_reload_successful",
        "1 if the last reload of the configuration was applied, 0 if it was rejected.",
        lambda process: {(): process.reload_successful},
    ),
    _gauge(
        "exporter_config_last_reload_success_timestamp_seconds",
        "When the configuration in effect was loaded.",
        lambda process: {(): process.loaded_at},
    ),
    _counter(
        "exporter_log_lines_dropped_total",
        "Log lines dropped because standard error was not read.",
        lambda process: {(): process.log_lines_dropped},
    ),
)

PROJECT_DESCRIPTIONS: tuple[Description, ...] = (*FAMILIES, FOLDED, LATENCY)
"""Every metric of a project, with the label ``project`` besides its own."""

DESCRIPTIONS: tuple[Description, ...] = (*PROJECT_DESCRIPTIONS, *PROCESS_FAMILIES)
"""Every metric that is the exporter's own."""


def render(projects: Sequence[ProjectStatus], labelling: Labelling, process: ProcessStatus) -> Iterator[Rendered]:
    """Yield all families in parts that take about a millisecond each. A part may be empty."""
    foldings: list[tuple[str, Folding]] = []
    parts: list[UserPart] = []
    for status in projects:
        folding, project = Folding(labelling.max_values), project_labels(status)
        for family in FAMILIES:
            if isinstance(family, Family):
                for _ in folding.add(family.name, family.kind, family.labels, family.samples(status)):
                    yield Rendered()
        folding.samples[FOLDED.name] = FOLDED.samples(folding)
        foldings.append((project, folding))
        for users in labelled(status, labelling):
            parts.append(UserPart(project, folding.kept, users))
            yield Rendered()
    for each in (*FAMILIES, FOLDED):
        if isinstance(each, UserFamily):
            yield each.rendered("")
            for users_part in parts:
                yield Rendered(lines=each.lines(users_part))
        else:
            lines = (each.lines(folding.samples[each.name], project) for project, folding in foldings)
            yield from each.in_parts(chain.from_iterable(lines))
    yield from LATENCY.in_parts(LATENCY.lines(projects))
    for own in PROCESS_FAMILIES:
        yield from own.in_parts(own.lines(own.samples(process)))
