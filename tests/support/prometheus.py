"""A real Prometheus, as long as a test needs it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp
from support.exporters import get
from support.monitoring import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def prometheus(program: str, directory: Path, configuration: str, *flags: str) -> AsyncIterator[str]:
    """The address of a Prometheus with this configuration, and with its data under the directory."""
    (directory / "prometheus.yml").write_text(configuration)
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={directory}/prometheus.yml",
        f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address={address}",
        *flags,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _ready(f"http://{address}")
        yield f"http://{address}"
    finally:
        process.terminate()
        await process.wait()


async def _ready(address: str) -> None:
    async with asyncio.timeout(30):
        while True:
            with suppress(aiohttp.ClientConnectionError):
                if (await get(f"{address}/-/ready"))[0] == HTTPStatus.OK:
                    return
            await asyncio.sleep(0.05)
