"""The committed dashboards as Grafana would read them: their panels, and their queries with variables filled in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = Path(__file__).parents[2] / "grafana"
NAMES = ("exporter.json", "sessions.json", "users.json", "wall.json")

_PIXELS = 1000  # Grafana requests about a point per pixel
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|([A-Za-z_]\w*))")

Json = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """A query of a panel; ``step`` is None if only the end of the range is queried, else in seconds."""

    where: str
    expression: str
    hours: float
    step: int | None

    def filled(self, chosen: Mapping[str, str]) -> str:
        """The expression with these choices, and with Grafana's own variables. Raises KeyError for an unknown one."""
        step = self.step or 60
        builtin = {
            "__interval": f"{step}s",
            "__rate_interval": f"{max(2 * step, 4 * step)}s",
            "__range": f"{self.hours:g}h",
        }
        return fill(self.expression, {**builtin, **chosen})


def load(name: str) -> Json:
    """A dashboard."""
    dashboard: Json = json.loads((FOLDER / name).read_text("utf-8"))
    return dashboard


def panels(dashboard: Json) -> list[Json]:
    """Its panels, also those in collapsed rows, without the rows' titles."""
    return [panel for panel in everything(dashboard) if panel["type"] != "row"]


def everything(dashboard: Json) -> list[Json]:
    """Its rows' titles and its panels, also those in collapsed rows."""
    return [part for panel in dashboard["panels"] for part in (panel, *panel.get("panels", ()))]


def variables(dashboard: Json) -> dict[str, Json]:
    """Its variables by name."""
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def queries(name: str) -> Iterator[Query]:
    """Every query of a dashboard's panels and annotations."""
    dashboard = load(name)
    hours = float(dashboard["time"]["from"].removeprefix("now-").removesuffix("h"))
    for panel in panels(dashboard):
        for target in panel["targets"]:
            where = f"{name}: {panel['title']} {target['refId']}"
            step = None if target.get("instant") else _step(target.get("interval", "15s"), hours)
            yield Query(where, target["expr"], hours, step)
    for annotation in dashboard.get("annotations", {}).get("list", []):
        yield Query(f"{name}: {annotation['name']}", annotation["expr"], hours, _step("1m", hours))


def fill(text: str, values: Mapping[str, str]) -> str:
    """A text with values in place of variables. Raises KeyError for an unknown one."""
    return _VARIABLE.sub(lambda match: values[match[1] or match[2]], text)


def used(text: str) -> set[str]:
    """The variables that a text refers to, without Grafana's own."""
    return {name for match in _VARIABLE.findall(text) if not (name := match[0] or match[1]).startswith("__")}


def _step(least: str, hours: float) -> int:
    return max(int(least[:-1]) * _UNITS[least[-1]], round(hours * 3600 / _PIXELS))
