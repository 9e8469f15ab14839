"""Reads what is in deploy/, and runs what it runs."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

import exporter
from exporter import health

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Sequence

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PORT = 10099
TRUST = {
    "UV_NATIVE_TLS": "true",
    "UV_SYSTEM_CERTS": "true",
    "NODE_EXTRA_CA_CERTS": "/etc/ssl/certs/ca-certificates.crt",
}
"""Lets uv and Node.js trust the authorities of the machine, as pip does, for example that of a proxy."""


def load(source: Path | str) -> Any:
    """The YAML document of a file, or of a text."""
    return YAML(typ="safe", pure=True).load(source)


def load_all(text: str) -> list[dict[str, Any]]:
    """The YAML documents of a text."""
    return list(YAML(typ="safe", pure=True).load_all(text))


def call(*command: str | Path, **environ: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a program that ends by itself."""
    done = subprocess.run(  # noqa: S603 - the tests' own arguments
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=60, env=_clean() | environ
    )
    return done.returncode, done.stdout, done.stderr


def python(*arguments: str, **environ: str) -> tuple[int, str, str]:
    """The same of a Python that imports the exporter under test."""
    return call(sys.executable, "-P", *arguments, **environ)


def free_address() -> str:
    """Return a free host and port of loopback, for commands that require one."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


async def serving(address: str) -> None:
    """Wait until somebody lives at the address."""
    for _ in range(400):
        if await asyncio.to_thread(health.healthy, f"http://{address}"):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"nobody answers at {address}")


@asynccontextmanager
async def at_work(*arguments: str, **environ: str) -> AsyncIterator[Process]:
    """The exporter as a process with these arguments, ended in any case."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "exporter", *arguments),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=_clean() | environ,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def moved(words: Sequence[str], places: dict[str, str]) -> list[str]:
    """The words of a command with paths and addresses moved to where a test has them."""
    result = []
    for word in words:
        for there, here in places.items():
            word = word.replace(there, here)  # noqa: PLW2901 - one replacement after the other
        result.append(word)
    return result


def _clean() -> dict[str, str]:
    ours = {name: text for name, text in os.environ.items() if not name.startswith(("WORKSPACE_", "HUAWEICLOUD_"))}
    return ours | {"PYTHONPATH": str(Path(exporter.__file__).parents[1])}  # the same exporter that is imported here
