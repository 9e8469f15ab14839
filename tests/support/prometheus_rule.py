"""The PrometheusRule of the Kubernetes overlay, made from the rules that Prometheus reads."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import walk_tree

CONFIGURATION = Path("deploy/prometheus/prometheus.yml")
RULES = Path("deploy/prometheus/rules")
MANIFEST = Path("deploy/kubernetes/with-operator/prometheusrule.yaml")
HEADER = "# Made from deploy/prometheus/rules by `make kubernetes`.\n"


def prometheus_rule(root: Path) -> str:
    """Return the manifest: the groups of all files of rules, in the files' order.

    Groups without an interval get ours: the one that the Operator's Prometheus has may be longer.
    """
    yaml = YAML(typ="safe", pure=True)
    interval = yaml.load(root / CONFIGURATION)["global"]["evaluation_interval"]
    groups = [
        {"interval": interval, **group}
        for file in sorted((root / RULES).glob("*.yml"))
        for group in yaml.load(file)["groups"]
    ]
    manifest: dict[str, Any] = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "workspace-exporter"},
        "spec": {"groups": groups},
    }
    walk_tree(manifest)  # a text of several lines is written in several lines
    writer = YAML()
    writer.default_flow_style = False
    writer.width = 10_000
    text = io.StringIO()
    writer.dump(manifest, text)
    return HEADER + text.getvalue()


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    (directory / MANIFEST).write_text(prometheus_rule(directory), "utf-8")
