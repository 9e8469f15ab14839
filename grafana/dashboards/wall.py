"""Wall: what is wrong, on one screen without scrolling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.common import BigValueTextMode
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from dashboards import alerts, colours, links, starts, variables
from dashboards.board import Face, board
from dashboards.bounds import SPIKE_SHARE, percent
from dashboards.panels import About, coloured_by, number
from dashboards.queries import (
    GROUP,
    affected,
    appearances,
    gauge,
    groups_without_servers,
    many_locks,
    now,
    total,
    with_group_name,
)
from exporter.metrics.exposition import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.builders import stat
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

TALL, LOW = 7, 6
"""Rows of the grid. A lower tile would have its name beside the number."""

_ALWAYS_BAD = coloured_by(colours.only(colours.BAD))

FACE = Face(
    uid=links.WALL,
    title="Wall",
    description="What is wrong, on one screen, for a wall in kiosk mode. Each tile is green or names what is wrong.",
)


def dashboard() -> Dashboard:
    """Return the dashboard."""
    versions = variables.client_version(), variables.agent_version()
    return board(FACE, [variables.carried(version) for version in versions], {"": _tiles()})


def _tiles() -> Iterator[Builder[Panel]]:
    for panel in (
        starts.successful(span=8, height=TALL, by="project"),
        starts.users_hit(span=8, height=TALL, by="project"),
        _groups(),
    ):
        yield panel.data_links([links.follow(links.SESSIONS)]).wide_layout(False)
    for panel in _locked(), starts.coverage(span=8, height=TALL, by="project"), _exporters():
        yield panel.wide_layout(False)
    yield alerts.tiles(span=24, height=LOW)


def _groups() -> stat.Panel:
    about = About(
        title="Failing server groups",
        description="Server groups without a registered server, and the failed share of starts of those in which at "
        f"least {percent(SPIKE_SHARE)} failed in the last 10 minutes while many users of the project fail.",
        unit="short",
        empty=starts.NO_ANSWERS,
        thresholds=colours.only(colours.GOOD),
        span=8,
        height=TALL,
    )
    group = ", ".join(GROUP)
    failed, started = (
        appearances(f"session_{what}_by_server_group_total", group, "10m") for what in ("init_failures", "starts")
    )
    down = groups_without_servers()
    failing = f"({failed} / ({started} > 0) >= {SPIKE_SHARE} and on (project) {affected()} unless on ({group}) {down})"
    none = f"0 * max({gauge('up')} == 1) unless on () ({down} or {failing})"
    panel = number(
        about,
        now(with_group_name(down), "{{group}} ({{project}})"),
        now(f"100 * {with_group_name(failing)}", "{{group}} ({{project}})"),
        now(none, "failing server groups"),
    )
    no_servers = colours.words({"0": ("no servers left", colours.BAD)})
    panel.override_by_query("A", [DynamicConfigValue("mappings", [colours.absent(), no_servers])])
    panel.override_by_query("B", [*_ALWAYS_BAD, DynamicConfigValue("unit", "suffix:% fail")])
    return panel.text_mode(BigValueTextMode.VALUE_AND_NAME).decimals(0)


def _locked() -> stat.Panel:
    about = About(
        title="Locked users",
        description="Users with a locked account. Red: in the last hour, more accounts of a project became locked "
        "than is usual, and enough for the alert WorkspaceUsersLocked: an attack, or a client that sends wrong "
        "passwords.",
        unit="short",
        empty=starts.NO_ANSWERS,
        thresholds=colours.only(colours.GOOD),
        span=8,
        height=TALL,
        follow=(links.follow(links.USERS),),
    )
    many = many_locks()
    few = f"{total('users_locked')} unless on () {many}"
    panel = number(about, now(many, "{{project}}: locked in 1 h"), now(few, "locked users"))
    panel.override_by_query("A", [*_ALWAYS_BAD, DynamicConfigValue("unit", "suffix: accounts")])
    return panel.text_mode(BigValueTextMode.VALUE_AND_NAME).decimals(0)


def _exporters() -> stat.Panel:
    about = About(
        title="Exporters up",
        description="Exporters that Prometheus reaches, of those seen within a day. The projects of an exporter that "
        "is down are not watched.",
        unit="short",
        empty="No exporter has been scraped within a day",
        thresholds=colours.only(colours.GOOD),
        span=8,
        height=TALL,
        follow=(links.follow(links.EXPORTER),),
    )
    up = f"(up and on (job, instance) last_over_time({PREFIX}exporter_build_info[1d]))"
    panel = number(about, now(f"sum({up}) unless on () {up} == 0", "exporters up"), now(f"{up} == 0", "{{instance}}"))
    panel.mappings([colours.absent(), colours.words({"0": ("down", colours.BAD)})])
    return panel.text_mode(BigValueTextMode.VALUE_AND_NAME)
