"""Prometheus and Alertmanager as processes on loopback, and a webhook that notes its notifications."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True)
class Notification:
    """A notification of a receiver, and its time in seconds since 1970."""

    at: float
    receiver: str
    status: str
    alerts: tuple[dict[str, Any], ...]

    @property
    def names(self) -> set[str]:
        """The names of its alerts."""
        return {alert["labels"]["alertname"] for alert in self.alerts}


class Webhook:
    """Notes every notification; ``url`` and the receiver's name are its address."""

    def __init__(self) -> None:
        self.notifications: list[Notification] = []
        self.url = ""
        self._news = asyncio.Condition()

    def to(self, receiver: str) -> list[Notification]:
        """Return the notifications of a receiver so far."""
        return [each for each in self.notifications if each.receiver == receiver]

    async def told(self, receiver: str, status: str, seconds: float) -> None:
        """Wait until a receiver has a notification with this status."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: any(each.status == status for each in self.to(receiver)))

    async def receive(self, request: web.BaseRequest) -> web.Response:
        """Note a notification."""
        told = await request.json()
        async with self._news:
            self.notifications.append(
                Notification(time.time(), request.path.strip("/"), told["status"], tuple(told["alerts"]))
            )
            self._news.notify_all()
        return web.Response()


@asynccontextmanager
async def webhook() -> AsyncIterator[Webhook]:
    """A webhook on any free port of loopback."""
    hook = Webhook()
    runner = web.ServerRunner(web.Server(hook.receive, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        hook.url = "http://{}:{}".format(*runner.addresses[0])
        yield hook
    finally:
        await runner.cleanup()


@asynccontextmanager
async def process(guard: str, log: Path, *command: str, port: int) -> AsyncIterator[str]:
    """A program that listens at this port of loopback, as host and port; it ends with the context, or with us.

    ``guard`` is setpriv, which has the kernel end the program should we be killed.
    """
    with log.open("wb") as output:
        running = await asyncio.create_subprocess_exec(
            guard, "--pdeathsig", "KILL", *command, stdout=output, stderr=output
        )
    try:
        await _listening(running, port, log)
        yield f"127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            running.kill()
        await running.wait()


async def _listening(running: asyncio.subprocess.Process, port: int, log: Path) -> None:
    async with asyncio.timeout(30):
        while True:
            assert running.returncode is None, f"ended at once; see {log}"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
