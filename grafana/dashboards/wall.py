"""Wall: what is wrong, on one screen that nobody has to scroll or to explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.common import BigValueTextMode
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from dashboards import alerts, colours, links, starts, variables
from dashboards.board import Face, board
from dashboards.panels import About, coloured_by, number
from dashboards.queries import (
    GROUP,
    SPIKE_SHARE,
    affected,
    appearances,
    gauge,
    groups_without_servers,
    minimum_users,
    now,
    registered_servers,
    share,
    total,
    with_group_name,
)
from exporter.metrics.exposition import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.builders import stat
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

LOCKED = 0.05
"""Share of locked users from which on they are many."""

TALL, LOW = 7, 6

_NO_SERVERS_KNOWN = -1
"""In place of a number of servers."""

_ALWAYS_BAD = coloured_by(colours.only(colours.BAD))

FACE = Face(
    uid=links.WALL,
    title="Wall",
    description="What is wrong, on one screen: for a wall, in kiosk mode. Coloured is what somebody has to look at.",
)


def dashboard() -> Dashboard:
    """The dashboard."""
    versions = variables.client_version(), variables.agent_version()
    return board(FACE, [variables.carried(version) for version in versions], {"": _tiles()})


def _tiles() -> Iterator[Builder[Panel]]:
    for panel in (
        starts.successful(span=8, height=TALL, by="project"),
        starts.users_hit(span=8, height=TALL, by="project"),
        _groups(),
    ):
        yield panel.data_links([links.follow(links.SESSIONS)])
    yield _locked()
    yield starts.coverage(span=8, height=LOW)
    yield _exporters()
    yield alerts.tiles(span=24, height=LOW)


def _groups() -> stat.Panel:
    about = About(
        title="Server groups that fail",
        description=f"Registered servers of the server groups that have none, or in which at least {SPIKE_SHARE:.0%} "
        "of the starts failed in the last 10 minutes while many users of the project cannot start.",
        unit="suffix: servers left",
        empty=starts.NO_ANSWERS,
        thresholds=colours.only(colours.GOOD),
        span=8,
        height=TALL,
    )
    group = ", ".join(GROUP)
    failed, started = (
        appearances(f"session_{what}_by_server_group_total", group, "10m") for what in ("init_failures", "starts")
    )
    failing = f"({failed} / ({started} > 0) >= {SPIKE_SHARE} and on (project) {affected()})"
    left = f"{registered_servers()} and on ({group}) {failing} or 0 * {failing} + {_NO_SERVERS_KNOWN}"
    shown = f"({groups_without_servers()} or {left})"
    none = f"0 * max({gauge('up')} == 1) unless on () {shown}"
    panel = number(about, now(with_group_name(shown), "{{group}} ({{project}})"), now(none, "server groups that fail"))
    without_servers = colours.words({f"{_NO_SERVERS_KNOWN}": ("starts fail", colours.BAD)})
    panel.mappings([colours.absent(), without_servers]).override_by_query("A", _ALWAYS_BAD)
    panel.override_by_query("B", [DynamicConfigValue("unit", "short")])
    return panel.text_mode(BigValueTextMode.VALUE_AND_NAME).decimals(0)


def _locked() -> stat.Panel:
    about = About(
        title="Locked users",
        description=f"Users whose account is locked. Orange are projects with at least {LOCKED:.0%} of their users "
        "locked, and with more than a few: an attack, or a client that sends wrong passwords.",
        unit="short",
        empty=starts.NO_ANSWERS,
        thresholds=colours.only(colours.GOOD),
        span=8,
        height=LOW,
        follow=(links.follow(links.USERS),),
    )
    locked = total("users_locked", "project")
    part = share(locked, total("users", "project"))
    many = f"({locked} and on (project) {part} >= {LOCKED} and on (project) {locked} >= on (project) {minimum_users()})"
    few = now(f"sum({locked}) unless on () {many}", "locked users")
    panel = number(about, now(many, "{{project}}: locked users"), few)
    panel.override_by_query("A", coloured_by(colours.only(colours.ACCOUNTS["locked"])))
    return panel.text_mode(BigValueTextMode.VALUE_AND_NAME)


def _exporters() -> stat.Panel:
    about = About(
        title="Exporters up",
        description="Exporters that Prometheus reaches, of those that it has reached within a day. What an exporter "
        "that is down watched is not known.",
        unit="short",
        empty="No exporter has been scraped within a day",
        thresholds=colours.only(colours.GOOD),
        span=8,
        height=LOW,
        follow=(links.follow(links.EXPORTER),),
    )
    up = f"(up and on (job, instance) last_over_time({PREFIX}exporter_build_info[1d]))"
    panel = number(about, now(f"sum({up}) unless on () {up} == 0", "exporters up"), now(f"{up} == 0", "{{instance}}"))
    panel.mappings([colours.absent(), colours.words({"0": ("down", colours.BAD)})])
    return panel.text_mode(BigValueTextMode.VALUE_AND_NAME)
