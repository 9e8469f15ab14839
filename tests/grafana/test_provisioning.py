"""Grafana provisioned from this repository finds Prometheus and the dashboards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from support.dashboards import FOLDER, NAMES

if TYPE_CHECKING:
    from pathlib import Path

PROVISIONING = FOLDER / "provisioning"
DATASOURCE = FOLDER.parent / "deploy" / "compose" / "datasource.yml"


def read(file: Path) -> Any:
    return YAML(typ="safe", pure=True).load(file)


def test_the_demo_s_data_source_never_takes_the_place_of_another() -> None:
    (source,) = read(DATASOURCE)["datasources"]
    assert source["type"] == "prometheus"
    assert source["isDefault"] is False


def test_a_grafana_that_has_data_sources_gets_no_other() -> None:
    assert [file.parent.name for file in PROVISIONING.rglob("*.yml")] == ["dashboards"]


def test_the_folder_of_dashboards_holds_no_other_json() -> None:
    """Grafana looks into its folders, and would complain of any other file."""
    (provider,) = read(PROVISIONING / "dashboards" / "workspace.yml")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    assert sorted(file.name for file in FOLDER.rglob("*.json")) == list(NAMES)
