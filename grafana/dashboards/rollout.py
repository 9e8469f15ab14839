"""Client and agent versions: who has which, and which fail. A row of the dashboard of sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards import colours
from dashboards.panels import About, beside, column, columns, listing, stacked, transformation
from dashboards.queries import SPIKE_SHARE, appearances, over_time, rows, total, with_version_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.builders import table
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Panel

EMPTY = "No session, or nothing is known"

CHOSEN = 'client_version=~"$client_version", agent_version=~"$agent_version"'
"""Matches the chosen versions."""

_WINDOW = "$__range"


def rollout() -> Iterator[Builder[Panel]]:
    """The panels."""
    yield _clients()
    yield _adoption("client_version", "client")
    yield _agents()
    yield _adoption("agent_version", "agent")


def _versions(about: About, label: str, *queries: str, **titles: str) -> table.Panel:
    """A row for each version, the oldest first. Those that do not report it, and those folded, come last."""
    sessions = total("sessions_by_version", label, where=CHOSEN)
    whole = f"({total('sessions_by_version', where=CHOSEN)} > 0)"
    asked = (sessions, f"{sessions} / on () group_left () {whole}", *queries)
    panel = listing(about, *(rows(with_version_order(query, label)) for query in asked))
    panel.transformations(
        [
            transformation("merge"),
            transformation("sortBy", sort=[{"field": "order"}]),
            columns(**{label: "Version"}, **{"Value #A": "Sessions", "Value #B": "Share"}, **titles),
        ]
    )
    panel.override_by_name("Sessions", column(width=80))
    return panel.override_by_name("Share", column(width=65, unit="percentunit", decimals=0)).filterable(False)


def _clients() -> Builder[Panel]:
    about = About(
        title="Client versions",
        description="Sessions by client version now, and which share of the version's session starts failed in the "
        "time shown. A new version that fails more often than the old one is one to "
        "stop rolling out.",
        empty=EMPTY,
        span=12,
        height=6,
    )
    failed = appearances("session_init_failures_by_client_version_total", "client_version", _WINDOW)
    started = appearances("session_starts_by_client_version_total", "client_version", _WINDOW)
    failing = f"({failed} or 0 * {started}) / ({started} > 0)"
    titles = {"Value #C": "Starts", "Value #D": "Failed"}
    panel = _versions(about, "client_version", started, failing, **titles)
    panel.override_by_name("Starts", column(width=65, unit="short", decimals=0))
    colour = colours.above(SPIKE_SHARE / 2, SPIKE_SHARE, base=colours.UNKNOWN)
    return panel.override_by_name("Failed", column(width=65, unit="percentunit", decimals=1, thresholds=colour))


def _agents() -> Builder[Panel]:
    about = About(
        title="Agent versions",
        description="Sessions by agent version now. `unknown` are sessions that do not report it, such as those that "
        "are just starting.",
        empty=EMPTY,
        span=12,
        height=6,
    )
    return _versions(about, "agent_version")


def _adoption(label: str, what: str) -> Builder[Panel]:
    about = About(
        title=f"Adoption of {what} versions",
        description=f"Share of all sessions on each {what} version: a rollout is a colour that grows. Gaps are times "
        "without sessions.",
        unit="percentunit",
        empty=EMPTY,
        span=12,
        height=6,
    )
    sessions = total("sessions_by_version", label, where=CHOSEN)
    whole = f"({total('sessions_by_version', where=CHOSEN)} > 0)"
    panel = beside(stacked(about, over_time(f"{sessions} / on () group_left () {whole}", f"{{{{{label}}}}}")))
    return panel.max(1).decimals(0)
