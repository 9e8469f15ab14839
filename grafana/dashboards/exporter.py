"""Exporter: are the numbers of the other dashboards complete and fresh?"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from dashboards import alerts, colours, links, process, requests, variables
from dashboards.board import Face, board
from dashboards.bounds import BEHIND, COVERAGE, CREDENTIALS, SKEW
from dashboards.panels import (
    About,
    bounded,
    column,
    columns,
    history,
    lines,
    listing,
    named,
    number,
    sorted_by,
    transformation,
)
from dashboards.process import SILENT
from dashboards.queries import MINIMUM_STEP, covered, gauge, now, over_time, per_minute, rows, series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

_HERE = 'instance=~"$instance"'
_MINUTES = 10
_WINDOW = f"{_MINUTES}m"  # of the requests that count as those of now
_NOT_USED = 2

_UP = [colours.words({"0": ("down", colours.BAD), "1": ("up", colours.GOOD)})]
_DISCOVERY = [
    colours.words(
        {
            "0": ("failing", colours.BAD),
            "1": ("working", colours.GOOD),
            f"{_NOT_USED}": ("not used", colours.UNKNOWN),
        }
    )
]

_DETAILS = "Credentials, clock and the exporter itself"

FACE = Face(
    uid=links.EXPORTER,
    title="Exporter",
    description="Whether the numbers of the other dashboards are complete and fresh, and what slows down the requests "
    "to the cloud.",
    folded=(_DETAILS,),
)


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return board(
        FACE,
        [
            variables.exporter_version(),
            variables.instance(),
            variables.carried(variables.client_version()),
            variables.carried(variables.agent_version()),
        ],
        {
            "Are the numbers complete and fresh?": _tiles(),
            "Polling": _polling(),
            "Requests to the cloud": requests.panels(),
            _DETAILS: chain(_credentials_and_clock(), process.panels()),
        },
        [alerts.marked()],
    )


def _tiles() -> Iterator[Builder[Panel]]:
    yield process.up()
    connected = _tile(
        "API connection",
        "Share of the projects about which the cloud answers: for at least one user, the sessions are known.",
        "percentunit",
        colours.below(0.5, 1),
    )
    yield number(connected, now(f"avg ({gauge('up', _HERE)})")).decimals(0)
    coverage = _tile(
        "Coverage",
        "Share of the watched users with fresh numbers, about sessions or accounts, in the project with the least. "
        "Below 100 % all counts are too low.",
        "percentunit",
        colours.below(*COVERAGE),
    )
    yield number(coverage, now(f"min ({covered(_HERE)})")).decimals(0)
    cycles = _tile(
        "Cycles behind",
        "Polling cycles since the last one without a failed request, for the operation that is furthest behind. Up to "
        f"2 is normal. From {BEHIND[0]} on answers become stale.",
        "short",
        colours.above(*BEHIND),
    )
    yield number(cycles, now(f"max ({_behind(_succeeded_or_begun())})")).decimals(1)
    yield process.configuration()
    discovery = _tile(
        "Discovery",
        "Whether the last listing of users was complete and plausible, in all projects that discover users. If not, "
        "the users of the previous listing remain.",
        "none",
        colours.below(0.5, 1),
    )
    found = f"min ({_discovery()})"
    yield number(discovery, now(found)).mappings([colours.absent(), *_DISCOVERY])
    limit = _tile(
        "Rate limit used",
        f"Requests of the last {_MINUTES} minutes per poll.rate_limit, for the project and operation with the most. "
        "100 % is normal in large projects: the interval then grows with each further user.",
        "percentunit",
    )
    yield number(limit, now(f"max ({requests.used(_WINDOW)})")).decimals(0)
    credentials = _tile(
        "Credential expiry",
        "Time until the first credentials expire. The exporter renews tokens 40 minutes before. With less time left, "
        "the renewal fails. The exporter cannot know when credentials from files expire.",
        "s",
        colours.below(*CREDENTIALS),
    )
    yield number(credentials, now(f"min ({_expiry()})"))


def _tile(title: str, description: str, unit: str, thresholds: ThresholdsConfig | None = None) -> About:
    return About(title=title, description=description, unit=unit, empty=SILENT, thresholds=thresholds, span=6, height=3)


def _behind(succeeded: str) -> str:
    """Return the age of each project's and operation's last success, in polling cycles."""
    return f"(time() - {succeeded}) / {gauge('poll_interval_seconds', _HERE)}"


def _succeeded() -> str:
    return gauge("poll_last_success_timestamp_seconds", _HERE)


def _succeeded_or_begun() -> str:
    """Return when a cycle last succeeded. If none has, when the operation (at most 2 days ago) or the process began."""
    interval = series("poll_interval_seconds", _HERE)
    process_start = "on (job, instance) group_left () process_start_time_seconds"
    seen = f"(min_over_time(timestamp({interval})[2d:{MINIMUM_STEP}]) or timestamp({interval}))"
    begun = f"max by (project, operation) ({seen} > {process_start} or 0 * {interval} + {process_start})"
    return f"({_succeeded()} or {begun})"


def _discovery() -> str:
    """Return 1 for each project if its discovery succeeds, 0 if it fails, and 2 if it has none."""
    found = gauge("users_discovery_successful", _HERE, of="min")
    return f"{found} or 0 * {gauge('up', _HERE)} + {_NOT_USED}"


def _expiry() -> str:
    return f"{gauge('credentials_expiry_timestamp_seconds', _HERE, of='min')} - time()"


def _skew() -> str:
    """Return each project's largest clock skew."""
    return f"max by (project) (abs({series('clock_skew_seconds', _HERE)}))"


def _coverage() -> str:
    """Return each project's coverage of sessions or accounts, whichever is less."""
    return f"min by (project) ({covered(_HERE)})"


def _polling() -> Iterator[Builder[Panel]]:
    about = About(
        title="Coverage, by project",
        description="Share of each project's watched users with fresh numbers, about sessions or accounts. Where it "
        "is not complete, all counts are too low. Gaps: the project was not reported.",
        empty=SILENT,
        span=12,
        height=9,
    )
    bad, warning = COVERAGE
    bands = colours.ranges(
        (0, f"below {bad:.0%}", colours.BAD),
        (bad, f"below {warning:.0%}", colours.WARNING),
        (warning, "complete", colours.QUIET),
    )
    yield history(about, bands, over_time(_coverage(), "{{project}}"))
    about = About(
        title="Cycles behind, by project",
        description="Polling cycles since the last one without a failed request, for each project's operation that is "
        f"furthest behind. Up to 2 is normal. From {BEHIND[0]} on answers become stale.",
        unit="short",
        empty="Unknown: no cycle has completed without a failed request",
        thresholds=colours.above(*BEHIND),
        span=12,
        height=9,
    )
    # Without max_over_time(), each line is a sawtooth as high as a cycle.
    behind = f"max_over_time((max by (project) ({_behind(_succeeded())}))[5m:{MINIMUM_STEP}])"
    yield bounded(lines(about, over_time(behind, "{{project}}"))).decimals(0)
    yield _projects()
    yield _cycles()


def _projects() -> Builder[Panel]:
    about = About(
        title="Projects",
        description="The worst projects first. Source: per_user polls the sessions of each user, bulk lists all "
        "sessions. Credentials: time until they expire. Clock: difference between the clocks of the cloud and the "
        "exporter. Beyond 15 minutes the cloud rejects signatures.",
        empty=SILENT,
        span=24,
        height=6,
    )
    figures = {
        "Connection": (_with_source(gauge("up", _HERE)), column(mappings=_UP)),
        "Users": (gauge("users", _HERE), column(unit="none")),
        "Covered": (_coverage(), column(unit="percentunit", decimals=0, thresholds=colours.below(*COVERAGE))),
        "Discovery": (_discovery(), column(mappings=_DISCOVERY)),
        "Discovered": (gauge("users_discovered", _HERE), [*column(unit="none"), DynamicConfigValue("noValue", "-")]),
        "Credentials": (
            _expiry(),
            column(unit="s", thresholds=colours.below(*CREDENTIALS), mappings=[colours.absent("-")]),
        ),
        "Clock": (_skew(), column(unit="s", thresholds=colours.above(*SKEW))),
    }
    table = listing(about, *(rows(query) for query, _ in figures.values()))
    titles = {f"Value #{letter}": name for letter, name in zip("ABCDEFG", figures, strict=True)}
    table.transformations(
        [
            transformation("merge"),
            # The last sorting wins; rows that it finds equal keep the order of those before.
            *map(sorted_by, ("project", "Value #C", "Value #A")),
            columns(project="Project", source="Source", **titles),
        ]
    )
    for name, (_, properties) in figures.items():
        table.override_by_name(name, properties)
    return table.filterable(False)


def _with_source(expression: str) -> str:
    """Add the label `source`, per_user or bulk, if the exporter reports it."""
    source = f"topk by (project) (1, max by (project, source) ({series('poll_source_info', _HERE)}))"
    return f"{expression} * on (project) group_left (source) {source} or on (project) {expression}"


def _cycles() -> Builder[Panel]:
    about = About(
        title="Polling cycles",
        description="Operations that are behind come first. Interval: time per cycle, longer than configured if the "
        "rate limit requires it. Took: duration of the last cycle. Behind: cycles since the last one without a failed "
        f"request. Requests: per minute, in the last {_MINUTES} minutes. Used: share of the rate limit.",
        empty=SILENT,
        span=24,
        height=10,
    )
    rate = per_minute(requests.REQUESTS, "project", "operation", where=_HERE, window=_WINDOW)
    figures = {
        "Interval": (gauge("poll_interval_seconds", _HERE), column(unit="s")),
        "Took": (gauge("poll_duration_seconds", _HERE), column(unit="s")),
        "Behind": (
            _behind(_succeeded_or_begun()),
            column(unit="none", decimals=1, thresholds=colours.above(*BEHIND)),
        ),
        "Requests": (rate, column(unit="none", decimals=1)),
        "Limit": (
            f"0 * {rate} + on (project) group_left () {gauge('poll_rate_limit', _HERE)}",
            column(unit="none"),
        ),
        "Used": (requests.used(_WINDOW), column(unit="percentunit", decimals=0)),
    }
    late = f"{_behind(_succeeded_or_begun())} >= bool {BEHIND[0]}"
    table = listing(about, *(rows(query) for query, _ in figures.values()), rows(late))
    titles = {f"Value #{letter}": name for letter, name in zip("ABCDEF", figures, strict=True)}
    table.transformations(
        [
            transformation("merge"),
            *map(sorted_by, ("operation", "project")),
            sorted_by("Value #G", descending=True),
            columns(project="Project", operation="Operation", **titles),
        ]
    )
    for name, (_, properties) in figures.items():
        table.override_by_name(name, properties)
    return table.override_by_name("Operation", [DynamicConfigValue("custom.minWidth", 175)]).filterable(False)


def _credentials_and_clock() -> Iterator[Builder[Panel]]:
    about = About(
        title="Hours until credentials expire",
        description="The exporter renews tokens 40 minutes before they expire. It cannot know when credentials from "
        "files expire.",
        unit="suffix:h",
        empty="Unknown: no expiry is reported",
        span=12,
        height=7,
    )
    yield named(lines(about, over_time(f"({_expiry()}) / 3600", "{{project}}")))
    about = About(
        title="Clock skew",
        description="Difference between the clocks of the cloud and the exporter. Beyond 15 minutes the cloud rejects "
        "signatures. With NTP it stays within two seconds.",
        unit="s",
        empty="Unknown: no response with a date yet",
        thresholds=colours.above(*SKEW),
        span=12,
        height=7,
    )
    yield named(lines(about, over_time(_skew(), "{{project}}")))
