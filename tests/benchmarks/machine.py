"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = (
    "aiohttp",
    "msgspec",
    "prometheus-client",
    "pydantic",
    "huaweicloudsdkcore",
    "huaweicloudsdkworkspace",
    "huaweicloudsdkworkspaceapp",
    "uvloop",
)


def machine() -> dict[str, str]:
    """The machine, Python, the libraries that are compared, the commit and the date, each as text."""
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "os": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    return facts | {name: _version(name) for name in _LIBRARIES}


def load() -> str:
    """What else the machine was doing: the load average of the last minute."""
    return f"{os.getloadavg()[0]:.2f}"


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()  # noqa: S603 - constant
    except (OSError, subprocess.CalledProcessError):
        return f"unknown, by {sys.executable}"
