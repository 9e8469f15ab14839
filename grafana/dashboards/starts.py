"""Session starts: how many fail, how long they take, and where they fail. A row of the Sessions dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.common import BigValueTextMode
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from dashboards import alerts, colours, links
from dashboards.bounds import BUDGET, CAPACITY, COVERAGE, SLOW, SPIKE_MINUTES, SPIKE_SHARE, SPIKE_WINDOW, percent
from dashboards.panels import (
    About,
    bars,
    coloured_by,
    column,
    columns,
    counted,
    counts,
    history,
    lines,
    listing,
    number,
    sorted_by,
    transformation,
)
from dashboards.queries import (
    GROUP,
    affected,
    appearances,
    covered,
    failing_users,
    gauge,
    groups_without_servers,
    increase,
    known_failing_users,
    minimum_users,
    now,
    over_time,
    registered_servers,
    rows,
    series,
    share,
    total,
    used_capacity,
    with_group_name,
)
from exporter.metrics.exposition import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.builders import stat
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Panel

STARTS, FAILURES = "session_starts_total", "session_init_failures_total"
HISTORY, OVER_TIME = "When and where starts failed", "Session starts"

NO_ANSWERS = "Unknown: no fresh answers. See the Exporter dashboard."
NO_STARTS = "Unknown: no starts"
NO_NAMES = "None known, or metrics.per_user shows no names"

_NO_STARTS = -1
"""In place of a share where nothing started."""

_GROUP = ", ".join(GROUP)
_HOUR = "1h"
_BAR = "5m"  # at least so long is what a column stands for


def panels() -> Iterator[Builder[Panel]]:
    """Yield the panels."""
    yield successful(span=5, height=4)
    yield _time_to_active(span=5, height=4)
    yield users_hit(span=5, height=4)
    yield _budget()
    yield coverage(span=4, height=4)
    yield alerts.firing(span=24, height=4)
    yield _groups()
    yield _history()
    yield _over_time()
    yield _durations()
    yield from _where()


def successful(span: int, height: int, by: str = "") -> stat.Panel:
    """Return the lowest share of successful starts; with ``by="project"``, that of each affected project."""
    about = About(
        title="Start success",
        description=f"Share of successful session starts in the last {SPIKE_MINUTES:g} minutes. Red: at least "
        f"{percent(SPIKE_SHARE)} of a project's starts failed, and enough users are affected for the alert "
        "WorkspaceInitFailSpike. Orange: as many users, but a smaller share. A coloured tile shows the worst project, "
        "a green one all projects.",
        unit="percentunit",
        empty=NO_ANSWERS,
        thresholds=colours.only(colours.GOOD),
        span=span,
        height=height,
    )
    started = increase(STARTS, window=SPIKE_WINDOW)
    failed = share(increase(FAILURES, window=SPIKE_WINDOW), started)
    worst = f"min by ({by}) (1 - {affected()})"
    usual = f"(1 - ({failed}) or 0 * {started} + {_NO_STARTS}) unless on () {affected()}"
    panel = number(
        about, now(worst, _legend("successful session starts", by)), now(usual, _legend("successful session starts"))
    ).decimals(0)
    panel.mappings([colours.absent(), colours.words({f"{_NO_STARTS}": ("no starts", colours.UNKNOWN)})])
    panel.text_mode(BigValueTextMode.VALUE_AND_NAME if by else BigValueTextMode.VALUE)
    return panel.override_by_query("A", coloured_by(colours.below(1 - SPIKE_SHARE, 2)))


def _legend(what: str, by: str = "") -> str:
    return f"{{{{{by}}}}}: {what}" if by else what


def _time_to_active(span: int, height: int) -> stat.Panel:
    about = About(
        title="Time to Active",
        description="90 % of the sessions that started in the last hour became Active within this time. Orange from "
        f"{SLOW[0]} s on, as the alert WorkspaceSessionStartsSlow; red from {SLOW[1]} s on.",
        unit="s",
        empty=NO_ANSWERS,
        thresholds=colours.above(*SLOW),
        span=span,
        height=height,
    )
    return number(about, now(_quantile(0.9, _HOUR)), unknown="no starts known").decimals(0)


def _quantile(quantile: float, window: str) -> str:
    return f"histogram_quantile({quantile}, {increase('session_init_duration_seconds_bucket', 'le', window=window)})"


def users_hit(span: int, height: int, by: str = "") -> stat.Panel:
    """Return the number of failing users; with ``by="project"``, that of each affected project."""
    about = About(
        title="Failing users",
        description=f"Distinct users with a failed session start in the last {SPIKE_MINUTES:g} minutes. Without "
        "metrics about users, failed starts are counted. Red: enough for the alert WorkspaceInitFailSpike, which needs "
        "3 users in most projects and up to 10 in large ones.",
        unit="short",
        empty=NO_ANSWERS,
        thresholds=colours.only(colours.GOOD),
        span=span,
        height=height,
    )
    users, known = failing_users(SPIKE_WINDOW), known_failing_users(SPIKE_WINDOW)
    many = f"({users} >= on (project) {minimum_users()})"
    panel = number(
        about,
        now(f"sum by ({by}) ({many} and on (project) {known})", _legend("cannot start work", by)),
        now(f"sum by ({by}) ({many} unless on (project) {known})", _legend("cannot start work", by)),
        now(f"sum({users}) unless on () {many}", "users cannot start work"),
    )
    panel.text_mode(BigValueTextMode.VALUE_AND_NAME if by else BigValueTextMode.VALUE).decimals(0)
    for letter, unit in (("A", "suffix: users"), ("B", "suffix: failed starts")):
        red = coloured_by(colours.only(colours.BAD))
        panel.override_by_query(letter, [*red, DynamicConfigValue("unit", unit)])
    return panel


def _budget() -> stat.Panel:
    objective = series("session_start_error_budget_remaining:ratio").replace(PREFIX, f"project:{PREFIX}")
    about = About(
        title="Error budget",
        description="Share of the failed starts allowed in 30 days that is left, in the project with the least. Below "
        "0 the objective is missed. The shipped recording rules calculate it.",
        unit="percentunit",
        empty="Unknown without the shipped rules",
        thresholds=colours.below(*BUDGET),
        span=5,
        height=4,
    )
    return number(about, now(f"min({objective})")).decimals(0)


def coverage(span: int, height: int, by: str = "") -> stat.Panel:
    """Return the lowest coverage; with ``by="project"``, that of each project in which it is too low."""
    about = About(
        title="Coverage",
        description="Share of the watched users with fresh numbers about their sessions, in the project with the "
        "least. Below 100 % all counts are too low. The Exporter dashboard shows why.",
        unit="percentunit",
        empty="Unknown: is the exporter running?",
        thresholds=colours.below(*COVERAGE),
        span=span,
        height=height,
        follow=(links.follow(links.EXPORTER),),
    )
    sessions = covered('operation=~"ListSession.*"')
    low = f"({sessions} < {COVERAGE[1]})"
    panel = number(
        about,
        now(f"min by ({by}) ({low})", _legend("users with fresh numbers", by)),
        now(f"min ({sessions}) unless on () {low}", "users with fresh numbers"),
    )
    return panel.text_mode(BigValueTextMode.VALUE_AND_NAME if by else BigValueTextMode.VALUE).decimals(0)


def _groups() -> Builder[Panel]:
    about = About(
        title="Server groups with a problem",
        description="Server groups with failed session starts in the last hour, without a registered server, or with "
        f"at least {percent(CAPACITY[0])} of their capacity used. Sessions start only on registered servers. Failed "
        "and Failed share are of the last hour.",
        empty="None known. If users are not covered, a problem may be unknown.",
        span=24,
        height=5,
    )
    by_group = "session_init_failures_by_server_group_total", "session_starts_by_server_group_total"
    failed, started = (f"{appearances(name, _GROUP, _HOUR)}" for name in by_group)
    shown = f"({failed} > 0 or {groups_without_servers()} or {used_capacity()} >= {CAPACITY[0]})"
    figures = {
        "Failed": (failed, column(width=75, unit="short", decimals=0)),
        "Failed share": (f"{failed} / ({started} > 0)", column(width=100, unit="percentunit", decimals=0)),
        "Servers": (total("app_servers", *GROUP), column(width=80)),
        "Registered": (registered_servers(), column(width=90, thresholds=colours.below(1, 1))),
        "Capacity used": (
            used_capacity(),
            column(width=115, unit="percentunit", decimals=0, thresholds=colours.above(*CAPACITY)),
        ),
    }
    queries = (rows(with_group_name(f"({query} and on ({_GROUP}) {shown})")) for query, _ in figures.values())
    panel = listing(about, *queries)
    titles = {f"Value #{letter}": name for letter, name in zip("ABCDE", figures, strict=True)}
    panel.transformations(
        [
            transformation("merge"),
            columns(group="Server group", project="Project", **titles),
            sorted_by("Failed", descending=True),
        ]
    )
    for name, (_, properties) in figures.items():
        panel.override_by_name(name, properties)
    return panel.filterable(False)


_STATES = {
    "0": ("none", colours.QUIET),
    "1": ("a few", colours.UNKNOWN),
    "2": ("many users", colours.WARNING),
    "3": ("incident", colours.BAD),
}
"""The severity of failed starts, by rank."""


def _history() -> Builder[Panel]:
    about = About(
        title=HISTORY,
        description=f"Failed starts of each project in the {SPIKE_MINUTES:g} minutes before. Incident: at least "
        f"{percent(SPIKE_SHARE)} of the starts failed, and enough users are affected for the alert "
        "WorkspaceInitFailSpike. Many users: as many, but a smaller share. A few: fewer users. Gaps: the project was "
        "not reported.",
        empty=NO_ANSWERS,
        span=24,
        height=6,
    )
    failures = increase(FAILURES, "project", window=SPIKE_WINDOW)
    ranks = (
        f"0 * ({affected()} >= {SPIKE_SHARE}) + 3",
        f"0 * {affected()} + 2",
        f"0 * ({failures} > 0) + 1",
        f"0 * {failures}",
    )
    worst = f"max_over_time(({' or '.join(ranks)})[{_BAR}:1m])"
    return history(about, [colours.words(_STATES)], over_time(worst, "{{project}}"))


def _over_time() -> Builder[Panel]:
    about = About(
        title=OVER_TIME,
        description="Successful and failed session starts in each interval.",
        unit="short",
        empty=NO_ANSWERS,
        span=14,
        height=7,
    )
    failed, started = (increase(name, window="$__interval") for name in (FAILURES, STARTS))
    panel = counts(
        about, over_time(f"{failed} > 0", "Failed", _BAR), over_time(f"{started} - {failed}", "Successful", _BAR)
    )
    panel.override_by_name("Failed", colours.fixed(colours.STATES["InitFail"]))
    return panel.override_by_name("Successful", colours.fixed(colours.UNKNOWN))


def _durations() -> Builder[Panel]:
    about = About(
        title="Time to Active over time",
        description="Half, and 90 %, of the sessions that started in the half hour before became Active within this "
        "time.",
        unit="s",
        empty=NO_STARTS,
        span=10,
        height=7,
    )
    panel = lines(about, over_time(_quantile(0.9, "30m"), "90 %"), over_time(_quantile(0.5, "30m"), "Half"))
    panel.override_by_name("90 %", colours.fixed(colours.NEUTRAL))
    return panel.override_by_name("Half", colours.fixed(colours.SKY))


def _where() -> Iterator[Builder[Panel]]:
    about = About(
        title="By error code, last hour",
        description="Failed session starts of the last hour, and the most common error codes of the cloud.",
        unit="short",
        empty=NO_ANSWERS,
        thresholds=colours.some(colours.STATES["InitFail"]),
        span=10,
        height=10,
    )
    codes = f"topk(6, {appearances('session_init_failures_by_code_total', 'project, failed_code', _HOUR)} > 0)"
    everywhere = now(increase(FAILURES, window=_HOUR), "All failed starts")
    yield bars(about, everywhere, now(f"sort_desc({codes})", "{{failed_code}} ({{project}})")).decimals(0)
    about = About(
        title="Users at InitFail now",
        description="Users with a session in state InitFail, while the cloud lists it. They may need a call.",
        empty=NO_NAMES,
        span=14,
        height=10,
    )
    table = listing(about, rows(gauge("user_sessions", 'session_state="InitFail"')))
    table.transformations(
        [columns(user_name="User", project="Project", Value="Failed"), sorted_by("Failed", descending=True)]
    )
    yield counted(table.override_by_name("Failed", column(width=75)).filterable(False))
