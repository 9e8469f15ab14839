"""The systemd units: valid, confined, and their commands work."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
from typing import TYPE_CHECKING

import pytest
from support.exporters import project, until
from support.ways_to_run import DEPLOY, at_work, call, free_address, moved, python, serving

from exporter.simulator import Simulator, SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SYSTEMD = DEPLOY / "systemd"
SINGLE, TEMPLATE = "workspace-exporter.service", "workspace-exporter@.service"
SOCKET = "workspace-exporter.socket"
TRY = "workspace-exporter-try"
UNIT = (SYSTEMD / SINGLE).read_text()
PROGRAM = "/opt/workspace-exporter/bin/workspace-exporter"
CREDENTIALS = f"/run/credentials/{SINGLE}"
COMMANDS = ("ExecStart", "ExecReload")
EXPOSURE = 15
"""The most that `systemd-analyze security` may find, in tenths."""


def values(key: str) -> list[str]:
    """What the unit sets a key to, each time."""
    return re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)


def verified(analyze: str, unit: str, text: str, directory: Path) -> str:
    """Return what systemd reports about a unit. Its exit code is always 0."""
    file = directory / unit
    file.write_text(text.replace(PROGRAM, shutil.which("true") or ""))
    return call(analyze, "verify", "--man=no", file)[2]


@pytest.mark.parametrize("unit", [SINGLE, TEMPLATE])
def test_systemd_has_nothing_to_say_about_the_units(unit: str, tool: Callable[[str], str], tmp_path: Path) -> None:
    assert verified(tool("systemd-analyze"), unit, (SYSTEMD / unit).read_text(), tmp_path) == ""


def test_systemd_has_nothing_to_say_about_the_socket(tool: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / SINGLE).write_text(UNIT.replace(PROGRAM, shutil.which("true") or ""))
    text = (SYSTEMD / SOCKET).read_text()
    assert verified(tool("systemd-analyze"), SOCKET, text, tmp_path) == ""
    assert "Unknown" in verified(
        tool("systemd-analyze"), SOCKET, text.replace("ListenStream", "LitsenStream"), tmp_path
    )


@pytest.mark.parametrize(
    ("was", "wrong"),
    [
        ("ProtectHome=yes", "ProtectHoem=yes"),
        ("ProtectHome=yes", "ProtectHome=perhaps"),
        ("SystemCallFilter=@system-service", "SystemCallFilter=@sytem-service"),
        ("Wants=network-online.target", "Wants=network online"),
    ],
)
def test_systemd_would_say_what_is_wrong(was: str, wrong: str, tool: Callable[[str], str], tmp_path: Path) -> None:
    assert was in UNIT
    told = verified(tool("systemd-analyze"), SINGLE, UNIT.replace(was, wrong), tmp_path)
    assert re.search("Unknown|Failed to parse|Invalid|not valid", told), told


@pytest.mark.parametrize("unit", [SINGLE, TEMPLATE])
def test_little_is_exposed_to_the_service(unit: str, tool: Callable[[str], str]) -> None:
    code, told, _ = _security(tool, SYSTEMD / unit)
    assert code == 0, told


def test_much_would_be_without_the_confinement(tool: Callable[[str], str], tmp_path: Path) -> None:
    """The threshold does refuse, here a unit that lacks only the filter of system calls."""
    open_unit = tmp_path / SINGLE
    open_unit.write_text(re.sub("^SystemCall.*$", "", UNIT, flags=re.MULTILINE))
    assert _security(tool, open_unit)[0] != 0


def _security(tool: Callable[[str], str], unit: Path) -> tuple[int, str, str]:
    return call(tool("systemd-analyze"), "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", unit)


def test_the_template_is_the_unit_with_a_directory_for_each_instance() -> None:
    moved_to_instance = UNIT.replace("/etc/workspace-exporter/", "/etc/workspace-exporter/%i/")
    moved_to_instance = moved_to_instance.replace(CREDENTIALS, "/run/credentials/workspace-exporter@%i.service")
    described = re.sub("^(Description=.*)$", r"\1, %i", moved_to_instance, flags=re.MULTILINE)
    assert (SYSTEMD / TEMPLATE).read_text() == described


@pytest.mark.parametrize("instance", ["", "berlin"])
def test_what_is_tried_by_hand_runs_as_the_service_does(instance: str, tmp_path: Path) -> None:
    """With the user, the environment, the secrets and the configuration of the unit, or of an instance of the template.

    The secrets appear where the configuration looks for them, though they are another unit's.
    """
    runner = tmp_path / "systemd-run"
    runner.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    runner.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    code, told, wrong = call(SYSTEMD / TRY, "doctor", "--log.level=debug", PATH=path, INSTANCE=instance)
    assert (code, wrong) == (0, "")
    words = told.splitlines()
    unit = (SYSTEMD / TEMPLATE).read_text().replace("%i", instance) if instance else UNIT
    properties = [word.removeprefix("--property=") for word in words if word.startswith("--property=")]
    assert set(properties[:3]) <= set(unit.splitlines())
    assert [each.partition("=")[0] for each in properties] == [
        *("User", "EnvironmentFile", "LoadCredential", "BindReadOnlyPaths")
    ]
    assert f"ExecStart={' '.join(words[words.index(PROGRAM) : -2])}" in unit.splitlines()
    assert words[-2:] == ["doctor", "--log.level=debug"]
    (own,) = (word.removeprefix("--unit=") for word in words if word.startswith("--unit="))
    service = f"workspace-exporter@{instance}.service" if instance else SINGLE
    assert properties[-1] == f"BindReadOnlyPaths=/run/credentials/{own}:/run/credentials/{service}"


def test_what_is_tried_by_hand_has_to_be_named() -> None:
    """Else it would be a second exporter."""
    code, _, wrong = call(SYSTEMD / TRY)
    assert code != 0
    assert "name what to run, such as doctor or --config.check" in wrong


def test_sysusers_makes_the_user_that_the_service_runs_as(tool: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    made = call(tool("systemd-sysusers"), f"--root={tmp_path}", SYSTEMD / "workspace-exporter.sysusers.conf")
    assert made[0] == 0, made
    (name,) = values("User")
    assert f"{name}:x:" in (tmp_path / "etc/passwd").read_text()
    assert "/nologin" in (tmp_path / "etc/passwd").read_text()


def test_the_examples_are_valid_once_the_secrets_are_there(tmp_path: Path) -> None:
    """With every line of the environment in effect."""
    example = (SYSTEMD / "workspace-exporter.example.yml").read_text()
    for name in re.findall(rf"{CREDENTIALS}/(\w+)", example):
        (tmp_path / name).write_text("secret\n")
    configuration = tmp_path / "workspace-exporter.yml"
    configuration.write_text(example.replace(CREDENTIALS, str(tmp_path)))
    environment = re.findall(r"^#(\w+)=(.*)$", (SYSTEMD / "environment.example").read_text(), re.MULTILINE)
    assert len(environment) == 3
    checked = python("-m", "exporter", "--config.file", str(configuration), "--config.check", **dict(environment))
    assert checked == (0, "The configuration is valid: berlin with 2 users.\n", "")


def test_the_secrets_come_from_the_directory_that_the_unit_loads() -> None:
    (loaded,) = values("LoadCredential")
    used = re.findall(rf"{CREDENTIALS}/(\w+)", (SYSTEMD / "workspace-exporter.example.yml").read_text())
    assert loaded == "secret:/etc/workspace-exporter/secrets"
    assert used == ["secret_ak", "secret_sk"]


async def test_the_unit_s_commands_start_reload_and_end_the_exporter(tmp_path: Path) -> None:
    """As systemd runs them, with other paths: ExecStart, ExecReload, SIGTERM."""
    simulator = Simulator(SimulatorOptions(users=3, speed=0, quota=0))
    address = free_address()
    environ = {"WORKSPACE_EXPORTER_WEB__LISTEN_ADDRESS": address, "WORKSPACE_EXPORTER_POLL__RATE_LIMIT": "6000"}
    places = {"/etc/workspace-exporter": str(tmp_path)}
    (start,), (hangup,) = ([moved(shlex.split(line), places) for line in values(key)] for key in COMMANDS)
    assert start[0] == PROGRAM
    async with simulator.serve() as url:

        def configure(name: str) -> None:
            text = json.dumps({"projects": [project(simulator, url, name=name)]})  # JSON is YAML, too
            (tmp_path / "workspace-exporter.yml").write_text(text)

        configure("first")
        async with at_work(*start[1:], **environ) as process:
            await serving(address)
            await until(lambda text: text == "Ready.\n", f"http://{address}/-/ready")
            configure("second")
            assert call(*moved(hangup, {"$MAINPID": str(process.pid)}))[0] == 0
            await until(lambda text: 'workspace_users{project="second"} 3.0' in text, f"http://{address}/metrics")
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 10) == 0
