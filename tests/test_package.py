"""The built wheel installs and runs without a checkout, in each documented way."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.documents import DOCUMENTS, ROOT, blocks, read
from support.ways_to_run import TRUST, call

from exporter import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "huaweicloud-workspace-exporter"
PIPX = "pipx==1.8.0"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT)
    assert call(*build)[0] == 0
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the commands of an environment that has the wheel and the pinned dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    uv = Path(sys.executable).parent / "uv"
    assert call(uv, "venv", "-q", "--python", sys.executable, folder / "venv")[0] == 0
    into = (uv, "pip", "install", "-q", "--python", folder / "venv/bin/python")
    for what in (("--require-hashes", "-r", ROOT / "requirements.txt"), ("--no-deps", wheel)):
        code, _, wrong = call(*into, *what, **TRUST)
        assert code == 0, wrong
    return folder / "venv/bin"


@pytest.mark.parametrize("name", ["workspace-exporter", NAME])
def test_the_wheel_has_both_commands(name: str, installed: Path) -> None:
    code, told, wrong = call(installed / name, "--version")
    assert (code, wrong) == (0, "")
    assert __version__ in told


def test_the_wheel_contains_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    folder = f"{NAME.replace('-', '_')}-{__version__}.dist-info/"
    assert [name for name in names if not name.startswith(("exporter/", folder))] == []
    assert {"exporter/py.typed", "exporter/web/page.css"} <= set(names)


@pytest.mark.parametrize("runner", [["uvx", "--from"], ["uvx", PIPX, "run", "--spec"]], ids=["uvx", "pipx"])
def test_it_runs_without_being_installed(
    runner: list[str], wheel: Path, tool: Callable[[str], str], tmp_path: Path
) -> None:
    """As in the README, with the wheel in place of the release."""
    environ = TRUST | {
        "PIP_NO_COMPILE": "1",
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_DEFAULT_PYTHON": sys.executable,
        "UV_PYTHON": sys.executable,
    }
    code, told, wrong = call(tool(runner[0]), *runner[1:], wheel, NAME, "--version", **environ)
    assert code == 0, wrong
    assert __version__ in told


def test_the_commands_of_the_guide_install_what_is_tested() -> None:
    """The fixture does the same with uv, which is faster."""
    shown = [command for block in blocks(read(ROOT / "deploy/README.md")) for command in block.commands()]
    pip = [command.partition("bin/pip install ")[2] for command in shown if "bin/pip install" in command]
    assert pip == [NAME, "--require-hashes -r requirements.txt", "--no-deps ."]
    readme = read(ROOT / "README.md")
    assert re.findall(rf"(pipx run|uvx) {NAME} demo", readme) == ["pipx run", "uvx"]


def test_the_source_distribution_contains_every_document_and_test(tmp_path: Path) -> None:
    build = (sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path)
    done = subprocess.run([str(part) for part in build], cwd=ROOT, capture_output=True, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.iterdir()
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {str(path.relative_to(ROOT)) for path in DOCUMENTS} <= names
    assert {"Makefile", "tests/test_package.py", ".github/workflows/release.yml", "exporter/web/page.css"} <= names
