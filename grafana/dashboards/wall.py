"""Wall: what is wrong, on one screen that nobody has to scroll or to explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.common import BigValueTextMode

from dashboards import alerts, colours, links, starts
from dashboards.board import Face, board
from dashboards.panels import About, coloured_by, number
from dashboards.queries import (
    SPIKE_SHARE,
    affected,
    appearances,
    gauge,
    now,
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

LOCKED = (0.05, 0.1)
"""Shares of locked users that are many, and very many."""

TALL, LOW = 7, 6

_NO_SERVERS_KNOWN, _NONE = -1, -2
"""In place of a number of servers."""

_ALWAYS_BAD = coloured_by(colours.only(colours.BAD))

FACE = Face(
    uid=links.WALL,
    title="Wall",
    description="What is wrong, on one screen: for a wall, in kiosk mode. Coloured is what somebody has to look at.",
)


def dashboard() -> Dashboard:
    """The dashboard."""
    return board(FACE, [], {"": _tiles()})


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
    group = "project, app_server_group_id"
    failed, started = (
        appearances(f"session_{what}_by_server_group_total", group, "10m") for what in ("init_failures", "starts")
    )
    failing = f"({failed} / ({started} > 0) >= {SPIKE_SHARE} and on (project) {affected()})"
    registered = total("app_servers", "project", "app_server_group_id", where='status="REGISTERED"')
    shown = f"({registered} == 0 or {registered} and on ({group}) {failing} or 0 * {failing} + {_NO_SERVERS_KNOWN})"
    none = f"(0 * max({gauge('up')} == 1) + {_NONE}) unless on () {shown}"
    panel = number(about, now(with_group_name(shown), "{{group}} ({{project}})"), now(none, starts.EVERYWHERE))
    texts = {f"{_NO_SERVERS_KNOWN}": ("starts fail", colours.BAD), f"{_NONE}": ("none", colours.GOOD)}
    panel.mappings([colours.absent(), colours.words(texts)]).override_by_query("A", _ALWAYS_BAD)
    return panel.text_mode(BigValueTextMode.VALUE_AND_NAME).decimals(0)


def _locked() -> stat.Panel:
    many, too_many = LOCKED
    about = About(
        title="Locked users",
        description=f"Users whose account is locked. Orange from {many:.0%} of the users of a project on, red from "
        f"{too_many:.0%}: an attack, or a client that sends wrong passwords.",
        unit="short",
        empty=starts.NO_ANSWERS,
        thresholds=colours.only(colours.GOOD),
        span=8,
        height=LOW,
    )
    locked = total("users_locked", "project")
    part = share(locked, total("users", "project"))
    bad, warning = f"{part} >= {too_many}", f"({part} >= {many} < {too_many})"
    panel = number(
        about,
        now(f"{locked} and on (project) {bad}", "{{project}}"),
        now(f"{locked} and on (project) {warning}", "{{project}}"),
        now(f"sum({locked}) unless on () ({part} >= {many})", starts.EVERYWHERE),
    )
    panel.override_by_query("A", _ALWAYS_BAD).override_by_query("B", coloured_by(colours.only(colours.WARNING)))
    return panel.text_mode(BigValueTextMode.VALUE_AND_NAME).data_links([links.follow(links.USERS)])


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
    up = f"up and on (job, instance) last_over_time({PREFIX}exporter_build_info[1d])"
    panel = number(about, now(f"sum({up}) unless on () ({up}) == 0", "all of them"), now(f"{up} == 0", "{{instance}}"))
    panel.mappings([colours.absent(), colours.words({"0": ("down", colours.BAD)})])
    return panel.text_mode(BigValueTextMode.VALUE_AND_NAME)
