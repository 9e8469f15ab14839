"""What hostile answers cost a process of its own: no pause of the event loop, and no memory that it keeps."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypedDict

import pytest
from faults.hostile import HOSTILE, fault
from faults.truth import ACCOUNTS, SESSIONS, USERS
from support import measured_exporter
from support.exporters import get
from support.faulty_server import TOKEN, Call, Fault, FaultyServer
from support.promises import Promise

import exporter

ATTEMPTS = 3
"""At each kind: what holds the loop up does so every time, a busy machine only now and then."""

MOST_SECONDS = 0.05
"""Of CPU, on a machine that computes the yardstick in YARDSTICK; in proportion on a slower one."""
YARDSTICK = 0.036
MOST_MIB = 200
MOST_KEPT_MIB = 40
TIMES = 20
"""Answers of each kind."""


def slowness() -> float:
    """How many times longer this machine takes for the yardstick, a sum of a million squares; at least 1."""
    times = []
    for _ in range(5):
        began = time.thread_time()
        sum(number * number for number in range(1_000_000))
        times.append(time.thread_time() - began)
    return max(min(times) / YARDSTICK, 1.0)


class Figures(TypedDict):
    """What an exporter measured of itself."""

    stall: float
    rss: float
    peak: float


class Measured:
    """An exporter in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.address = address
        self._process = process

    async def figures(self) -> Figures:
        """Since they were last wanted."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"\n")
        figures: Figures = json.loads(await self._process.stdout.readline())
        return figures


@asynccontextmanager
async def measured(url: str) -> AsyncIterator[Measured]:
    settings = {
        "projects": [
            {
                "name": name,
                "project_id": name,
                "endpoints": dict.fromkeys(("sessions", "users", "iam", "metadata"), url),
                "auth": {"token": TOKEN},
                "users": list(USERS),
            }
            for name in ("berlin", "munich")
        ],
        "poll": {"rate_limit": 60_000, "stale_after": 60, "timeout": 1},
        "web": {"listen_address": "127.0.0.1:0"},
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, measured_exporter.__file__, json.dumps(settings)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(exporter.__file__).parents[1])},
    )
    try:
        assert process.stdout
        yield Measured(process, (await process.stdout.readline()).decode().strip())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures with Linux's /proc")
@pytest.mark.promise(Promise.BOUNDED, Promise.PROMPT)
@pytest.mark.alone
@pytest.mark.timeout(400)
async def test_no_answer_holds_the_loop_up_or_fills_the_memory(subtests: pytest.Subtests) -> None:
    """Every kind is sent for every operation, in two projects at once; meanwhile the exporter answers."""
    server = FaultyServer(SESSIONS, ACCOUNTS)
    async with server.serve() as url, measured(url) as process:
        await _answered(process, server.good, 50)
        before = await process.figures()
        most_seconds = MOST_SECONDS * slowness()
        for name in HOSTILE:
            server.spoil = partial(_spoil, name)
            with subtests.test(name):
                stalls: list[float] = []
                while len(stalls) < ATTEMPTS and min(stalls, default=most_seconds) >= most_seconds:
                    await _answered(process, server.faulty, TIMES)
                    figures = await process.figures()
                    stalls.append(figures["stall"])
                    assert figures["peak"] < MOST_MIB
                assert min(stalls) < most_seconds
        server.spoil = lambda _call, _body: None
        await _answered(process, server.good, 50)
        after = await process.figures()
        assert after["rss"] < before["rss"] + MOST_KEPT_MIB


def _spoil(name: str, call: Call, _: bytes) -> Fault:
    return fault(name, call.operation)


async def _answered(process: Measured, answers: Counter[tuple[str, str]], times: int) -> None:
    """Wait for this many further answers."""
    wanted = answers.total() + times
    async with asyncio.timeout(60):
        while answers.total() < wanted:
            assert (await get(f"{process.address}/-/healthy"))[0] == 200
            await asyncio.sleep(0.02)
