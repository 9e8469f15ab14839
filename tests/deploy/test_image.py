"""Facts about the container image that need no build."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING

from support.links import repository
from support.ways_to_run import DEPLOY, PORT, ROOT, call, load

import exporter
from exporter import config, health

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
FINAL = DOCKERFILE.rpartition("\nFROM ")[2]
IMAGE = f"huaweicloud-workspace-exporter:{exporter.__version__}"


def instructions(text: str, name: str) -> list[str]:
    """Return the arguments of each instruction with a name, with continued lines joined."""
    return re.findall(rf"^{name} (.*)$", text.replace("\\\n", " "), re.MULTILINE)


def argument_list(text: str) -> list[str]:
    """The words of an instruction's exec form."""
    words: list[str] = json.loads(text[text.index("[") :])
    return words


def test_hadolint_finds_nothing(tool: Callable[[str], str]) -> None:
    assert call(tool("hadolint"), DEPLOY / "Dockerfile") == (0, "", "")


def test_hadolint_would_find_something(tool: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(re.sub(r"BASE=python:\S+", "BASE=python:latest", DOCKERFILE) + "USER root\n")
    code, told, _ = call(tool("hadolint"), tmp_path / "Dockerfile")
    assert code != 0
    assert "Last USER should not be root" in told


def test_the_base_is_pinned_to_a_patch_and_the_same_for_both_stages() -> None:
    assert re.search(r"^ARG BASE=python:3\.1\d\.\d+-slim-[a-z]+$", DOCKERFILE, re.MULTILINE)
    assert instructions(DOCKERFILE, "FROM") == ["${BASE} AS build", "${BASE}"]


def test_exactly_what_is_copied_reaches_the_builder() -> None:
    """Neither secrets, nor the configuration of somebody's account, nor the history."""
    copied = [words for words in instructions(DOCKERFILE, "COPY") if not words.startswith("--from")]
    sources = sorted(source for words in copied for source in words.split()[:-1])
    ignored, *allowed = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] != "#"]
    assert ignored == "*"
    assert sorted(line[1:] for line in allowed if line[0] == "!") == sources
    assert all((ROOT / source).exists() for source in sources)


def test_everything_that_pip_fetches_is_checked_by_its_hash() -> None:
    installing = [part for line in instructions(DOCKERFILE, "RUN") for part in line.split("&&") if "bin/pip" in part]
    assert len(installing) == 4
    assert all("--require-hashes" in part or "--no-deps" in part for part in installing)


def test_the_wheel_is_built_with_the_versions_that_the_tests_know() -> None:
    """The lock for builds is a part of the lock for tests, and contains what pyproject requires."""
    building, testing = ((ROOT / f"requirements-{name}.txt").read_text() for name in ("build", "dev"))
    pinned = re.findall(r"^\S+==\S+", building, re.MULTILINE)
    assert set(pinned) <= set(re.findall(r"^\S+==\S+", testing, re.MULTILINE))
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert {name.partition(">")[0] for name in requires} <= {name.partition("=")[0] for name in pinned}


def test_it_runs_the_command_that_the_package_installs() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (entrypoint,) = instructions(FINAL, "ENTRYPOINT")
    assert argument_list(entrypoint) == ["workspace-exporter"]
    assert "workspace-exporter" in scripts


def test_it_runs_as_the_numbered_user_of_the_kubernetes_manifest() -> None:
    deployment = load(DEPLOY / "kubernetes/base/deployment.yaml")
    pod = deployment["spec"]["template"]["spec"]["securityContext"]
    assert instructions(FINAL, "USER") == [f"{pod['runAsUser']}:{pod['runAsGroup']}"] == ["65532:65532"]


def test_its_health_check_queries_the_port_that_is_exposed_and_listened_at() -> None:
    assert instructions(FINAL, "EXPOSE") == [str(PORT)]
    assert f"http://127.0.0.1:{PORT}" == health.ADDRESS
    assert config.Web().listen_address == (f":{PORT}",)
    (check,) = instructions(FINAL, "HEALTHCHECK")
    assert argument_list(check) == ["python", "-m", health.__name__]


def test_every_deployment_names_this_version() -> None:
    (label,) = re.findall(r'image\.version="(.*)"', FINAL)
    (built,) = re.findall(r"-t (\S+) \.$", DOCKERFILE, re.MULTILINE)
    (kustomized,) = load(DEPLOY / "kubernetes/base/kustomization.yaml")["images"]
    assert label == exporter.__version__
    assert built == IMAGE
    assert load(DEPLOY / "compose.yaml")["services"]["exporter"]["image"] == IMAGE
    assert f"{kustomized['name']}:{kustomized['newTag']}" == IMAGE


def test_its_labels_lead_to_the_repository() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="(.*?)"', FINAL))
    assert labels["source"] == labels["url"] == repository().address
    assert labels["documentation"] == f"{repository().address}/blob/main/deploy/README.md"
