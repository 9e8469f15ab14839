"""The dashboards as the files that Grafana imports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import exporter, sessions, users, wall

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Dashboard


_BUILDERS = {"sessions": sessions, "users": users, "exporter": exporter, "wall": wall}


def files() -> dict[str, str]:
    """The content of each file, by its name."""
    return {f"{name}.json": _json(module.dashboard()) for name, module in _BUILDERS.items()}


def _json(dashboard: Dashboard) -> str:
    return json.dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
