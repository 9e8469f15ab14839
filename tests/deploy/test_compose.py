"""The Compose project: valid, confined, complete, and its demo runs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.exporters import until
from support.ways_to_run import DEPLOY, PORT, ROOT, at_work, call, free_address, load, moved, python, serving

if TYPE_CHECKING:
    from collections.abc import Callable

DEMO, ACCOUNT = DEPLOY / "compose.yaml", DEPLOY / "compose.account.yaml"
SERVICES = {"exporter": PORT, "prometheus": 9090, "alertmanager": 9093, "grafana": 3000}
README = (ROOT / "README.md").read_text("utf-8")
GUIDE = (DEPLOY / "README.md").read_text("utf-8")


def composed(compose: str, *files: Path) -> dict[str, Any]:
    """The project that Docker Compose makes of files, in its long forms."""
    code, told, wrong = call(compose, *(part for file in files for part in ("-f", file)), "config", "--format=json")
    assert (code, wrong) == (0, "")
    project: dict[str, Any] = json.loads(told)
    return project


@pytest.fixture(scope="module")
def services(tool: Callable[[str], str]) -> dict[str, Any]:
    found: dict[str, Any] = composed(tool("docker-compose"), DEMO)["services"]
    return found


def test_docker_compose_accepts_both_projects(tool: Callable[[str], str]) -> None:
    for files in ([DEMO], [DEMO, ACCOUNT]):
        assert composed(tool("docker-compose"), *files)["services"].keys() == SERVICES.keys()


@pytest.mark.parametrize(
    ("was", "wrong", "told"),
    [
        ("read_only: true", "readonly: true", "readonly"),
        ("depends_on: [prometheus]", "depends_on: [prometheis]", "undefined service"),
        ("- grafana:/var", "- grafna:/var", "undefined volume"),
    ],
)
def test_docker_compose_would_reject(
    was: str, wrong: str, told: str, tool: Callable[[str], str], tmp_path: Path
) -> None:
    assert was in DEMO.read_text()
    (tmp_path / "compose.yaml").write_text(DEMO.read_text().replace(was, wrong))
    code, _, error = call(tool("docker-compose"), "-f", tmp_path / "compose.yaml", "config", "--quiet")
    assert code != 0
    assert told in error


def test_every_service_is_confined_and_pinned_and_says_whether_it_lives(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"mem_limit", "cpus", "pids_limit"} <= service.keys(), name
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name
        assert "healthcheck" in service or name == "exporter", name  # whose image has one


def test_every_port_is_the_service_s_own_and_of_this_machine_only(services: dict[str, Any]) -> None:
    published = {
        name: [(port["host_ip"], port["target"], port["published"]) for port in service["ports"]]
        for name, service in services.items()
    }
    assert published == {name: [("127.0.0.1", port, str(port))] for name, port in SERVICES.items()}


def test_everything_mounted_is_in_the_repository_and_read_only(services: dict[str, Any]) -> None:
    mounts = [mount for service in services.values() for mount in service.get("volumes", ()) if mount["type"] == "bind"]
    assert {str(Path(mount["source"]).relative_to(ROOT)) for mount in mounts} == {
        "deploy/compose/prometheus.yml",
        "deploy/prometheus/rules",
        "deploy/alertmanager",
        "grafana",
        "grafana/provisioning/dashboards",
        "deploy/compose/datasource.yml",
    }
    assert all(mount["read_only"] for mount in mounts)
    assert [mount["source"] for mount in mounts if not Path(mount["source"]).exists()] == []


def test_what_is_kept_is_kept_in_volumes(tool: Callable[[str], str]) -> None:
    assert composed(tool("docker-compose"), DEMO)["volumes"].keys() == {"prometheus", "alertmanager", "grafana"}


async def test_the_demo_runs_with_the_words_of_the_project(services: dict[str, Any]) -> None:
    """For real, with another port, because this one may be in use."""
    address = free_address()
    words = moved(services["exporter"]["command"], {f":{PORT}": address})
    assert address in words[-1]
    async with at_work(*words, PYTHONUNBUFFERED="1"):
        await serving(address)
        await until(lambda text: 'workspace_up{project="demo"} 1.0' in text, f"http://{address}/metrics")


def test_with_an_account_it_reads_the_configuration_and_the_secrets_that_are_mounted(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    """With the README's configuration, and the key files where the guide says."""
    exporter = composed(tool("docker-compose"), DEMO, ACCOUNT)["services"]["exporter"]
    targets = {Path(mount["source"]).name: mount["target"] for mount in exporter["volumes"]}
    (example,) = re.findall(r"```yaml\n(projects:.*?)```", README, re.DOTALL)
    for name in ("ak", "sk"):
        assert f"`{targets['secrets']}/{name}`" in GUIDE
        (tmp_path / name).write_text("secret\n")
    (tmp_path / "workspace-exporter.yml").write_text(example)
    words = moved(exporter["command"], {targets["config"]: str(tmp_path)})
    checked = python("-m", "exporter", *words, "--config.check")
    assert checked == (0, "The configuration is valid: a4da8115c9d8464ead3a38309130523f with discovered users.\n", "")


def test_what_people_replace_while_it_runs_is_mounted_by_directory(tool: Callable[[str], str]) -> None:
    """A file that is mounted by itself, such as a secret of Compose, cannot be replaced."""
    exporter = composed(tool("docker-compose"), DEMO, ACCOUNT)["services"]["exporter"]
    assert "secrets" not in exporter
    assert [(Path(mount["source"]).relative_to(DEPLOY), mount["read_only"]) for mount in exporter["volumes"]] == [
        (Path("config"), True),
        (Path("secrets"), True),
    ]


def test_prometheus_is_set_up_as_elsewhere_except_for_addresses_and_intervals() -> None:
    elsewhere = (DEPLOY / "prometheus/prometheus.yml").read_text("utf-8")
    for name in ("exporter", "alertmanager"):
        assert f"localhost:{SERVICES[name]}" in elsewhere
        elsewhere = elsewhere.replace(f"localhost:{SERVICES[name]}", f"{name}:{SERVICES[name]}")
    here, there = load(DEPLOY / "compose/prometheus.yml"), load(elsewhere)
    assert here.pop("global").keys() == there.pop("global").keys()
    assert here == there


def test_prometheus_accepts_its_files_where_they_are_mounted(
    services: dict[str, Any], tool: Callable[[str], str], tmp_path: Path
) -> None:
    _mounted(services["prometheus"], tmp_path)
    code, told, wrong = call(tool("promtool"), "check", "config", tmp_path / "etc/prometheus/prometheus.yml")
    assert code == 0, told + wrong
    assert re.search(r"[1-9]\d* rule files found", told)


def test_alertmanager_accepts_its_files_where_they_are_mounted(
    services: dict[str, Any], tool: Callable[[str], str], tmp_path: Path
) -> None:
    _mounted(services["alertmanager"], tmp_path)
    code, told, wrong = call(tool("amtool"), "check-config", tmp_path / "etc/alertmanager/alertmanager.yml")
    assert code == 0, told + wrong


def _mounted(service: dict[str, Any], root: Path) -> None:
    for mount in service["volumes"]:
        if mount["type"] == "bind":
            source, target = Path(mount["source"]), root / mount["target"].lstrip("/")
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)


def test_grafana_finds_prometheus_and_the_dashboards(services: dict[str, Any]) -> None:
    targets = {mount["target"]: Path(mount["source"]) for mount in services["grafana"]["volumes"]}
    provisioning = Path("/etc/grafana/provisioning")
    source = load(targets[f"{provisioning}/datasources/prometheus.yml"])["datasources"]
    (providers,) = (load(file)["providers"] for file in targets[f"{provisioning}/dashboards"].glob("*.y*ml"))
    assert [each["url"] for each in source] == [f"http://prometheus:{SERVICES['prometheus']}"]
    for provider in providers:
        assert len(list(targets[provider["options"]["path"]].glob("*.json"))) == 4
