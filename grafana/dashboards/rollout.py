"""Client and agent versions: how many sessions have them, and which fail. A row of the Sessions dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from dashboards import colours
from dashboards.bounds import REGRESSING, REGRESSING_FAILURES
from dashboards.panels import About, column, columns, listing, named, stacked, transformation
from dashboards.queries import appearances, over_time, rows, total, with_version_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.builders import table
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Panel

EMPTY = "No sessions, or no fresh answers"

CHOSEN = 'client_version=~"$client_version", agent_version=~"$agent_version"'
"""Matchers for the chosen versions."""

_WINDOW = "$__range"

_HARDLY_ANY = 0.001
"""In place of a share of 0, because a ratio to 0 is infinite."""


def rollout() -> Iterator[Builder[Panel]]:
    """Yield the panels."""
    yield _clients()
    yield _adoption("client_version", "client")
    yield _agents()
    yield _adoption("agent_version", "agent")


def _sessions(label: str) -> str:
    return total("sessions_by_version", label, where=CHOSEN)


def _shares(label: str) -> str:
    """Return each version's share of the sessions."""
    return f"{_sessions(label)} / on () group_left () ({total('sessions_by_version', where=CHOSEN)} > 0)"


def _versions(about: About, label: str, *queries: str, **titles: str) -> table.Panel:
    """Return a table of versions, the oldest first. `unknown` and `other` come last."""
    panel = listing(about, *(rows(with_version_order(query, label)) for query in (_sessions(label), *queries)))
    panel.transformations(
        [
            transformation("merge"),
            transformation("sortBy", sort=[{"field": "order"}]),
            columns(**{label: "Version"}, **{"Value #A": "Sessions"}, **titles),
        ]
    )
    return panel.override_by_name("Sessions", column(width=80)).filterable(False)


def _clients() -> Builder[Panel]:
    about = About(
        title="Client versions",
        description="Sessions by client version now, and session starts in the time shown. Failed: share of the "
        "version's starts. vs. others: how many times the share of all other versions, with at least "
        f"{REGRESSING_FAILURES} failures. Above {REGRESSING[1]} the version fails more often: stop its rollout.",
        empty=EMPTY,
        span=14,
        height=6,
    )
    failed = appearances("session_init_failures_by_client_version_total", "client_version", _WINDOW)
    started = appearances("session_starts_by_client_version_total", "client_version", _WINDOW)
    failing = f"({failed} or 0 * {started}) / ({started} > 0)"
    others_failed, others_started = (f"(sum({each}) - on () group_right () {each})" for each in (failed, started))
    others = f"clamp_min({others_failed} / ({others_started} > 0), {_HARDLY_ANY})"
    compared = f"{failing} / {others} and {failed} >= {REGRESSING_FAILURES}"
    titles = {"Value #B": "Starts", "Value #C": "Failed", "Value #D": "vs. others"}
    panel = _versions(about, "client_version", started, failing, compared, **titles)
    panel.override_by_name("Starts", column(width=65, unit="short", decimals=0))
    panel.override_by_name("Failed", column(width=70, unit="percentunit", decimals=1))
    colour = colours.above(*REGRESSING, base=colours.UNKNOWN)
    times = column(width=90, unit="suffix:x", decimals=1, thresholds=colour)
    return panel.override_by_name("vs. others", [*times, DynamicConfigValue("noValue", "-")])


def _agents() -> Builder[Panel]:
    about = About(
        title="Agent versions",
        description="Sessions by agent version now. `unknown`: the session does not report one, for example while it "
        "starts.",
        empty=EMPTY,
        span=14,
        height=6,
    )
    panel = _versions(about, "agent_version", _shares("agent_version"), **{"Value #B": "Share"})
    return panel.override_by_name("Share", column(width=70, unit="percentunit", decimals=0))


def _adoption(label: str, what: str) -> Builder[Panel]:
    about = About(
        title=f"Adoption of {what} versions",
        description=f"Share of all sessions on each {what} version. A rollout is a colour that grows. Gaps: no "
        "sessions.",
        unit="percentunit",
        empty=EMPTY,
        span=10,
        height=6,
    )
    panel = named(stacked(about, over_time(_shares(label), f"{{{{{label}}}}}")))
    return panel.max(1).decimals(0)
