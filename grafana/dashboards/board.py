"""The parts that all dashboards share: links, variables, rows and annotations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.models.dashboard import AnnotationPanelFilter, DashboardCursorSync, RowPanel

from dashboards import links, variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from grafana_foundation_sdk.builders.dashboard import AnnotationQuery
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models import dashboard as models

TAGS = ["huaweicloud-workspace", "prometheus"]
REFRESH = "1m"
"""The exporter's polling interval."""


@dataclass(frozen=True, kw_only=True)
class Face:
    """The identity of a dashboard, and how it looks at first: it shows the last ``hours``.

    ``folded`` are the titles of rows that are collapsed at first, ``unmarked`` those of panels without annotations.
    """

    uid: str
    title: str
    description: str
    hours: int = 6
    folded: tuple[str, ...] = ()
    unmarked: tuple[str, ...] = ()


def board(
    face: Face,
    choices: Iterable[Builder[models.VariableModel]],
    rows: Mapping[str, Iterable[Builder[models.Panel]]],
    annotations: Iterable[AnnotationQuery] = (),
) -> models.Dashboard:
    """Return a dashboard with further variables, and with rows of panels by title."""
    dashboard = Dashboard(f"Huawei Cloud Workspace / {face.title}").uid(face.uid).description(face.description)
    dashboard.tags(TAGS).time(f"now-{face.hours}h", "now").refresh(REFRESH).timezone("browser").editable()
    dashboard.tooltip(DashboardCursorSync.CROSSHAIR).links(list(links.others(face.uid)))
    dashboard.annotations(list(annotations)).variables([variables.datasource(), variables.project(), *choices])
    for title, panels in rows.items():
        row = Row(title)
        if title in face.folded:
            for panel in panels:
                row.with_panel(panel)
            dashboard.with_row(row)
            continue
        if title:
            dashboard.with_row(row)
        for panel in panels:
            dashboard.with_panel(panel)
    return _finished(dashboard.build(), face.unmarked)


def _finished(dashboard: models.Dashboard, unmarked: tuple[str, ...]) -> models.Dashboard:
    """Number the panels, because links to a panel contain its id, and remove what Grafana ignores."""
    for variable in dashboard.templating.list_val or ():
        variable.auto = variable.auto_count = variable.auto_min = None
    panels = list(_every(dashboard.panels or ()))
    for number, panel in enumerate(panels, start=1):
        panel.id_val = number
        if isinstance(panel, RowPanel):
            panel.collapsed = bool(panel.panels)
    excluded = [panel.id_val for panel in panels if panel.title in unmarked and panel.id_val]
    for annotation in dashboard.annotations.list_val or ():
        annotation.filter_val = AnnotationPanelFilter(exclude=True, ids=excluded) if excluded else None
    return dashboard


def _every(panels: Iterable[models.Panel | RowPanel]) -> Iterator[models.Panel | RowPanel]:
    """Yield all rows and panels, also those in collapsed rows."""
    for panel in panels:
        yield panel
        if isinstance(panel, RowPanel):
            yield from panel.panels
