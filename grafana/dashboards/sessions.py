"""Sessions: can people start work, what are they doing, and on which versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery

from dashboards import alerts, colours, links, starts, variables
from dashboards.board import Face, board
from dashboards.panels import (
    About,
    bars,
    beside,
    by_state,
    column,
    columns,
    lines,
    listing,
    sorted_by,
    stacked,
)
from dashboards.queries import SPIKE_SHARE, affected, gauge, now, over_time, rows, share, total
from dashboards.rollout import CHOSEN, rollout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

ENOUGH = 5
"""Sessions that a share must be a share of: one of two that is disconnected at night says nothing."""

PER_USER = "Sessions per user"

FACE = Face(
    uid=links.SESSIONS,
    title="Sessions",
    description="Whether people can start work: failed session starts first, then all sessions by state and version.",
    folded=(PER_USER,),
    unmarked=(starts.HISTORY, starts.OVER_TIME),
)


def dashboard() -> Dashboard:
    """The dashboard."""
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
    """Marks each incident in the graphs, as one even where it pauses for some minutes."""
    found = f"max_over_time(({affected()} >= {SPIKE_SHARE})[10m:1m])"
    query = AnnotationQuery().name("Many failed starts").datasource(variables.SOURCE).expr(found)
    return query.enable(True).icon_color(colours.BAD)


def _of(state: str) -> str:
    """Sessions of the chosen versions in a state. Versions have no zeros: those come from the sessions as a whole."""
    where = f'session_state="{state}"'
    return f"{total('sessions_by_version', where=f'{where}, {CHOSEN}')} or 0 * {total('sessions', where=where)}"


def _states() -> Iterator[Builder[Panel]]:
    about = About(
        title="Sessions now",
        description="Sessions of the watched users and chosen versions, by state. AppcInit is starting, "
        "Disconnected is running without its user, InitFail could not start.",
        unit="short",
        empty=starts.NO_ANSWERS,
        span=8,
    )
    yield by_state(bars(about, *(now(_of(state), state) for state in colours.STATES)))
    about = About(
        title="Sessions over time",
        description="Sessions by state. During a gap nothing is known.",
        unit="short",
        empty=starts.NO_ANSWERS,
        span=16,
    )
    yield by_state(beside(stacked(about, *(over_time(_of(state), state) for state in colours.STATES))))
    about = About(
        title="Active sessions by project",
        description="How many people work in each project, whatever their version.",
        unit="short",
        empty=starts.NO_ANSWERS,
        span=12,
        height=7,
    )
    yield beside(lines(about, over_time(total("sessions", "project", where='session_state="Active"'), "{{project}}")))
    about = About(
        title="Disconnected sessions",
        description="Share of Disconnected among Active and Disconnected sessions, where there are at least "
        f"{ENOUGH}. It rises during lunch; a jump at another time means that connections break.",
        unit="percentunit",
        empty=f"Nothing is known, or fewer than {ENOUGH} sessions",
        span=12,
        height=7,
    )
    away = total("sessions", "project", where='session_state="Disconnected"')
    running = total("sessions", "project", where='session_state=~"Active|Disconnected"')
    yield beside(lines(about, over_time(share(away, running, least=ENOUGH), "{{project}}"))).max(1)


def _per_user() -> Iterator[Builder[Panel]]:
    per_user = f"sum by (project, user_name) ({gauge('user_sessions')})"
    about = About(
        title="Users with most sessions",
        description="The ten users with most sessions in any state. Several of one user may be forgotten ones.",
        empty=starts.NO_NAMES,
        span=24,
    )
    table = listing(about, rows(f"topk(10, {per_user})"))
    table.transformations(
        [columns(project="Project", user_name="User", Value="Sessions"), sorted_by("Sessions", descending=True)]
    )
    yield table.override_by_name("Sessions", column(width=110))
