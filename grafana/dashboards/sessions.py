"""Sessions: can people start work, what are they doing, and on which versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery

from dashboards import alerts, colours, links, starts, variables
from dashboards.board import Face, board
from dashboards.bounds import ABANDONED, SPIKE_SHARE, STUCK
from dashboards.panels import (
    About,
    bars,
    by_state,
    coloured_by,
    column,
    columns,
    lines,
    listing,
    moderate,
    named,
    number,
    sorted_by,
    stacked,
)
from dashboards.queries import affected, gauge, minimum_users, now, over_time, rows, share, total
from dashboards.rollout import CHOSEN, rollout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

ENOUGH = 5
"""Minimum number of sessions for a share. At night, one of two would be 50 %."""

PER_USER = "Sessions per user"

FACE = Face(
    uid=links.SESSIONS,
    title="Sessions",
    description="Whether people can start work: session starts first, then all sessions by state and version.",
    folded=(PER_USER,),
    unmarked=(starts.HISTORY, starts.OVER_TIME),
)


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return board(
        FACE,
        [variables.client_version(), variables.agent_version()],
        {
            "Can people start work?": starts.panels(),
            "Sessions by state": _states(),
            "Versions": rollout(),
            PER_USER: _per_user(),
        },
        [_incidents(), alerts.marked()],
    )


def _incidents() -> AnnotationQuery:
    """Return annotations of incidents. A pause of some minutes does not split one."""
    found = f"max_over_time(({affected()} >= {SPIKE_SHARE})[10m:1m])"
    query = AnnotationQuery().name("Many failed starts").datasource(variables.SOURCE).expr(found)
    return query.enable(True).icon_color(colours.BAD)


def _of(state: str) -> str:
    """Sessions of the chosen versions in a state. The metric by version has no zeros; `sessions` has."""
    where = f'session_state="{state}"'
    return f"{total('sessions_by_version', where=f'{where}, {CHOSEN}')} or 0 * {total('sessions', where=where)}"


def _states() -> Iterator[Builder[Panel]]:
    about = About(
        title="Sessions now",
        description="Sessions of the watched users with the chosen versions. AppcInit: starts. Disconnected: runs "
        "without its user. InitFail: failed to start.",
        unit="short",
        empty=starts.NO_ANSWERS,
        span=8,
    )
    yield by_state(bars(about, *(now(_of(state), state) for state in colours.STATES)))
    about = About(
        title="Sessions over time",
        description="Sessions with the chosen versions, by state. Gaps: no fresh answers.",
        unit="short",
        empty=starts.NO_ANSWERS,
        span=16,
    )
    yield by_state(named(stacked(about, *(over_time(_of(state), state) for state in colours.STATES))))
    about = About(
        title="Active sessions, by project",
        description="Active sessions of each project, of all versions.",
        unit="short",
        empty=starts.NO_ANSWERS,
        span=8,
        height=7,
    )
    yield named(lines(about, over_time(total("sessions", "project", where='session_state="Active"'), "{{project}}")))
    about = About(
        title="Share disconnected",
        description="Disconnected sessions per Active and Disconnected sessions, where there are at least "
        f"{ENOUGH}. It rises at lunch. A jump at another time means that connections break.",
        unit="percentunit",
        empty=f"Unknown, or fewer than {ENOUGH} sessions",
        span=8,
        height=7,
    )
    away = total("sessions", "project", where='session_state="Disconnected"')
    running = total("sessions", "project", where='session_state=~"Active|Disconnected"')
    yield named(lines(about, over_time(share(away, running, least=ENOUGH), "{{project}}"))).max(1)
    yield _overdue()


def _overdue() -> Builder[Panel]:
    about = About(
        title="Stuck and abandoned",
        description="Sessions in state AppcInit for more than 5 minutes, and Disconnected for more than 72 hours. "
        "Orange: a project has enough stuck sessions for the alert WorkspaceSessionsStuck.",
        unit="short",
        empty=starts.NO_ANSWERS,
        thresholds=colours.calm(),
        span=8,
        height=7,
    )
    stuck = f"sum by (project) ({gauge('sessions_by_age', STUCK)})"
    many = f"({stuck} >= on (project) {minimum_users()})"
    abandoned = now(total("sessions_by_age", where=ABANDONED), "abandoned")
    panel = number(about, now(f"sum({many})", "stuck"), now(f"sum({stuck}) unless on () {many}", "stuck"), abandoned)
    panel.override_by_query("A", coloured_by(colours.only(colours.WARNING))).wide_layout(False)
    return moderate(panel)


def _per_user() -> Iterator[Builder[Panel]]:
    per_user = f"sum by (project, user_name) ({gauge('user_sessions')})"
    about = About(
        title="Users with most sessions",
        description="The ten users with the most sessions in any state. Some may be forgotten sessions.",
        empty=starts.NO_NAMES,
        span=24,
        height=12,
    )
    table = listing(about, rows(f"topk(10, {per_user})"))
    table.transformations(
        [columns(project="Project", user_name="User", Value="Sessions"), sorted_by("Sessions", descending=True)]
    )
    yield table.override_by_name("Sessions", column(width=110))
