"""Exporter: is what the other dashboards show true and fresh?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards import calls, colours, links, process, variables
from dashboards.board import Face, board
from dashboards.panels import About, bounded, column, columns, history, lines, listing, number, transformation
from dashboards.queries import MINIMUM_STEP, covered, gauge, now, over_time, rows, series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

SILENT = "The exporter says nothing: is it running, and scraped?"
_HERE = 'instance=~"$instance"'


FACE = Face(
    uid=links.EXPORTER,
    title="Exporter",
    description="Whether what the other dashboards show is true and fresh, what it costs, and what stands in the way.",
    hours=6,
)


def dashboard() -> Dashboard:
    """The dashboard."""
    return board(
        FACE,
        [
            variables.exporter_version(),
            variables.instance(),
            variables.carried(variables.client_version()),
            variables.carried(variables.agent_version()),
        ],
        {
            "Is what I see true and fresh?": _trust(),
            "Freshness": _freshness(),
            "Calls to the cloud": calls.panels(),
            "Credentials and clock": _credentials(),
            "The exporter itself": process.panels(),
        },
    )


def _trust() -> Iterator[Builder[Panel]]:
    about = About(
        title="Projects that the cloud answers for",
        description="Projects for which the cloud has answered about at least one user.",
        unit="percentunit",
        empty=SILENT,
        thresholds=colours.below(0.5, 1),
        span=5,
        height=5,
    )
    yield number(about, now(f"avg ({gauge('up', _HERE)})")).decimals(0)
    about = About(
        title="Users covered",
        description="Share of the configured users whose last answer is fresh, about sessions or accounts, in the "
        "project with the least. In bulk or user by user: the better of the two counts. Below 100 % counts are too "
        "low.",
        unit="percentunit",
        empty=SILENT,
        thresholds=colours.below(0.9, 0.99),
        span=5,
        height=5,
    )
    yield number(about, now(f"min ({covered(_HERE)})")).decimals(0)
    about = About(
        title="Rounds behind",
        description="How long ago a round last went without a failed call, in rounds; where none has yet, how long "
        "ago they began. Up to 2 is normal; from 3 on answers go stale.",
        unit="short",
        empty=SILENT,
        thresholds=colours.above(2, 3),
        span=5,
        height=5,
    )
    yield number(about, now(f"max ((time() - {_succeeded_or_begun()}) / {_interval()})")).decimals(1)
    yield from process.scraped()


def _coverage() -> str:
    return gauge("poll_coverage_ratio", _HERE, of="min")


def _with_source(expression: str) -> str:
    """With a label that says whether the project is asked about user by user or in bulk, where the exporter tells."""
    source = f"topk by (project) (1, max by (project, source) ({series('poll_source_info', _HERE)}))"
    return f"{expression} * on (project) group_left (source) {source} or on (project, operation) {expression}"


def _age() -> str:
    return f"(time() - {_succeeded()})"


def _succeeded() -> str:
    return gauge("poll_last_success_timestamp_seconds", _HERE)


def _succeeded_or_begun() -> str:
    """When a round last succeeded; where none has, when they began: with the process, or later, within two days."""
    interval = series("poll_interval_seconds", _HERE)
    process = "on (job, instance) group_left () process_start_time_seconds"
    seen = f"(min_over_time(timestamp({interval})[2d:{MINIMUM_STEP}]) or timestamp({interval}))"
    begun = f"max by (project, operation) ({seen} > {process} or 0 * {interval} + {process})"
    return f"({_succeeded()} or {begun})"


def _interval() -> str:
    return gauge("poll_interval_seconds", _HERE)


def _freshness() -> Iterator[Builder[Panel]]:
    about = About(
        title="Freshness by project",
        description="ListSessionByUserName brings sessions and ListUserDetail accounts, user by user. Large projects "
        "are asked about in bulk, by ListSessions and ListUsers. The interval grows beyond the configured one when "
        "there are more users than calls.",
        empty=SILENT,
        span=12,
    )
    round_took = gauge("poll_duration_seconds", _HERE)
    table = listing(about, rows(_with_source(_coverage())), rows(_age()), rows(_interval()), rows(round_took))
    titles = {"Value #A": "Covered", "Value #B": "Last complete round", "Value #C": "Interval", "Value #D": "Took"}
    table.transformations(
        [transformation("merge"), columns(project="Project", source="Source", operation="Asked for", **titles)]
    ).override_by_name("Covered", column(thresholds=colours.below(0.9, 0.99), unit="percentunit"))
    for name in ("Last complete round", "Interval", "Took"):
        table.override_by_name(name, column(unit="s"))
    yield table
    yield from _freshness_over_time()


def _freshness_over_time() -> Iterator[Builder[Panel]]:
    about = About(
        title="Projects that the cloud answers for, over time",
        description="Green while the cloud answers about at least one user of the project.",
        unit="bool_yes_no",
        empty=SILENT,
        thresholds=colours.below(0.5, 1),
        span=12,
    )
    yield history(
        about,
        colours.ranges((0, "no", colours.BAD), (1, "yes", colours.QUIET)),
        over_time(gauge("up", _HERE), "{{project}}"),
    )
    about = About(
        title="Users covered, over time",
        description="Share of the configured users whose last answer is fresh. A dip is a time at which counts were "
        "too low.",
        unit="percentunit",
        empty=SILENT,
        thresholds=colours.below(0.9, 0.99),
        span=12,
    )
    yield bounded(lines(about, over_time(_coverage(), "{{project}} {{operation}}")).max(1))
    about = About(
        title="Age of the last complete round",
        description="How long ago a round last went without a failed call. A saw-tooth as high as the interval is "
        "normal; a line that keeps climbing is not.",
        unit="s",
        empty="No round has gone without a failed call yet",
        thresholds=colours.above(900, 3600),
        span=12,
    )
    yield lines(about, over_time(_age(), "{{project}} {{operation}}"))


def _credentials() -> Iterator[Builder[Panel]]:
    about = About(
        title="Credentials end in",
        description="When the present credentials end. The exporter renews tokens 40 minutes ahead: less than that "
        "means that the renewal fails.",
        unit="s",
        empty="These credentials do not say when they end",
        thresholds=colours.below(600, 1800),
        span=12,
    )
    left = f"{gauge('credentials_expiry_timestamp_seconds', _HERE, of='min')} - time()"
    yield bounded(lines(about, over_time(left, "{{project}}")))
    about = About(
        title="Clock skew",
        description="The cloud's clock less the exporter's. Signatures are refused beyond 15 minutes; a clock kept by "
        "NTP stays within a second or two.",
        unit="s",
        empty="No answer with a date yet",
        thresholds=colours.apart(60, 600),
        span=12,
    )
    yield lines(about, over_time(gauge("clock_skew_seconds", _HERE), "{{project}}"))
