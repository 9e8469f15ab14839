"""An exporter that measures itself: for each line on stdin it prints one line of JSON, and starts to measure anew."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from exporter.app import exporting
from exporter.config import Layer, Log, build
from exporter.logs import configure
from exporter.polling import lane, listings

TICK = 0.002
INTERVAL = 0.2
"""Seconds between cycles, fewer than the configuration permits."""


class Watchdog:
    """The longest time that the event loop computed without a pause, in seconds of CPU: other load is no stall."""

    def __init__(self) -> None:
        self.stall = 0.0

    async def watch(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(TICK)
            self.stall = max(self.stall, time.thread_time() - before)


def memory() -> dict[str, float]:
    """RSS now and at its peak, in MiB."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    kib = {
        name: value.split()[0] for name, _, value in (line.partition(":") for line in lines) if name.startswith("Vm")
    }
    return {"rss": int(kib["VmRSS"]) / 1024, "peak": int(kib["VmHWM"]) / 1024}


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", "ascii")


async def main(settings: str) -> None:
    configure(Log())
    lane.ATTEMPTS, lane._FIRST_RETRY_PAUSE, lane._JITTER = 2, 0.0, 0.0  # noqa: SLF001 - no pauses before retries
    listings.RETRY_UNAVAILABLE = INTERVAL
    dog = Watchdog()
    loop = asyncio.get_running_loop()
    wanted = build(Layer("test", json.loads(settings)))
    poll = wanted.poll.model_copy(update=dict.fromkeys(("interval", "user_interval", "failures_interval"), INTERVAL))
    async with exporting(wanted.model_copy(update={"poll": poll})) as at_work:
        watching = asyncio.create_task(dog.watch())
        print(at_work.address, flush=True)  # noqa: T201 - to the test
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps({"stall": dog.stall, **memory()}), flush=True)  # noqa: T201 - to the test
            dog.stall = 0.0
            forget_peak()
        watching.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
