"""An exporter in its own process that reports its resources.

``python -m benchmarks.exporter_process FILE`` runs it by that configuration file, and answers a line of JSON to each
line of JSON that it reads: ``{"do": "ready"}``, ``{"do": "poll", …settings}`` or ``{"do": "watch", "seconds": …}``.
With ``others`` as a second argument, so many samples are also served by prometheus_client's own handler.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from benchmarks.children import child
from prometheus_client import Gauge
from prometheus_client.aiohttp import make_aiohttp_handler
from prometheus_client.registry import CollectorRegistry

from exporter import config, logs
from exporter.app import Running, exporting
from exporter.metrics.exposition import TEXT
from exporter.setup import prepared
from exporter.simulator import DEMO_PROJECT_ID, DEMO_TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from benchmarks.children import Child

_TICK = 0.005  # seconds between two looks at how late the loop is
_LABELS = ("project", "user_name", "operation")


class Lateness:
    """How late the event loop comes to what is due, and its thread's processor time in between: the longest of each.

    On a busy machine the loop may also be late because others run.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self.longest_work = 0.0
        self._worked = time.thread_time()
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self._tick()

    def _tick(self) -> None:
        now = self._loop.time()
        worked = time.thread_time()
        self.longest = max(self.longest, now - self._due)
        self.longest_work = max(self.longest_work, worked - self._worked)
        self._worked = worked
        self._due = now + _TICK
        self._loop.call_at(self._due, self._tick)

    def reset(self) -> None:
        """Forget what was."""
        self.longest = self.longest_work = 0.0


class Told:
    """What the process reports about itself."""

    def __init__(self, running: Running, file: str) -> None:
        self._running = running
        self._file = file
        self._lateness = Lateness()

    async def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Do as queried, and tell."""
        match question.pop("do"):
            case "ready":
                return await self._ready()
            case "poll":
                settings = _loaded(self._file, question)
                exporter = self._running.exporter
                await exporter.adopt(*prepared(settings, time.time, exporter.setup))
                return {}
            case "watch":
                return await self._watch(question["seconds"])
            case unknown:
                raise ValueError(unknown)

    async def _ready(self) -> dict[str, Any]:
        exporter = self._running.exporter
        while not (exporter.published.projects and all(status.ready for status in exporter.published.projects)):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)
        return {"cpu": time.process_time(), "stall": self._lateness.longest, "work": self._lateness.longest_work}

    async def _watch(self, seconds: float) -> dict[str, Any]:
        self._lateness.reset()
        cpu, began, calls = time.process_time(), time.perf_counter(), self._calls()
        await asyncio.sleep(seconds)
        watched = time.perf_counter() - began
        told = {
            "cpu": (time.process_time() - cpu) / watched,
            "calls": (self._calls() - calls) / watched,
            "stall": self._lateness.longest,
            "work": self._lateness.longest_work,
        }
        body = self._running.exporter.exposition.get(TEXT).body
        told["samples"] = sum(not line.startswith(b"#") for line in body.splitlines())
        del body
        return told | {"rss": _resident(), "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}

    def _calls(self) -> int:
        watches = self._running.exporter.setup.watches
        return sum(sum(watch.connection.telemetry.attempts.values()) for watch in watches)


def _resident() -> int:
    """Bytes in memory, with what is garbage given back first."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _loaded(file: str, poll: dict[str, Any]) -> config.Settings:
    flags = {f"poll.{name}": str(value) for name, value in poll.items()}
    settings = config.load({"config.file": file, **flags}, {})
    # The shortest interval that can be configured means here that one cycle follows the other.
    unlimited = {name: 0.001 for name in ("interval", "user_interval") if getattr(settings.poll, name) == 1.0}
    return settings.model_copy(update={"poll": settings.poll.model_copy(update=unlimited)})


@contextlib.asynccontextmanager
async def _others(samples: int) -> AsyncIterator[str]:
    """The address of prometheus_client's handler in a server of aiohttp."""
    registry = CollectorRegistry()
    family = Gauge("huaweicloud_workspace_user_flag", "As many as the exporter has.", _LABELS, registry=registry)
    for number in range(samples):
        family.labels("demo", f"user{number:06}", "ListUserDetail").set(number % 2)
    app = web.Application()
    app.router.add_get("/metrics", make_aiohttp_handler(registry))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def _main(file: str, samples: int) -> None:
    gc.freeze()  # as the command does
    settings = _loaded(file, {})
    logs.configure(settings.log)
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with exporting(settings) as running, contextlib.AsyncExitStack() as stack:
        told = Told(running, file)
        address = await stack.enter_async_context(_others(samples)) if samples else running.address
        _say({"address": address})
        while line := await reader.readline():
            _say(await told.answer(json.loads(line)))


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(told)}\n")
    sys.stdout.flush()


class ExporterProcess:
    """The other end."""

    def __init__(self, process: Child) -> None:
        self._process = process
        self.address: str = self._heard()["address"]

    def ask(self, do: str, **parameters: object) -> dict[str, Any]:
        """Have something done, and hear what came of it."""
        self._process.input.write(f"{json.dumps({'do': do, **parameters})}\n")
        self._process.input.flush()
        return self._heard()

    def stop(self) -> None:
        """Let the process stand still, so that others are measured alone."""
        self._process.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        self._process.process.send_signal(signal.SIGCONT)

    def _heard(self) -> dict[str, Any]:
        line = self._process.output.readline()
        if not line:
            raise RuntimeError("the exporter's process has ended")
        heard: dict[str, Any] = json.loads(line)
        return heard


@contextlib.contextmanager
def exporter_process(file: Path, samples: int = 0) -> Iterator[ExporterProcess]:
    """An exporter with a configuration file, and optionally so many samples of prometheus_client."""
    with child("benchmarks.exporter_process", str(file), str(samples)) as process:
        exporter = ExporterProcess(process)
        try:
            yield exporter
        finally:
            exporter.go_on()


def configuration(folder: Path, cloud: str, users: list[tuple[str, str]], **sections: object) -> Path:
    """Write a configuration file with its file of users, each with an id; JSON is YAML, too."""
    Path(folder, "users.txt").write_text("".join(f"{name},{ident}\n" for name, ident in users), "utf-8")
    project = {
        "project_id": DEMO_PROJECT_ID,
        "name": "demo",
        "endpoints": dict.fromkeys(("sessions", "users", "iam", "metadata"), cloud),
        "auth": {"token": DEMO_TOKEN},
        "users_file": "users.txt",
    }
    web_section = {"listen_address": "127.0.0.1:0"}
    settings = {"projects": [project], "web": web_section, "log": {"level": "error"}, **sections}
    file = Path(folder, "exporter.yml")
    file.write_text(json.dumps(settings), "utf-8")
    return file


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
