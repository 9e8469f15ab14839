"""The list of all metrics, and their text. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TypeVar

from exporter.cloud.telemetry import LATENCY_BUCKETS
from exporter.metrics.exposition import Description, Rendered
from exporter.metrics.family import AnyFamily, Family, Histogram, UserFamily, by, counter, gauge, project_labels
from exporter.metrics.folding import Folding
from exporter.metrics.labels import Labelling
from exporter.metrics.session_metrics import SERVER_METRICS, SESSION_METRICS
from exporter.metrics.user_metrics import USER_METRICS
from exporter.metrics.users import UserLines
from exporter.status import OperationStatus, ProcessStatus, ProjectStatus

F = TypeVar("F", bound=Description)


def _coverage(status: ProjectStatus, operation: OperationStatus) -> float | None:
    """Return the share of the watched users that an operation covers; 0 before discovery knows who is watched."""
    if operation.fresh is None:
        return None
    return operation.fresh / status.configured if status.configured else float(status.users_known)


def _poll_gauge(name: str, text: str, value: Callable[[OperationStatus], float | None]) -> Family[ProjectStatus]:
    """Return the metric of a number of each operation."""
    return gauge(name, text, lambda s: by({name: value(each) for name, each in s.operations.items()}), "operation")


LATENCY = Histogram(
    "api_request_duration_seconds",
    "histogram",
    "Time to the complete response of a request to the cloud.",
    ("operation",),
    LATENCY_BUCKETS,
    lambda s: by(s.telemetry.latencies),
)

_POLLED: tuple[AnyFamily, ...] = (
    *SESSION_METRICS,
    *SERVER_METRICS,
    *USER_METRICS,
    counter(
        "label_values_cut_total",
        "Session texts shortened to the length limit of labels.",
        lambda s: {(): s.telemetry.texts_cut},
    ),
    gauge(
        "clock_skew_seconds", "Cloud clock minus exporter clock, in seconds.", lambda s: {(): s.telemetry.clock_skew}
    ),
)
"""Metrics with values from the cloud's answers."""

_POLLING: tuple[AnyFamily, ...] = (
    gauge("up", "1 if the cloud answers session queries for at least one user, else 0.", lambda s: {(): s.up}),
    gauge(
        "poll_source_info",
        "Where sessions come from, `per_user` or `bulk`. Always 1.",
        lambda s: {(s.source.name,): 1},
        "source",
    ),
    gauge(
        "poll_coverage_ratio",
        "Share of the watched users with a fresh answer, 0 to 1.",
        lambda s: by({name: _coverage(s, each) for name, each in s.operations.items()}),
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
    gauge("poll_rate_limit", "Configured requests per minute and operation.", lambda s: {(): s.rate_limit}),
    counter(
        "api_requests_total",
        "HTTP requests to the cloud including retries, by HTTP status or kind of failure.",
        lambda s: s.telemetry.attempts,
        "operation",
        "code",
    ),
    LATENCY,
    gauge(
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


FAMILIES: tuple[AnyFamily, ...] = (*map(_as_of_last_poll, _POLLED), *_POLLING)

FOLDED: Family[Folding] = _as_of_last_poll(
    gauge(
        "label_values_folded",
        "Values of a label that exceed its limit and are combined into `other`.",
        lambda folding: by(folding.beyond),
        "label",
    )
)

PROCESS_FAMILIES: tuple[Family[ProcessStatus], ...] = (
    gauge(
        "exporter_build_info",
        "Versions of the exporter and of Python. Always 1.",
        lambda process: {(process.version, process.revision, process.python_version): 1},
        "version",
        "revision",
        "python_version",
    ),
    gauge(
        "exporter_config_last_reload_successful",
        "1 if the last reload of the configuration was applied, 0 if it was rejected.",
        lambda process: {(): process.reload_successful},
    ),
    gauge(
        "exporter_config_last_reload_success_timestamp_seconds",
        "When the configuration in effect was loaded.",
        lambda process: {(): process.loaded_at},
    ),
    counter(
        "exporter_log_lines_dropped_total",
        "Log lines dropped because standard error was not read.",
        lambda process: {(): process.log_lines_dropped},
    ),
)

PROJECT_DESCRIPTIONS: tuple[Description, ...] = (*FAMILIES, FOLDED)
"""Every metric of a project, with the label ``project`` besides its own."""

DESCRIPTIONS: tuple[Description, ...] = (*PROJECT_DESCRIPTIONS, *PROCESS_FAMILIES)
"""Every metric that is the exporter's own."""


def user_lines() -> UserLines:
    """Return what keeps the lines of single users between publishes."""
    return UserLines([family for family in FAMILIES if isinstance(family, UserFamily)])


def render(
    projects: Sequence[ProjectStatus], labelling: Labelling, process: ProcessStatus, users: UserLines
) -> Iterator[Rendered]:
    """Yield all families in parts that take about a millisecond each. A part may be empty."""
    foldings: list[Folding] = []
    for status in projects:
        foldings.append(folding := Folding(labelling.max_values))
        for _ in _fold(folding, status):
            yield Rendered()
    for _ in users.update(zip(projects, (folding.kept for folding in foldings), strict=True), labelling):
        yield Rendered()
    for each in (*FAMILIES, FOLDED):
        if isinstance(each, UserFamily):
            yield each.rendered("")
            yield from (Rendered(kept=run) for run in users.of(each))
        elif isinstance(each, Histogram):
            yield from each.in_parts(each.lines(projects))
        else:
            both = zip(projects, foldings, strict=True)
            lines = (each.lines(folding.samples[each.name], project_labels(status)) for status, folding in both)
            yield from each.in_parts(chain.from_iterable(lines))
    for own in PROCESS_FAMILIES:
        yield from own.in_parts(own.lines(own.samples(process)))


def _fold(folding: Folding, status: ProjectStatus) -> Iterator[None]:
    """Fold the samples of a project, in steps."""
    for family in FAMILIES:
        if isinstance(family, Family):
            yield from folding.add(family, family.samples(status))
    folding.samples[FOLDED.name] = FOLDED.samples(folding)
