"""The addresses in alerts: of the repository, which has the runbook, and of Grafana.

`python tests/support/links.py [GRAFANA]` writes the repository's address of pyproject.toml, and Grafana's if given,
into the rules, their tests, their manifest for Kubernetes and the example for Sloth.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
FILES = (
    *RULES,
    *sorted((ROOT / "deploy/prometheus/tests").glob("*.yml")),
    ROOT / "deploy/prometheus/slo/sloth.yml",
    ROOT / "deploy/kubernetes/with-operator/prometheusrule.yaml",
)
REPOSITORY = re.compile(r"https?://[^\s\"']+?(?=/blob/main/deploy/RUNBOOK\.md#)")
_GRAFANA = re.compile(r"https?://[^\s\"']+?(?=/d/huaweicloud-workspace-)")


def repository() -> str:
    """Return the address of the repository, without a slash at the end."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    address: str = project["urls"]["Repository"]
    return address.rstrip("/")


def grafana() -> str:
    """Return the address of Grafana that the rules have. Raise ValueError if they have several."""
    addresses: set[str] = {found for path in RULES for found in _GRAFANA.findall(path.read_text("utf-8"))}
    (address,) = addresses
    return address


def with_addresses(text: str, repository: str, grafana: str) -> str:
    """Return the text with these addresses in all links to the runbook and to dashboards."""
    return _GRAFANA.sub(grafana.rstrip("/"), REPOSITORY.sub(repository, text))


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else grafana()
    for path in FILES:
        path.write_text(with_addresses(path.read_text("utf-8"), repository(), chosen), "utf-8")
