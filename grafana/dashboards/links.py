"""Links between the dashboards."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models.dashboard import DashboardLinkType

WALL, SESSIONS, USERS, EXPORTER = (
    "huaweicloud-workspace-wall",
    "huaweicloud-workspace-sessions",
    "huaweicloud-workspace-users",
    "huaweicloud-workspace-exporter",
)
"""The dashboards' uids. They are part of addresses and never change."""

_TITLES = {
    WALL: ("Wall", "What is wrong, on one screen"),
    SESSIONS: ("Sessions", "Failed starts, and sessions by state and version"),
    USERS: ("Users", "Accounts that keep people from working"),
    EXPORTER: ("Exporter", "Whether the numbers are complete and fresh"),
}


def others(uid: str) -> list[DashboardLink]:
    """Return a link to each other dashboard, which keeps the time range and variables."""
    return [
        DashboardLink(title)
        .type(DashboardLinkType.LINK)
        .icon("dashboard")
        .tooltip(tooltip)
        .url(f"/d/{other}")
        .include_vars(True)
        .keep_time(True)
        for other, (title, tooltip) in _TITLES.items()
        if other != uid
    ]


def follow(uid: str) -> DashboardLink:
    """Return a link from a panel's values to a dashboard, with the same time range and variables."""
    title, _ = _TITLES[uid]
    chosen = "${__url_time_range}&${datasource:queryparam}&${project:queryparam}"
    return DashboardLink(f"{title} dashboard").url(f"/d/{uid}?{chosen}")
