"""How long the exporter takes from its command to its listening socket, and which imports that goes into."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.children import ENVIRONMENT, command
from benchmarks.figures import Figure
from benchmarks.interleaved import medians

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.plan import Plan, Tell

NAME = "start"
MOST_SECONDS = 0.6
USERS = 5
DEAREST = 8

_NOWHERE = "http://127.0.0.1:9"
_IMPORTED = re.compile(r"import time:\s+(?P<own>\d+) \|\s+\d+ \|\s+(?P<package>\w+)")


def run(plan: Plan, tell: Tell) -> Iterator[Figure]:
    """Milliseconds of three processes, and the packages whose imports take longest."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "exporter.yml")
        file.write_text(json.dumps(_configuration()), "utf-8")
        exporter = command("-m", "exporter", "--config.file", str(file))
        contenders = {
            "the interpreter alone": lambda: _ended(command("-c", "pass")),
            "all imports": lambda: _ended(command("-c", "import exporter.cli")),
            "from exec to listening": lambda: _listening(exporter),
        }
        found = medians(contenders, plan.starts, tell)
        for name, seconds in found.items():
            most = MOST_SECONDS * 1e3 if name == "from exec to listening" else None
            yield Figure(NAME, name, seconds * 1e3, "ms", at_most=most)
        for package, microseconds in _dearest([*exporter, "--config.check"]):
            yield Figure(NAME, f"import of {package}, traced", microseconds / 1e3, "ms")


def _configuration() -> dict[str, object]:
    """JSON is YAML, too."""
    project = {
        "project_id": "p",
        "endpoints": dict.fromkeys(("sessions", "users", "iam", "metadata"), _NOWHERE),
        "auth": {"token": "t"},
        "users": [f"user{number}" for number in range(USERS)],
    }
    return {"projects": [project], "web": {"listen_address": "127.0.0.1:0"}}


def _ended(line: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(line, check=True, env=ENVIRONMENT)  # noqa: S603 - ours
    return time.perf_counter() - began


def _listening(line: list[str]) -> float:
    began = time.perf_counter()
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:  # noqa: S603 - ours
        assert process.stderr
        told = any("event=listening" in said for said in process.stderr)
        seconds = time.perf_counter() - began
        process.terminate()
        process.stderr.read()
    if not told:
        raise RuntimeError(f"{line} ended with {process.returncode} without listening")
    return seconds


def _dearest(line: list[str]) -> list[tuple[str, int]]:
    """Microseconds of the modules' own code by package; tracing takes about as long again."""
    traced = [line[0], "-X", "importtime", *line[1:]]
    told = subprocess.run(traced, check=True, capture_output=True, text=True, env=ENVIRONMENT).stderr  # noqa: S603 - ours
    packages: Counter[str] = Counter()
    for imported in _IMPORTED.finditer(told):
        packages[imported["package"]] += int(imported["own"])
    return packages.most_common(DEAREST)
