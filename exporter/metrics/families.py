"""The one list of metrics: names, help texts, labels, and how each follows from a project's status. Pure."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from exporter.cloud.telemetry import LATENCY_BUCKETS
from exporter.metrics import samples
from exporter.metrics.family import Description, Family, ProcessFamily, UserFamily, part
from exporter.metrics.lines import line_of, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.metrics.family import Rendered
    from exporter.metrics.labels import Labelling
    from exporter.metrics.samples import Named
    from exporter.status import ProcessStatus, ProjectStatus

FAMILIES: tuple[Family | UserFamily, ...] = (
    Family(
        "sessions",
        "gauge",
        "Sessions of the configured users.",
        ("session_state",),
        samples.sessions,
    ),
    Family(
        "sessions_by_version",
        "gauge",
        "Sessions of the configured users by version of client and agent.",
        ("session_state", "client_version", "agent_version"),
        samples.sessions_by_version,
    ),
    Family(
        "session_init_failures_total",
        "counter",
        "Distinct sessions seen to enter InitFail.",
        (),
        samples.single(lambda status: status.init_failures.total),
    ),
    Family(
        "session_init_failures_by_code_total",
        "counter",
        "Distinct sessions seen to enter InitFail, by the cloud's error code.",
        ("failed_code",),
        lambda status, labelling: samples.failures_by(status.init_failures.by_code, labelling),
    ),
    Family(
        "session_init_failures_by_server_group_total",
        "counter",
        "Distinct sessions seen to enter InitFail, by the server group where it happened.",
        ("app_server_group_id",),
        lambda status, labelling: samples.failures_by(status.init_failures.by_server_group, labelling),
    ),
    UserFamily(
        "session_init_failures_by_user_total",
        "counter",
        "Distinct sessions seen to enter InitFail, by user; absent where there was none.",
        ("user_name",),
        samples.of_each(samples.user_init_failures),
    ),
    Family("users", "gauge", "Configured users.", (), samples.of_users(lambda status: status.configured)),
    Family(
        "users_locked",
        "gauge",
        "Users whose account is locked.",
        (),
        samples.of_accounts(lambda status: status.counts.locked),
    ),
    Family(
        "account_locks_total",
        "counter",
        "Accounts seen to become locked; once where one is unlocked for less than an hour.",
        (),
        samples.single(lambda status: status.account_locks),
    ),
    Family(
        "users_expired",
        "gauge",
        "Users whose account has expired.",
        (),
        samples.of_accounts(lambda status: status.counts.expired),
    ),
    Family(
        "users_disabled",
        "gauge",
        "Users whose account is disabled.",
        (),
        samples.of_accounts(lambda status: status.counts.disabled),
    ),
    Family(
        "users_missing",
        "gauge",
        "Configured users that the cloud does not know.",
        (),
        samples.of_users(lambda status: status.counts.missing),
    ),
    UserFamily(
        "user_missing",
        "gauge",
        "Whether the cloud does not know the user.",
        ("user_name",),
        samples.of_each(samples.user_missing),
    ),
    UserFamily("user_locked", "gauge", "Whether the account is locked.", ("user_name",), samples.user_flag("locked")),
    UserFamily(
        "user_expired", "gauge", "Whether the account has expired.", ("user_name",), samples.user_flag("user_expired")
    ),
    UserFamily(
        "user_disabled", "gauge", "Whether the account is disabled.", ("user_name",), samples.user_flag("disabled")
    ),
    UserFamily(
        "user_account_expires_timestamp_seconds",
        "gauge",
        "When the account's validity ends; absent where it never does.",
        ("user_name",),
        samples.of_each(samples.user_expiry),
    ),
    UserFamily("user_sessions", "gauge", "Sessions of a user.", ("user_name", "session_state"), samples.user_sessions),
    Family(
        "up",
        "gauge",
        "Whether the cloud answers about the sessions of at least one user.",
        (),
        samples.single(lambda status: float(status.up)),
    ),
    Family(
        "poll_source_info",
        "gauge",
        "Where sessions come from at present: `per_user` or `bulk`; always 1.",
        ("source",),
        lambda status, _: [((status.source.name,), 1)],
    ),
    Family(
        "poll_coverage_ratio",
        "gauge",
        "Share of the configured users whose answer is not stale.",
        ("operation",),
        samples.by_operation(samples.coverage),
    ),
    Family(
        "poll_last_success_timestamp_seconds",
        "gauge",
        "When a round last ended without any failed call.",
        ("operation",),
        samples.by_operation(lambda status, operation: status.operations[operation].rounds.last_success),
    ),
    Family(
        "poll_duration_seconds",
        "gauge",
        "How long the last round took.",
        ("operation",),
        samples.by_operation(lambda status, operation: status.operations[operation].rounds.last_duration),
    ),
    Family(
        "poll_interval_seconds",
        "gauge",
        "How long a round must take at the present rate limit, or the configured interval if longer.",
        ("operation",),
        samples.by_operation(lambda status, operation: status.operations[operation].interval),
    ),
    Family(
        "poll_rate_limit",
        "gauge",
        "Calls a minute that one operation may make, as configured.",
        (),
        samples.single(lambda status: status.rate_limit),
    ),
    Family(
        "api_requests_total",
        "counter",
        "HTTP requests to the cloud, retries included, by status or by what went wrong.",
        ("operation", "code"),
        lambda status, _: status.telemetry.attempts.items(),
    ),
    Family(
        "label_values_folded",
        "gauge",
        "How many values of a label are beyond its limit, and counted together as `other`.",
        ("label",),
        samples.folded,
    ),
    Family(
        "label_values_cut_total",
        "counter",
        "Texts of sessions that were longer than a label may be, and cut.",
        (),
        samples.single(lambda status: status.telemetry.texts_cut),
    ),
    Family(
        "credentials_expiry_timestamp_seconds",
        "gauge",
        "When the present credentials end; absent where unknown.",
        (),
        samples.single(lambda status: status.credentials_expire_at),
    ),
    Family(
        "clock_skew_seconds",
        "gauge",
        "The cloud's clock less ours.",
        (),
        samples.single(lambda status: status.telemetry.clock_skew),
    ),
)

LATENCY = Description(
    "api_request_duration_seconds", "histogram", "Time to the whole answer of a request to the cloud.", ("operation",)
)

PROCESS_FAMILIES: tuple[ProcessFamily, ...] = (
    ProcessFamily(
        "exporter_build_info",
        "gauge",
        "Which exporter this is; always 1.",
        ("version", "revision", "python_version"),
        lambda process: (process.version, process.revision, process.python_version),
        lambda _: 1,
    ),
    ProcessFamily(
        "exporter_config_last_reload_successful",
        "gauge",
        "Whether the last reload of the configuration was accepted.",
        (),
        lambda _: (),
        lambda process: float(process.reload_successful),
    ),
    ProcessFamily(
        "exporter_config_last_reload_success_timestamp_seconds",
        "gauge",
        "When the configuration in force was loaded.",
        (),
        lambda _: (),
        lambda process: process.loaded_at,
    ),
)

DESCRIPTIONS: tuple[Description, ...] = (*FAMILIES, LATENCY, *PROCESS_FAMILIES)
"""Every metric that is the exporter's own."""


def render(projects: Sequence[ProjectStatus], labelling: Labelling, process: ProcessStatus) -> Iterator[Rendered]:
    """All families that are the exporter's own, in parts that each take a moment, however many users there are.

    A part may have no text.
    """
    named: list[tuple[ProjectStatus, list[Named]]] = []
    for project in projects:
        named.append((project, parts := []))
        for users in samples.named(project, labelling):
            parts.append(users)
            yield part("")
    for family in FAMILIES:
        if isinstance(family, UserFamily):
            yield from family.render(named)
        else:
            yield family.render(projects, labelling)
    yield LATENCY.rendered("".join(_latencies(projects)))
    for process_family in PROCESS_FAMILIES:
        yield process_family.render(process)


def _latencies(projects: Sequence[ProjectStatus]) -> Iterator[str]:
    name, labels = LATENCY.full_name, ("project", *LATENCY.labels)
    bucket = line_of(f"{name}_bucket", (*labels, "le"))
    count, total = line_of(f"{name}_count", labels), line_of(f"{name}_sum", labels)
    bounds = [*map(number, LATENCY_BUCKETS), "+Inf"]
    for project in projects:
        for operation, latencies in project.telemetry.latencies.items():
            values = (project.project, operation)
            cumulated = list(accumulate(latencies.counts))
            yield from (bucket((*values, bound), n) for bound, n in zip(bounds, cumulated, strict=True))
            yield count(values, cumulated[-1])
            yield total(values, latencies.seconds)
