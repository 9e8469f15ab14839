"""The samples that Prometheus would scrape on a working day with everything that the dashboards show, in virtual time.

Three projects are watched until the second of two incidents. A client version is rolled out, an exporter is replaced,
another one is down for a while. Users are locked, disabled, expired, unknown or about to expire. Some requests fail.

    python tests/support/simulated_day.py day.txt    writes them for `promtool tsdb create-blocks-from openmetrics`
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest
import structlog
from support.simulated_cloud import LATENCY, SimulatedCloud
from support.virtual_time import run_virtually

from exporter import config, runner, setup
from exporter.cloud.auth import Token
from exporter.cloud.connect import Connection
from exporter.cloud.credentials import RenewedCredentials, TemporaryCredentials
from exporter.cloud.errors import CloudError
from exporter.cloud.telemetry import Telemetry
from exporter.metrics.exposition import OPENMETRICS, PREFIX
from exporter.polling.gate import KeyGate
from exporter.runner import Exporter
from exporter.setup import prepared
from exporter.simulator import DEMO_PROJECT_ID, Fault, Script, Simulator, SimulatorOptions, sessions
from exporter.simulator.generated import GeneratedPopulation
from exporter.simulator.sessions import Rollout
from exporter.simulator.simulation import DAY, HOUR, MINUTE, START, Timeline, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.cloud.client import Client
    from exporter.cloud.connect import ConnectionSpec

T = TypeVar("T")
Problem = tuple[str, str, str]
"""A project, a user and what is wrong."""

MIDNIGHT = 1_767_744_000.0
"""Wednesday, 2026-01-07 00:00 UTC. The office of the simulation keeps UTC."""


def at(time: str) -> float:
    """Return a time of the day, such as 09:20, in wall-clock seconds."""
    hours, minutes = time.split(":")
    return MIDNIGHT + int(hours) * HOUR + int(minutes) * MINUTE


BEGIN, END = at("04:30"), at("14:50")
LATE = at("12:20")
"""From here on, there is everything that tests look for."""

SCRAPE_INTERVAL = 120.0
STRANGER = "stranger"
"""A configured user of each project, unknown to the cloud."""
JOB = "workspace"

MOMENTS = {"incident": at("10:04"), "afternoon": at("13:50"), "nothing-known": BEGIN - 30 * DAY}
"""Times at which the dashboards are worth a look."""

REPLACED = at("12:30")
OUTAGE = (at("12:50"), at("13:10"))


@dataclass(frozen=True)
class Watched:
    """A project: its cloud, and the exporters that watch it, each from one time to another."""

    seed: int
    users: int
    runs: tuple[tuple[str, float, float], ...]
    incident: Script
    source: str = "per_user"
    rate_limit: int = 180
    labels: tuple[tuple[str, str], ...] = ()


def _incident(begin: str, minutes: float, ratio: float) -> Script:
    return Script(at=at(begin) - _START, duration=minutes * MINUTE, ratio=ratio)


_START = MIDNIGHT - 13.5 * HOUR  # a Tuesday at half past ten, when simulations start
_NONE = Script(at=365 * DAY)

PROJECTS = {
    "berlin": Watched(
        5,
        150,
        (("exporter-0:10099", BEGIN, REPLACED), ("exporter-1:10099", REPLACED, END)),
        _incident("09:48", 24, 0.9),
        source="bulk",
        rate_limit=20,
        labels=(("site", "adlershof"),),
    ),
    "lisbon": Watched(3, 12, (("exporter-3:10099", BEGIN, END),), _NONE),
    "paris": Watched(
        11,
        40,
        (("exporter-2:10099", BEGIN, OUTAGE[0]), ("exporter-2:10099", OUTAGE[1], END)),
        _incident("14:42", 5.5, 0.9),
    ),
}
FIRING = (
    ("WorkspaceInitFailSpike", "critical", "berlin", at("09:52"), at("10:18")),
    ("WorkspaceServerGroupDown", "warning", "berlin", at("10:03"), at("10:14")),
    ("WorkspaceProjectLost", "critical", "paris", at("12:56"), OUTAGE[1]),
    ("WorkspaceCoverageLow", "warning", "paris", OUTAGE[1], at("13:20")),
    ("WorkspaceInitFailSpike", "critical", "paris", at("14:46"), END + HOUR),
)
"""The alerts that the shipped rules would fire: name, severity, project, from when until when."""

_FAULTS = (Fault("429", 0.01), Fault("503", 0.005))
_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")


def wall_clock() -> float:
    """Return the wall-clock time that belongs to the running virtual loop."""
    return MIDNIGHT + asyncio.get_running_loop().time()


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
        self._simulators = {name: _simulator(watched) for name, watched in PROJECTS.items()}

    def connect(self, spec: ConnectionSpec, *_: object, telemetry: Telemetry | None = None) -> Connection:
        """Return a connection to a project's cloud."""

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
        """Yield what is wrong with each user now."""
        for project, simulator in self._simulators.items():
            yield project, STRANGER, "missing"
            for user in simulator.users():
                name = str(user.user_name)
                listed = simulator.population.sessions_of(name, wall_clock())
                ends = user.account_expires if isinstance(user.account_expires, int) else 0
                found = {
                    "locked": user.locked,
                    "expired": user.user_expired,
                    "disabled": user.disabled,
                    "soon": 0 < ends / 1000 - wall_clock() <= 14 * DAY,
                    "failed": any(session.session_state == "InitFail" for session in listed),
                }
                yield from ((project, name, problem) for problem, wrong in found.items() if wrong)


def _simulator(watched: Watched) -> Simulator:
    population = GeneratedPopulation(watched.seed, watched.users, Timeline(_START, 1.0), script=watched.incident)
    options = SimulatorOptions(seed=watched.seed, users=watched.users, quota=0, faults=_FAULTS)
    return Simulator(options, clock=wall_clock, population=population)


def _settings(name: str, watched: Watched) -> config.Settings:
    project = {
        "name": name,
        "project_id": DEMO_PROJECT_ID,
        "region": "eu-west-101",
        "users": [*(f"user{number:03}" for number in range(1, watched.users + 1)), STRANGER],
        "auth": {"token": "t"},
        "labels": dict(watched.labels),
    }
    poll = {"source": watched.source, "rate_limit": watched.rate_limit}
    # Less often than by default, so that the tests are fast.
    poll |= {"interval": "2m", "user_interval": "5m", "failures_interval": "1m"}
    return config.build(config.Layer("day", {"projects": [project], "poll": poll}))


async def _scraped(name: str, instance: str, begin: float, end: float, lines: dict[float, list[str]]) -> None:
    """Let an exporter run from one time to another, and record its scrapes."""
    await asyncio.sleep(max(0, begin - wall_clock()))
    first, plans = prepared(_settings(name, PROJECTS[name]), wall_clock)
    exporter = Exporter(first, wall_clock)
    await exporter.adopt(first, plans)
    running = asyncio.create_task(exporter.run())
    while wall_clock() < end:
        await asyncio.sleep(SCRAPE_INTERVAL)
        await exporter.publish()
        text = exporter.exposition.get(OPENMETRICS).body.decode()
        now = wall_clock()
        lines.setdefault(now, []).extend(_labelled(text, instance, now))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await exporter.aclose()


def _labelled(text: str, instance: str, now: float) -> Iterator[str]:
    """Yield the samples of a scrape as Prometheus would store them, with its own about the scrape."""
    target = f'instance="{instance}",job="{JOB}"'
    samples = [match for line in text.splitlines() if (match := _SAMPLE.fullmatch(line))]
    for sample in samples:
        labels = ",".join(filter(None, (target, sample["labels"])))
        yield f"{sample['name']}{{{labels}}} {sample['value']} {now}\n"
    for name, value in (("up", 1), ("scrape_duration_seconds", 0.004), ("scrape_samples_scraped", len(samples))):
        yield f"{name}{{{target}}} {value} {now}\n"


def _rules(now: float) -> Iterator[str]:
    """Yield what the shipped rules would add: alerts that fire, and the error budgets."""
    for alert, severity, project, begin, end in FIRING:
        if begin <= now < end:
            labels = f'alertname="{alert}",alertstate="firing",severity="{severity}",project="{project}"'
            yield f"ALERTS{{{labels}}} 1 {now}\n"
    for name, left in (("berlin", 0.31 if now > at("10:00") else 0.82), ("lisbon", 0.94), ("paris", 0.57)):
        yield f'project:{PREFIX}session_start_error_budget_remaining:ratio{{project="{name}"}} {left} {now}\n'
        yield f'project:{PREFIX}session_start_objective:ratio{{project="{name}"}} 0.99 {now}\n'


def _outage(lines: dict[float, list[str]]) -> None:
    """Add what Prometheus notes of the exporter that is down."""
    begin, end = OUTAGE
    for now, samples in lines.items():
        if begin < now <= end:
            samples.append(f'up{{instance="exporter-2:10099",job="{JOB}"}} 0 {now}\n')


def record(file: Path, begin: float = BEGIN) -> set[Problem]:
    """Write the day from a time on as OpenMetrics with times, and return what is wrong with users at its end."""
    lines: dict[float, list[str]] = {}

    async def main() -> set[Problem]:
        await asyncio.sleep(begin - wall_clock())
        clouds = Clouds()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(setup, "connect", clouds.connect)
            patch.setattr(runner, "PUBLISH_INTERVAL", DAY)
            patch.setattr(sessions, "CLIENT_ROLLOUT", Rollout(START + (at("05:00") - _START), 10 * HOUR))
            runs = ((name, *run) for name, watched in PROJECTS.items() for run in watched.runs)
            await asyncio.gather(*(_scraped(*run, lines) for run in runs if run[-1] > begin))
        return set(clouds.problems())

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    wrong = run_virtually(main())
    _outage(lines)
    with file.open("w", encoding="utf-8") as day:
        for now in sorted(lines):
            day.writelines((*lines[now], *_rules(now)))
        day.write("# EOF\n")
    return wrong


def _main(arguments: list[str]) -> Any:
    wrong = record(Path(arguments[0]))
    for moment, time in MOMENTS.items():
        sys.stdout.write(f"{moment} {time:.0f}\n")
    return wrong


if __name__ == "__main__":
    _main(sys.argv[1:])
