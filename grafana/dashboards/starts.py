"""Session starts: how many fail, how long they take, and where they fail. A row of the dashboard of sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.common import BigValueTextMode

from dashboards import alerts, colours, links
from dashboards.panels import (
    About,
    bars,
    coloured_by,
    column,
    columns,
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
    SPIKE_SHARE,
    SPIKE_WINDOW,
    affected,
    appearances,
    covered,
    failing_users,
    gauge,
    groups_without_servers,
    increase,
    minimum_users,
    now,
    over_time,
    registered_servers,
    rows,
    series,
    share,
    total,
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

NO_ANSWERS = "Nothing is known: no answer is fresh, see the Exporter dashboard"
NO_NAMES = "None known, or metrics.per_user names nobody"

SLOW = (60, 120)
"""Seconds to Active that are slow, and very slow."""

_NO_STARTS = -1
"""In place of a share of nothing."""

_GROUP = ", ".join(GROUP)
_HOUR = "1h"
_BAR = "5m"  # at least so long is what a column stands for


def panels() -> Iterator[Builder[Panel]]:
    """The panels."""
    yield successful(span=5, height=4)
    yield _time_to_active(span=5, height=4)
    yield users_hit(span=5, height=4)
    yield _budget()
    yield coverage(span=4, height=4)
    yield _groups()
    yield alerts.firing(span=10, height=6)
    yield _history()
    yield _over_time()
    yield _durations()
    yield from _where()


def successful(span: int, height: int, by: str = "") -> stat.Panel:
    """The share of successful starts where it is worst; with ``by="project"`` of each project that is affected."""
    about = About(
        title="Start success",
        description=f"Share of the session starts of the last {SPIKE_WINDOW} that succeeded. Red is an incident: in a "
        f"project, at least {SPIKE_SHARE:.0%} of the starts failed, of enough users for an alert. Orange: enough users "
        "failed, but a smaller share. Otherwise, it is the share of all projects.",
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
        about, now(worst, _legend("starts that succeed", by)), now(usual, _legend("starts that succeed"))
    ).decimals(0)
    panel.mappings([colours.absent(), colours.words({f"{_NO_STARTS}": ("no starts", colours.UNKNOWN)})])
    panel.text_mode(BigValueTextMode.VALUE_AND_NAME if by else BigValueTextMode.VALUE)
    return panel.override_by_query("A", coloured_by(colours.below(1 - SPIKE_SHARE, 2)))


def _legend(what: str, by: str = "") -> str:
    return f"{{{{{by}}}}}: {what}" if by else what


def _time_to_active(span: int, height: int) -> stat.Panel:
    about = About(
        title="Time to Active",
        description="Within this time, 90 % of the sessions that started in the last hour became Active.",
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
    """How many people cannot start work; with ``by="project"`` in each project in which they are many."""
    about = About(
        title="Users failing",
        description=f"Distinct users whose session starts failed in the last {SPIKE_WINDOW}; without metrics about "
        "users, the failed starts. Red where a project has enough of them for an alert: 3, or more in large projects.",
        unit="short",
        empty=NO_ANSWERS,
        thresholds=colours.only(colours.GOOD),
        span=span,
        height=height,
    )
    users = failing_users(SPIKE_WINDOW)
    many = f"{users} >= on (project) {minimum_users()}"
    panel = number(
        about,
        now(f"sum by ({by}) ({many})", _legend("users cannot start", by)),
        now(f"sum({users}) unless on () ({many})", "users cannot start"),
    )
    panel.text_mode(BigValueTextMode.VALUE_AND_NAME if by else BigValueTextMode.VALUE).decimals(0)
    return panel.override_by_query("A", coloured_by(colours.only(colours.BAD)))


def _budget() -> stat.Panel:
    objective = series("session_start_error_budget_remaining:ratio").replace(PREFIX, f"project:{PREFIX}")
    about = About(
        title="Error budget",
        description="What is left of the failed starts that the objective allows in 30 days, in the project with the "
        "least. Comes from the shipped recording rules.",
        unit="percentunit",
        empty="unknown without the shipped rules",
        thresholds=colours.below(0, 0.25),
        span=5,
        height=4,
    )
    return number(about, now(f"min({objective})")).decimals(0)


def coverage(span: int, height: int) -> stat.Panel:
    """How many users the numbers speak for."""
    about = About(
        title="Coverage",
        description="Share of the watched users with a fresh answer about their sessions, in the project with the "
        "least. Below 100 % every count here is too low; the Exporter dashboard shows why.",
        unit="percentunit",
        empty="The exporter reports nothing: is it running?",
        thresholds=colours.below(0.9, 0.99),
        span=span,
        height=height,
        follow=(links.follow(links.EXPORTER),),
    )
    sessions = 'operation=~"ListSession.*"'
    return number(about, now(f"min ({covered(sessions)})")).decimals(0)


def _groups() -> Builder[Panel]:
    about = About(
        title="Server groups that fail",
        description="Server groups with failed session starts in the last hour, or without a registered server. "
        "Sessions start only on registered servers: so many are, of so many.",
        empty="None is known to have failed in the last hour",
        span=14,
        height=6,
    )
    by_group = "session_init_failures_by_server_group_total", "session_starts_by_server_group_total"
    failed, started = (f"{appearances(name, _GROUP, _HOUR)}" for name in by_group)
    shown = f"({failed} > 0 or {groups_without_servers()})"
    queries = failed, f"{failed} / ({started} > 0)", registered_servers(), total("app_servers", *GROUP)
    panel = listing(about, *(rows(with_group_name(f"({query} and on ({_GROUP}) {shown})")) for query in queries))
    titles = {"Value #A": "Failed", "Value #B": "Share", "Value #C": "Servers", "Value #D": "of"}
    panel.transformations(
        [
            transformation("merge"),
            columns(group="Server group", project="Project", **titles),
            sorted_by("Failed", descending=True),
        ]
    )
    panel.override_by_name("Project", column(width=75))
    panel.override_by_name("Failed", column(width=65, unit="short", decimals=0))
    panel.override_by_name("Share", column(width=65, unit="percentunit", decimals=0))
    panel.override_by_name("Servers", column(width=75, thresholds=colours.below(1, 1)))
    return panel.override_by_name("of", column(width=45)).filterable(False)


_STATES = {
    "0": ("none", colours.QUIET),
    "1": ("a few", colours.UNKNOWN),
    "2": ("many users", colours.WARNING),
    "3": ("incident", colours.BAD),
}
"""How badly starts fail, by rank."""


def _history() -> Builder[Panel]:
    about = About(
        title=HISTORY,
        description=f"Failed starts in the {SPIKE_WINDOW} before, by project. Incident: at least {SPIKE_SHARE:.0%} of "
        "the starts failed, of enough users for an alert. Many users: as many, but a smaller share.",
        empty=NO_ANSWERS,
        span=24,
        height=5,
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
        description="Session starts in each stretch of time, those that succeeded and those that failed.",
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
        description="Within this time, half and 90 % of the sessions became Active that started in the half hour "
        "before.",
        unit="s",
        empty="No start is known",
        span=10,
        height=7,
    )
    panel = lines(about, over_time(_quantile(0.9, "30m"), "90 %"), over_time(_quantile(0.5, "30m"), "Half"))
    panel.override_by_name("90 %", colours.fixed(colours.NEUTRAL))
    return panel.override_by_name("Half", colours.fixed(colours.SKY))


def _where() -> Iterator[Builder[Panel]]:
    about = About(
        title="By error code, 1 h",
        description="Failed starts of the last hour by the cloud's error code. One that stands out says what to look "
        "for.",
        unit="short",
        empty="None is known",
        thresholds=colours.some(colours.STATES["InitFail"]),
        span=12,
        height=7,
    )
    codes = f"topk(6, {appearances('session_init_failures_by_code_total', 'project, failed_code', _HOUR)} > 0)"
    everywhere = now(increase(FAILURES, window=_HOUR), "all")
    yield bars(about, everywhere, now(f"sort_desc({codes})", "{{failed_code}} ({{project}})")).decimals(0)
    about = About(
        title="Users at InitFail now",
        description="Users with a session that could not start, as long as the cloud lists it: call them back.",
        empty=NO_NAMES,
        span=12,
        height=7,
    )
    table = listing(about, rows(gauge("user_sessions", 'session_state="InitFail"')))
    table.transformations(
        [columns(user_name="User", project="Project", Value="Failed"), sorted_by("Failed", descending=True)]
    )
    yield table.override_by_name("Failed", column(width=65)).filterable(False)
