"""Grafana provisioned from this repository finds Prometheus and the dashboards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from support.dashboards import FOLDER, NAMES

if TYPE_CHECKING:
    from pathlib import Path

PROVISIONING = FOLDER / "provisioning"


def read(file: Path) -> Any:
    return YAML(typ="safe", pure=True).load(file)


def test_there_is_one_data_source_which_the_dashboards_choose_by_themselves() -> None:
    (source,) = read(PROVISIONING / "datasources" / "prometheus.yml")["datasources"]
    assert source["type"] == "prometheus"
    assert source["isDefault"]


def test_the_folder_of_dashboards_holds_no_other_json() -> None:
    """Grafana looks into its folders, and would complain of any other file."""
    (provider,) = read(PROVISIONING / "dashboards" / "workspace.yml")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    assert sorted(file.name for file in FOLDER.rglob("*.json")) == list(NAMES)
