"""Where the rollout of client and agent versions stands: a row of the dashboard of sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards import colours
from dashboards.panels import About, bars, column, listing, shares, text, transformation
from dashboards.queries import now, over_time, rows, total

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Panel

EMPTY = "No session, or nothing is known"

CHOSEN = 'client_version=~"$client_version", agent_version=~"$agent_version"'
"""Matches the chosen versions."""


def rollout() -> Iterator[Builder[Panel]]:
    """The panels."""
    for label, what in (("client_version", "client"), ("agent_version", "agent")):
        yield from _of(label, what)
    yield from _compared()


def _of(label: str, what: str) -> Iterator[Builder[Panel]]:
    sessions = total("sessions_by_version", label, where=CHOSEN)
    about = About(
        title=f"Oldest {what} version in use",
        description=f"The lowest {what} version of any session, comparing numbers part by part. Sessions that do not "
        "say their version, and versions folded into `other`, are left out.",
        unit="none",
        empty=EMPTY,
        span=5,
    )
    told = total("sessions_by_version", label, where=f'{CHOSEN}, {label}!~"unknown|other"')
    yield text(about, label, rows(_with_order(told, label))).transformations(
        [transformation("sortBy", sort=[{"field": "order"}]), transformation("limit", limitField="1")]
    )
    about = About(
        title=f"Sessions by {what} version",
        description=f"Share of all sessions on each {what} version now. `unknown` are sessions that do not say it, "
        "such as those that are just starting.",
        unit="percentunit",
        empty=EMPTY,
        span=7,
    )
    whole = f"({total('sessions_by_version', where=CHOSEN)} > 0)"
    yield bars(about, now(f"sort_desc({sessions} / on () group_left () {whole})", f"{{{{{label}}}}}")).max(1)
    about = About(
        title=f"Adoption of {what} versions",
        description=f"How the share of each {what} version has changed: a rollout is a colour that grows.",
        unit="short",
        empty=EMPTY,
        span=12,
    )
    yield shares(about, over_time(sessions, f"{{{{{label}}}}}"))


def _with_order(sessions: str, label: str) -> str:
    """With a label `order` that sorts as text like the version's first four numbers do."""
    padded = ".".join(f"000000${part}" for part in range(1, 5))
    numbers = r"(\\d+)" + r"(?:\\.(\\d+))?" * 3 + ".*"
    cut = r"0*(\\d{6})" + r"\\.0*(\\d{6})" * 3
    ordered = f'label_replace({sessions}, "order", "{padded}", "{label}", "{numbers}")'
    return f'label_replace({ordered}, "order", "$1.$2.$3.$4", "order", "{cut}")'


def _compared() -> Iterator[Builder[Panel]]:
    about = About(
        title="Client versions side by side",
        description="Sessions by client version and state now. A version with more InitFail or Disconnected than its "
        "share of the sessions is one to stop rolling out.",
        unit="short",
        empty=EMPTY,
        span=24,
        height=7,
    )
    sessions = total("sessions_by_version", "client_version", "session_state", where=CHOSEN)
    names = {"columnField": "session_state", "rowField": "client_version", "valueField": "Value"}
    table = listing(about, rows(sessions)).transformations(
        [
            transformation("groupingToMatrix", **names, emptyValue="zero"),
            transformation("organize", renameByName={"client_version\\session_state": "Client version"}),
        ]
    )
    yield table.override_by_name("InitFail", column(unit="short", thresholds=colours.above(1, 5)))
