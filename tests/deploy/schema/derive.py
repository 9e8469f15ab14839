"""Derives JSON schemas of the Prometheus Operator's kinds from a package that is generated from their definitions.

`make operator-schema` writes the result beside this file, so that the tests need neither the package nor what it needs.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cloudcoil.models.prometheus_operator.v1 import PrometheusRule, ServiceMonitor

PACKAGE = "cloudcoil-models-prometheus-operator"
OF_KUBERNETES = "ObjectMeta"  # whose schema is Kubernetes' own


def strict(schema: Any) -> Any:
    """Return the schema without prose, refusing keys that the definition does not know."""
    match schema:
        case dict():
            kept = {key: strict(value) for key, value in schema.items() if key != "$defs" and not _prose(key, value)}
            return kept | ({"additionalProperties": False} if "properties" in kept else {})
        case list():
            return [strict(each) for each in schema]
        case str():
            return schema.replace("^(?i)", "(?i)^")  # as Python wants what Go writes
        case _:
            return schema


def _prose(key: str, value: Any) -> bool:
    return key in {"title", "description", "default"} and not isinstance(value, dict)


def derived(model: type[PrometheusRule | ServiceMonitor]) -> dict[str, Any]:
    """Return the schema of one kind."""
    schema = model.model_json_schema()
    used = {name: strict(each) for name, each in schema["$defs"].items() if name != OF_KUBERNETES}
    return {**strict(schema), "$defs": used | {OF_KUBERNETES: {"type": "object"}}}


if __name__ == "__main__":
    result: dict[str, Any] = {"derivedFrom": f"{PACKAGE} {version(PACKAGE)}"}
    result |= {model.__name__: derived(model) for model in (PrometheusRule, ServiceMonitor)}
    Path(sys.argv[1]).write_text(json.dumps(result, indent=1) + "\n", "utf-8")
