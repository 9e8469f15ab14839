"""Sessions: can people start work, what are they doing, and on which versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery

from dashboards import colours, links, variables
from dashboards.board import Face, board
from dashboards.panels import (
    About,
    bars,
    bounded,
    by_number,
    by_state,
    columns,
    counts,
    distribution,
    history,
    lines,
    listing,
    number,
    stacked,
    transformation,
)
from dashboards.queries import appearances, covered, gauge, increase, now, over_time, rows, share, total
from dashboards.rollout import CHOSEN, rollout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

FAILURES = "session_init_failures_total"
INCIDENT = 5
"""Failed starts within ten minutes above which a project is marked."""

NO_ANSWERS = "Nothing is known: no answer is fresh, see the Exporter dashboard"
NO_NAMES = "Nobody, or metrics.per_user names nobody"

_FAILED = 'session_state="InitFail"'
_BAR = "5m"  # at least so long is what a column stands for


FACE = Face(
    uid=links.SESSIONS,
    title="Sessions",
    description="Whether people can start work: failed session starts first, then all sessions by state and version.",
)


def dashboard() -> Dashboard:
    """The dashboard."""
    return board(
        FACE,
        [variables.client_version(), variables.agent_version()],
        {
            "Can people start work? (failed starts are not told by version)": _failures(),
            "Sessions by state": _states(),
            "Where the rollout of versions stands": rollout(),
            "How many sessions people have": _per_user(),
        },
        [_incidents()],
    )


def _incidents() -> AnnotationQuery:
    """Marks each incident in every graph of the dashboard."""
    found = f"{increase(FAILURES, 'project', window='10m')} > {INCIDENT}"
    query = AnnotationQuery().name("Many failed starts").datasource(variables.SOURCE).expr(found)
    return query.enable(True).icon_color(colours.BAD)


def _failures() -> Iterator[Builder[Panel]]:
    yield from _failures_now()
    yield _trust()
    yield _failures_by_project()
    yield _failures_by("session_init_failures_by_code_total", "failed_code", "error code")
    yield _failures_by("session_init_failures_by_server_group_total", "app_server_group_id", "server group")
    about = About(
        title="Users at InitFail now",
        description="Whose session could not start, as far as the cloud still lists it: the people to call back.",
        unit="short",
        empty=NO_NAMES,
        span=6,
    )
    table = listing(about, rows(gauge("user_sessions", _FAILED)))
    yield table.transformations([columns(project="Project", user_name="User", Value="Failed sessions")])


def _failures_now() -> Iterator[Builder[Panel]]:
    about = About(
        title="Failed starts in 10 minutes",
        description="Sessions that went to InitFail in the last 10 minutes: people who could not start work. A few are "
        "everyday; many at once are an incident.",
        unit="short",
        empty=NO_ANSWERS,
        thresholds=colours.above(3, INCIDENT + 1),
        span=6,
        height=5,
    )
    yield number(about, now(increase(FAILURES, window="10m"))).decimals(0)
    about = About(
        title="Failed starts for the number of users",
        description="The same divided by the configured users, in the project that is hit hardest.",
        unit="percentunit",
        empty=NO_ANSWERS,
        thresholds=colours.above(0.02, 0.05),
        span=6,
        height=5,
    )
    by_project = increase(FAILURES, "project", window="10m")
    yield number(about, now(f"max ({share(by_project, total('users', 'project'))})")).decimals(1)
    about = About(
        title="Sessions at InitFail now",
        description="Failed sessions that the cloud still lists; it drops them after a while.",
        unit="short",
        empty=NO_ANSWERS,
        thresholds=colours.above(3, 10),
        span=6,
        height=5,
    )
    yield number(about, now(total("sessions", where=_FAILED)))


def _trust() -> Builder[Panel]:
    about = About(
        title="Users these numbers speak for",
        description="Share of the configured users whose last answer is fresh, in bulk or user by user. Below "
        "100 % every count here is too low; the Exporter dashboard says why.",
        unit="percentunit",
        empty="The exporter says nothing: is it running?",
        thresholds=colours.below(0.9, 0.99),
        span=6,
        height=5,
        follow=(links.follow(links.EXPORTER),),
    )
    sessions = 'operation=~"ListSession.*"'
    return number(about, now(f"min ({covered(sessions)})")).decimals(0)


def _failures_by_project() -> Builder[Panel]:
    about = About(
        title="When and where starts failed",
        description=f"Failed starts within the 10 minutes before, by project. More than {INCIDENT} are marked in all "
        "graphs of this dashboard.",
        unit="short",
        empty=NO_ANSWERS,
        thresholds=colours.above(3, INCIDENT + 1),
        span=24,
        height=6,
    )
    return history(about, [], over_time(increase(FAILURES, "project", window="10m"), "{{project}}")).decimals(0)


def _failures_by(metric: str, label: str, what: str) -> Builder[Panel]:
    about = About(
        title=f"Failed starts by {what}",
        description=f"How many starts failed in each stretch of time, by the cloud's {what}. One {what} that stands "
        "out is where to look; all at once point to something they share.",
        unit="short",
        empty="No start has failed in this time",
        span=9,
    )
    return counts(about, over_time(f"{appearances(metric, label, '$__interval')} > 0", f"{{{{{label}}}}}", _BAR))


def _states() -> Iterator[Builder[Panel]]:
    # Versions know no zeros: those come from the sessions as a whole.
    states = (
        f"{total('sessions_by_version', 'session_state', where=CHOSEN)} or 0 * {total('sessions', 'session_state')}"
    )
    about = About(
        title="Sessions now",
        description="Sessions of the configured users and chosen versions, by state. AppcInit is starting, "
        "Disconnected is running without its user, InitFail could not start.",
        unit="short",
        empty=NO_ANSWERS,
        span=8,
    )
    yield by_state(bars(about, now(states, "{{session_state}}")))
    about = About(
        title="Sessions over time",
        description="Sessions by state. Gaps are times for which nothing is known.",
        unit="short",
        empty=NO_ANSWERS,
        span=16,
    )
    yield by_state(stacked(about, over_time(states, "{{session_state}}")))
    yield from _by_project()


def _by_project() -> Iterator[Builder[Panel]]:
    about = About(
        title="Active sessions by project",
        description="How many people are at work in each project, whatever their version.",
        unit="short",
        empty=NO_ANSWERS,
        span=12,
    )
    yield lines(about, over_time(total("sessions", "project", where='session_state="Active"'), "{{project}}"))
    about = About(
        title="Share of sessions disconnected",
        description="Disconnected among all that run. Lunch breaks make it rise; a jump in between means that "
        "connections break.",
        unit="percentunit",
        empty="No session runs, or nothing is known",
        thresholds=colours.above(0.4, 0.6),
        span=12,
    )
    away = total("sessions", "project", where='session_state="Disconnected"')
    running = total("sessions", "project", where='session_state=~"Active|Disconnected"')
    yield bounded(lines(about, over_time(share(away, running), "{{project}}")).max(1))


def _per_user() -> Iterator[Builder[Panel]]:
    per_user = f"sum by (project, user_name) ({gauge('user_sessions')})"
    about = About(
        title="Sessions per user",
        description="Sessions in any state divided by the configured users.",
        unit="short",
        empty=NO_ANSWERS,
        span=6,
    )
    yield number(about, now(share(total("sessions"), total("users")))).decimals(2)
    about = About(
        title="Users by number of sessions",
        description="Users by their number of sessions, without those who have none. Several sessions of one user "
        "may be forgotten ones.",
        unit="short",
        empty=NO_NAMES,
        span=9,
    )
    counted = distribution(about, "Sessions", rows(f'count_values("sessions", {per_user})'))
    yield counted.transformations([columns(sessions="Sessions", Value="Users"), *by_number("Sessions")])
    about = About(
        title="Users with most sessions",
        description="The ten users with most sessions.",
        unit="short",
        empty=NO_NAMES,
        thresholds=colours.above(3, 5),
        span=9,
    )
    table = listing(about, rows(f"topk(10, {per_user})"))
    yield table.transformations(
        [
            columns(project="Project", user_name="User", Value="Sessions"),
            transformation("sortBy", sort=[{"field": "Sessions", "desc": True}]),
        ]
    )
