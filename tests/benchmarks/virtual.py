"""The whole exporter against the embedded simulator, without sockets and on a clock whose time flies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, TypeVar
from unittest.mock import patch

import structlog
from benchmarks.crowd import Crowd, user_name
from support.virtual_time import EPOCH, run_virtually, wall_clock

from exporter import config, runner
from exporter.cloud import connect
from exporter.cloud.bodies import ByteBudget
from exporter.cloud.telemetry import Telemetry
from exporter.cloud.transport import Answer, Transport
from exporter.metrics.exposition import TEXT
from exporter.runner import Exporter
from exporter.setup import prepared
from exporter.simulator import DEMO_PROJECT_ID, DEMO_TOKEN, Request, Simulator, SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from benchmarks.crowd import Failure

    from exporter.cloud.transport import Request as Question

T = TypeVar("T")

LATENCY = 0.05
"""Seconds to each answer."""

SOURCES = ("per_user", "bulk")
"""The ways to collect sessions, as the setting ``poll.source`` has them."""


def live_sessions(users: int) -> int:
    """How many sessions a fleet has in these benchmarks: three for ten users."""
    return users * 3 // 10


def simulated_cloud(users: int, quota: int, failures: Sequence[Failure] = ()) -> Simulator:
    """A cloud with so many users, whose clock is that of the virtual time."""
    crowd = Crowd(users, live_sessions(users), EPOCH, failures)
    return Simulator(SimulatorOptions(quota=quota), clock=wall_clock, population=crowd)


def settings(users: int, poll: dict[str, Any]) -> config.Settings:
    """What watches that cloud. Raises ConfigError where this version does not know a setting."""
    project = {
        "name": "crowd",
        "project_id": DEMO_PROJECT_ID,
        "region": "eu-west-101",
        "auth": {"token": DEMO_TOKEN},
        "users": [user_name(number) for number in range(users)],
    }
    metrics = {"per_user": "none", "max_label_values": 1000}
    return config.build(config.Layer("benchmark", {"projects": [project], "poll": poll, "metrics": metrics}))


def refused(poll: dict[str, Any]) -> bool:
    """Whether this version does not know such settings."""
    try:
        settings(1, poll)
    except config.ConfigError:
        return True
    return False


@contextlib.asynccontextmanager
async def polling(
    simulator: Simulator, wanted: config.Settings, publish_interval: float = 1.0
) -> AsyncIterator[Exporter]:
    """An exporter that polls and publishes as long as the context lasts."""
    with (
        patch.object(connect, "Transport", lambda **_: _InProcess(simulator)),
        patch.object(runner, "PUBLISH_INTERVAL", publish_interval),
    ):
        setup, plans = prepared(wanted, wall_clock)
        exporter = Exporter(setup, wall_clock)
        await exporter.adopt(setup, plans)
        running = asyncio.create_task(exporter.run())
        try:
            yield exporter
        finally:
            running.cancel()
            await asyncio.wait([running])
            await exporter.aclose()


async def until(condition: Callable[[], bool], step: float = 0.25) -> None:
    """Let virtual time pass until something is so."""
    while not condition():  # noqa: ASYNC110 - nothing tells, and time costs nothing here
        await asyncio.sleep(step)


def ready(exporter: Exporter) -> bool:
    """Whether something has been published, and every operation had finished a round by then."""
    return bool(exporter.published.projects) and all(status.ready for status in exporter.published.projects)


def rendered(exporter: Exporter) -> bytes:
    """What a scrape would get."""
    return exporter.exposition.get(TEXT).body


def virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time, with nothing logged but errors."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        return run_virtually(work)
    finally:
        structlog.reset_defaults()


class _InProcess(Transport):
    """A transport whose exchanges are calls of the simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self.telemetry = Telemetry()
        self.now = wall_clock
        self._simulator = simulator
        self._budget = ByteBudget()

    async def close(self) -> None:
        """Nothing is open."""

    async def _exchange(self, request: Question, _: object) -> Answer:
        target = f"{request.full_path}?{request.query}" if request.query else request.full_path
        response = self._simulator.handle(Request(request.method, target, request.headers, request.body))
        await asyncio.sleep(LATENCY)
        self.telemetry.answered(request.operation, LATENCY)
        return Answer(response.status, response.headers, response.body)
