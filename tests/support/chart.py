"""Writes the generated parts of the Helm chart: its copies of rules and dashboards, the schema and the table of values.

`python tests/support/chart.py .` in the root of the repository. The sources are values.yaml, its comments that begin
with `# --`, and the declaration of the exporter's settings.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from exporter.config.settings import Settings

CHART = Path("deploy/helm/huaweicloud-workspace-exporter")
COPIES = {"files/rules": ("deploy/prometheus/rules", "*.yml"), "files/dashboards": ("grafana", "*.json")}
"""Directories of the chart, and the files that they have copies of."""
BEGIN, END = "<!-- values -->\n", "<!-- /values -->"

_NAME = "^([a-z0-9]([-.a-z0-9]*[a-z0-9])?)?$"
_DURATION = "([0-9]+(ms|[smhdwy]))+"
_TEXTS = {"additionalProperties": {"type": "string"}}
_TIMING = {
    "additionalProperties": False,
    "properties": {
        name: {"type": "integer", "minimum": 0}
        for name in ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold")
    },
}
_LIMITS: dict[str, dict[str, Any]] = {
    "nameOverride": {"pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$"},
    "fullnameOverride": {"pattern": "^([a-z]([-a-z0-9]*[a-z0-9])?)?$"},
    "commonLabels": _TEXTS,
    "image.repository": {"minLength": 1},
    "image.digest": {"pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "existingConfigMap": {"pattern": _NAME},
    "existingSecret": {"pattern": _NAME},
    "usersFile.existingConfigMap": {"pattern": _NAME},
    "web.tlsSecret": {"pattern": _NAME},
    "web.existingSecret": {"pattern": _NAME},
    "web.config": {
        "additionalProperties": False,
        "properties": {
            name: {"type": "object"} for name in ("tls_server_config", "http_server_config", "basic_auth_users")
        },
    },
    "shards": {"minimum": 1, "maximum": 1000},
    "serviceAccount.name": {"pattern": _NAME},
    "serviceAccount.annotations": _TEXTS,
    "service.annotations": _TEXTS,
    "service.labels": _TEXTS,
    "serviceMonitor.labels": _TEXTS,
    "serviceMonitor.interval": {"pattern": f"^{_DURATION}$"},
    "serviceMonitor.scrapeTimeout": {"pattern": f"^({_DURATION})?$"},
    "prometheusRule.labels": _TEXTS,
    "prometheusRule.interval": {"pattern": f"^{_DURATION}$"},
    "prometheusRule.grafanaUrl": {"pattern": "^(https?://.+)?$"},
    "dashboards.labels": _TEXTS,
    "dashboards.annotations": _TEXTS,
    "podDisruptionBudget.maxUnavailable": {"type": ["integer", "string"], "minimum": 0},
    "resources": {
        "additionalProperties": False,
        "properties": {"requests": {"type": "object"}, "limits": {"type": "object"}, "claims": {"type": "array"}},
    },
    "startupProbe": _TIMING,
    "livenessProbe": _TIMING,
    "readinessProbe": _TIMING,
    "progressDeadlineSeconds": {"minimum": 1},
    "terminationGracePeriodSeconds": {"minimum": 0},
    "podAnnotations": _TEXTS,
    "podLabels": _TEXTS,
    "nodeSelector": _TEXTS,
    "extraArgs": {"items": {"type": "string"}},
}
"""What a value must be, besides being of the type of its default."""
_TYPES = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
_OURS = {"shard", "web.listen_address", "web.systemd_socket", "web.config_file"}
"""Settings that the chart makes itself."""


def descriptions(values: str) -> dict[str, str]:
    """Return the description of each value by its path: the comment before it that begins with `# --`."""
    found: dict[str, str] = {}
    parents: list[str] = []
    text = ""
    for line in values.splitlines():
        if match := re.fullmatch(r" *# -- (.+)", line):
            text = match[1]
        elif match := re.match(r"((?:  )*)(\w+):", line):
            parents[len(match[1]) // 2 :] = [match[2]]
            if text:
                found[".".join(parents)] = text
            text = ""
    return found


def values_table(root: Path) -> str:
    """Return the Markdown table of all values."""
    text = (root / CHART / "values.yaml").read_text("utf-8")
    values = YAML(typ="safe", pure=True).load(text)
    table = "| value | default | meaning |\n|---|---|---|\n"
    for path, meaning in descriptions(text).items():
        default = values
        for key in path.split("."):
            default = default[key]
        table += f"| `{path}` | `{json.dumps(default)}` | {meaning} |\n"
    return table


def readme(root: Path) -> str:
    """Return the chart's README with the table of values in place."""
    before, rest = (root / CHART / "README.md").read_text("utf-8").split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{values_table(root)}\n{END}{after}"


def values_schema(root: Path) -> str:
    """Return values.schema.json."""
    text = (root / CHART / "values.yaml").read_text("utf-8")
    schema = _section(YAML(typ="safe", pure=True).load(text), descriptions(text), ())
    schema["properties"]["global"] = {"type": "object", "description": "Values of a parent chart. Not used."}
    return json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", **schema}, indent=2) + "\n"


def _section(values: dict[str, Any], meanings: dict[str, str], path: tuple[str, ...]) -> dict[str, Any]:
    """Return the schema of values that are described one by one."""
    properties: dict[str, Any] = {}
    for key, default in values.items():
        name = ".".join((*path, key))
        if name not in meanings:
            properties[key] = _section(default, meanings, (*path, key))
        elif name == "config":
            properties[key] = {"description": meanings[name]} | _settings()
        else:
            limits = _LIMITS.get(name, {"items": {"type": "object"}} if isinstance(default, list) else {})
            properties[key] = {"description": meanings[name], "type": _TYPES[type(default)], **limits}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _settings() -> dict[str, Any]:
    """Return the schema of the exporter's configuration file."""
    whole = Settings.model_json_schema()
    return _setting(whole, whole["$defs"], "") | {"description": "The configuration file."}


def _setting(found: dict[str, Any], sections: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the schema of a setting as YAML has it, without secrets and without what the chart sets."""
    options = found.get("anyOf", [found])  # of an optional setting, the type and null
    kind = options[0]
    if reference := kind.get("$ref"):
        kind = sections[reference.rpartition("/")[2]]
    result = {"description": found["description"]} if "description" in found else {}
    match kind["type"]:
        case "object" if "properties" in kind:
            inside = {name: (f"{path}.{name}".lstrip("."), each) for name, each in kind["properties"].items()}
            result |= {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    name: _setting(each, sections, place)
                    for name, (place, each) in inside.items()
                    if place not in _OURS and (place == "http.proxy" or "writeOnly" not in json.dumps(each))
                },
            }
            if path == "projects[].users[]":
                result["type"] = ["string", "object"]  # a name alone is a user, too
        case "object":
            result |= {"type": "object", "additionalProperties": kind["additionalProperties"]}
        case "array":
            result |= {"type": "array", "items": _setting(kind["items"], sections, f"{path}[]")}
        case "number" if "minimum" not in kind:  # only durations have no bounds in the schema
            result["anyOf"] = [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^(0|{_DURATION})$"}]
        case _ if path == "log.level":
            result["type"] = "string"  # in any case, and also `warn`
        case _:
            result |= {key: kind[key] for key in ("type", "enum", "minimum", "maximum") if key in kind}
    return result


def copies(root: Path) -> dict[Path, bytes]:
    """Return the contents of the chart's copies, by their paths below the root."""
    return {
        CHART / directory / source.name: source.read_bytes()
        for directory, (origin, pattern) in COPIES.items()
        for source in sorted((root / origin).glob(pattern))
    }


def generated(root: Path) -> dict[Path, bytes]:
    """Return the contents of all generated files, by their paths below the root."""
    texts = {CHART / "values.schema.json": values_schema(root), CHART / "README.md": readme(root)}
    return copies(root) | {path: text.encode() for path, text in texts.items()}


def present(root: Path) -> set[Path]:
    """Return the paths of all files that the chart has as copies."""
    return {path.relative_to(root) for directory in COPIES for path in (root / CHART / directory).iterdir()}


if __name__ == "__main__":
    repository = Path(sys.argv[1])
    for path in present(repository) - copies(repository).keys():
        (repository / path).unlink()
    for path, contents in generated(repository).items():
        (repository / path).write_bytes(contents)
