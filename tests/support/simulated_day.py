"""What a Prometheus would have scraped on a day with everything that dashboards are there to show, in virtual time.

Two projects, an exporter each; at noon one exporter is replaced by another, as a deployment would. Versions are rolled
out, users are locked, disabled, expired, unknown or about to expire, some calls are throttled or fail, and the day ends
amid an incident.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, TypeVar, cast

import pytest
import structlog
from support.simulated_cloud import LATENCY, SimulatedCloud
from support.virtual_time import EPOCH, run_virtually, wall_clock

from exporter import config, runner, setup
from exporter.cloud.auth import Token
from exporter.cloud.connect import Connection
from exporter.cloud.credentials import RenewedCredentials, TemporaryCredentials
from exporter.cloud.errors import CloudError
from exporter.cloud.telemetry import Telemetry
from exporter.metrics.exposition import OPENMETRICS
from exporter.polling.gate import KeyGate
from exporter.runner import Exporter
from exporter.setup import prepared
from exporter.simulator import DEMO_PROJECT_ID, Fault, Script, Simulator, SimulatorOptions
from exporter.simulator.simulation import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from exporter.cloud.client import Client
    from exporter.cloud.connect import ConnectionSpec

T = TypeVar("T")
Problem = tuple[str, str, str]
"""A project, a user and what is wrong."""

HOUR = 3600.0
DAY = 24 * HOUR
BEGIN, END = EPOCH, EPOCH + DAY
SCRAPE_INTERVAL = 120.0
PROJECTS = {"berlin": 5, "paris": 11}
"""With the seeds of their clouds, in which nobody gets locked after the last round."""
USERS = 40
STRANGER = "stranger"
"""Of each project; one more is configured that the cloud does not know."""
JOB = "workspace"

_INCIDENT = Script(at=DAY - 11 * 60, duration=6 * 60)
_FAULTS = (Fault("429", 0.01), Fault("503", 0.005))
_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")


class ToldCloud(SimulatedCloud):
    """The simulated cloud with the telemetry and the credentials that a real connection has."""

    def __init__(self, simulator: Simulator, credentials: RenewedCredentials, telemetry: Telemetry) -> None:
        super().__init__(simulator)
        self._credentials = credentials
        self._telemetry = telemetry
        self._dice = stream(simulator.options.seed, "latency")

    async def _get(self, operation: str, target: str, decode: Callable[[bytes], T]) -> T:
        await self._credentials.current()
        longer = self._dice.expovariate(5)
        await asyncio.sleep(longer)
        try:
            value = await super()._get(operation, target, decode)
        except CloudError as error:
            self._telemetry.attempted(operation, error.outcome)
            raise
        finally:
            self._telemetry.answered(operation, LATENCY + longer)
            self._telemetry.clock_skew = self._dice.uniform(-1.5, 0.5)
        self._telemetry.attempted(operation, "200")
        return value


class Clouds:
    """A cloud for each project, which outlives the exporters."""

    def __init__(self) -> None:
        self._simulators = {name: _simulator(seed) for name, seed in PROJECTS.items()}

    def connect(self, spec: ConnectionSpec, *_: object, telemetry: Telemetry | None = None) -> Connection:
        """A connection to a project's cloud."""

        async def obtain() -> TemporaryCredentials:
            return TemporaryCredentials(Token("token"), wall_clock() + DAY)

        async def nothing_to_close() -> None:
            pass

        telemetry = telemetry or Telemetry()
        name = str(spec.project.name)
        credentials = RenewedCredentials(obtain, wall_clock, name, KeyGate())
        cloud = ToldCloud(self._simulators[name], credentials, telemetry)
        return Connection(cast("Client", cloud), credentials, telemetry, 10.0, nothing_to_close)

    def problems(self) -> Iterator[Problem]:
        """What is wrong with which user now."""
        for project, simulator in self._simulators.items():
            yield project, STRANGER, "missing"
            for user in simulator.users():
                name = str(user.user_name)
                sessions = simulator.population.sessions_of(name, wall_clock())
                ends = user.account_expires if isinstance(user.account_expires, int) else 0
                found = {
                    "locked": user.locked,
                    "expired": user.user_expired,
                    "disabled": user.disabled,
                    "soon": 0 < ends / 1000 - wall_clock() <= 14 * DAY,
                    "failed": any(session.session_state == "InitFail" for session in sessions),
                }
                yield from ((project, name, problem) for problem, wrong in found.items() if wrong)


def _simulator(seed: int) -> Simulator:
    options = SimulatorOptions(seed=seed, users=USERS, quota=0, faults=_FAULTS, incident=_INCIDENT)
    return Simulator(options, clock=wall_clock)


def _settings(project: str) -> config.Settings:
    users = [*(f"user{number:03}" for number in range(1, USERS + 1)), STRANGER]
    watched = {"name": project, "project_id": DEMO_PROJECT_ID, "region": "eu-west-101", "users": users}
    poll = {"interval": "2m", "user_interval": "10m"}
    return config.build(config.Layer("day", {"projects": [{**watched, "auth": {"token": "t"}}], "poll": poll}))


async def _scraped(project: str, instance: str, begin: float, end: float, lines: dict[float, list[str]]) -> None:
    """Let an exporter run from one time of the loop to another, and note what each scrape of it gives."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(begin - loop.time())
    first, plans = prepared(_settings(project), wall_clock)
    exporter = Exporter(first, wall_clock)
    await exporter.adopt(first, plans)
    running = asyncio.create_task(exporter.run())
    while loop.time() < end:
        await asyncio.sleep(SCRAPE_INTERVAL)
        await exporter.publish()
        text = exporter.exposition.get(OPENMETRICS).body.decode()
        lines.setdefault(loop.time(), []).extend(_labelled(text, instance, wall_clock()))
    running.cancel()
    await asyncio.wait([running])
    await exporter.aclose()


def _labelled(text: str, instance: str, at: float) -> Iterator[str]:
    """The samples of a scrape as Prometheus would store them, with its own about the scrape."""
    target = f'instance="{instance}",job="{JOB}"'
    samples = [match for line in text.splitlines() if (match := _SAMPLE.fullmatch(line))]
    for sample in samples:
        labels = ",".join(filter(None, (target, sample["labels"])))
        yield f"{sample['name']}{{{labels}}} {sample['value']} {at}\n"
    for name, value in (("up", 1), ("scrape_duration_seconds", 0.004), ("scrape_samples_scraped", len(samples))):
        yield f"{name}{{{target}}} {value} {at}\n"


def record(file: Path) -> set[Problem]:
    """Write the day as OpenMetrics with times, from which `promtool tsdb create-blocks-from` makes a database.

    Gives what is wrong with users at the end.
    """
    lines: dict[float, list[str]] = {}

    async def main() -> set[Problem]:
        clouds = Clouds()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(setup, "connect", clouds.connect)
            patch.setattr(runner, "PUBLISH_INTERVAL", DAY)
            await asyncio.gather(
                _scraped("berlin", "exporter-0:10099", 0, DAY / 2, lines),
                _scraped("berlin", "exporter-1:10099", DAY / 2, DAY, lines),
                _scraped("paris", "exporter-2:10099", 0, DAY, lines),
            )
        return set(clouds.problems())

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    wrong = run_virtually(main())
    with file.open("w", encoding="utf-8") as day:
        for at in sorted(lines):
            day.writelines(lines[at])
        day.write("# EOF\n")
    return wrong
