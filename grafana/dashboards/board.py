"""What the dashboards have in common, around their panels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, RowPanel

from dashboards import links, variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from grafana_foundation_sdk.builders.dashboard import AnnotationQuery
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models import dashboard as models

TAGS = ["huaweicloud-workspace", "prometheus"]
REFRESH = "1m"
"""The exporter's own interval: more often shows nothing new."""


@dataclass(frozen=True, kw_only=True)
class Face:
    """How a dashboard is found, and that it first shows the last ``hours``."""

    uid: str
    title: str
    description: str
    hours: int


def board(
    face: Face,
    choices: Iterable[Builder[models.VariableModel]],
    rows: Mapping[str, Iterable[Builder[models.Panel]]],
    annotations: Iterable[AnnotationQuery] = (),
) -> models.Dashboard:
    """A dashboard with further choices, and with rows of panels under their titles."""
    dashboard = Dashboard(f"Huawei Cloud Workspace / {face.title}").uid(face.uid).description(face.description)
    dashboard.tags(TAGS).time(f"now-{face.hours}h", "now").refresh(REFRESH).timezone("browser").editable()
    dashboard.tooltip(DashboardCursorSync.CROSSHAIR).links(list(links.others(face.uid)))
    dashboard.annotations(list(annotations)).variables([variables.datasource(), variables.project(), *choices])
    for row, panels in rows.items():
        dashboard.with_row(Row(row))
        for panel in panels:
            dashboard.with_panel(panel)
    return _finished(dashboard.build())


def _finished(dashboard: models.Dashboard) -> models.Dashboard:
    """With ids, of which the addresses of single panels are made, and without what the SDK sets but Grafana ignores."""
    for variable in dashboard.templating.list_val or ():
        variable.auto = variable.auto_count = variable.auto_min = None
    for number, panel in enumerate(dashboard.panels or (), start=1):
        panel.id_val = number
        if isinstance(panel, RowPanel):
            panel.collapsed = False
    return dashboard
