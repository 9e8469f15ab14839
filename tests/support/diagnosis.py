"""Run the doctor, and check that it shows no name and no secret."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.exporters import settings

from exporter import doctor
from exporter.simulator import DEMO_PASSWORD, DEMO_SECRET_KEY, DEMO_TOKEN, Simulator, SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from exporter import config

HUSH = "hush"
"""Part of every secret and user name that a test makes up."""


@dataclass(frozen=True)
class Diagnosis:
    """The command's output, and whether its exit code is 0."""

    healthy: bool
    text: str

    def lines(self, verdict: str) -> list[str]:
        """Return the lines with this verdict, with their remedies."""
        lines = re.sub(r"\n +-> ", " -> ", self.text).splitlines()
        return [line for line in lines if line.startswith(f"{verdict} ")]

    def only(self, verdict: str) -> str:
        """Return the only line with this verdict."""
        (line,) = self.lines(verdict)
        return line


async def diagnose(*projects: dict[str, Any], **sections: Any) -> Diagnosis:
    """Run the doctor for these projects."""
    return await diagnosis_by(settings(*projects, **{"poll": {"timeout": "5s"}, **sections}))


async def diagnosis_by(wanted: config.Settings, now: Callable[[], float] = time.time) -> Diagnosis:
    """Run the doctor with this clock; no secret and no name may be in its output."""
    out = io.StringIO()
    healthy = await doctor.run(wanted, out, now)
    text = out.getvalue()
    for secret in (HUSH, DEMO_TOKEN, DEMO_SECRET_KEY, DEMO_PASSWORD):
        assert secret not in text
    for each in wanted.projects:
        assert not any(user.name in text for user in each.users)
    assert text.splitlines()[-1].startswith("summary: ")
    return Diagnosis(healthy, text)


def frozen(users: int = 20, clock: Callable[[], float] | None = None, **options: Any) -> Simulator:
    """Return a simulated cloud that does not change."""
    made = SimulatorOptions(users=users, speed=0, **options)
    return Simulator(made, clock=clock) if clock else Simulator(made)


def authenticated(simulator: Simulator) -> int:
    """Return how many requests had credentials so far."""
    return sum(count for (operation, _), count in simulator.calls.counts.items() if operation != "unknown")


@contextlib.asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Serve these bytes as the answer to everything, or nothing if empty; yields the address."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                writer.write(answer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
