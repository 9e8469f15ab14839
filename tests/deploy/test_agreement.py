"""What several deployments need is the same in all of them, and written once where that is possible."""

from __future__ import annotations

import re
import tomllib

from support.documents import DOCUMENTS, ROOT, read
from support.ways_to_run import DEPLOY, load

MEMORY = 256
"""MiB. The exporter's own limit is 200 (`Promise.BOUNDED`), measured in tests/faults/test_hostile.py."""

GUIDE = read(DEPLOY / "README.md")


def test_the_memory_limit_is_the_same_everywhere_and_above_what_is_promised() -> None:
    (container,) = load(DEPLOY / "kubernetes/base/deployment.yaml")["spec"]["template"]["spec"]["containers"]
    chart = load(DEPLOY / "helm/huaweicloud-workspace-exporter/values.yaml")
    units = [(DEPLOY / f"systemd/workspace-exporter{at}.service").read_text("utf-8") for at in ("", "@")]
    assert container["resources"]["limits"]["memory"] == f"{MEMORY}Mi"
    assert chart["resources"]["limits"]["memory"] == f"{MEMORY}Mi"
    assert load(DEPLOY / "compose.yaml")["services"]["exporter"]["mem_limit"] == f"{MEMORY}m"
    assert [re.findall(r"^MemoryMax=(.*)$", unit, re.MULTILINE) for unit in units] == [[f"{MEMORY}M"]] * 2
    assert f"The memory limit is {MEMORY} MiB" in GUIDE


def test_versions_of_other_programs_are_named_in_one_document() -> None:
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \| ([\d.]*) ?\|", GUIDE.partition("## Versions")[2], re.MULTILINE)
    oldest = {name: version for name, version, _ in rows}
    services = load(DEPLOY / "compose.yaml")["services"]
    in_compose = {name: services[name.lower()]["image"].partition(":")[2].lstrip("v") for name, _, has in rows if has}
    assert in_compose == {name: version for name, _, version in rows if version}
    assert in_compose.keys() == {"Prometheus", "Alertmanager", "Grafana"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (sdk,) = [each for each in project["dependency-groups"]["dev"] if "grafana-foundation-sdk" in each]
    assert sdk.rpartition("!")[2].startswith(oldest["Grafana"])
    assert project["project"]["requires-python"] == f">={oldest['Python']}"
    for document in DOCUMENTS:
        if "helm" in document.parts:  # it has kubeVersion of Chart.yaml
            continue
        named = re.findall(r"(?:Prometheus|Alertmanager|Grafana|systemd|Kubernetes) v?\d[\d.]+", read(document))
        assert named == [], document
