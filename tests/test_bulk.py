"""Sweeps beside the asking for each user: the same numbers, sooner, with a fraction of the calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from support.simulated_cloud import SimulatedCloud
from support.virtual_time import run_virtually, wall_clock
from support.watches import watch_of

from exporter import config
from exporter.metrics.exposition import TEXT, Exposition
from exporter.metrics.families import PREFIX, render
from exporter.metrics.labels import Labelling
from exporter.simulator import Simulator, SimulatorOptions
from exporter.simulator.incidents import Script
from exporter.status import ProcessStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.status import ProjectStatus
    from exporter.watch import Watch

Poll = dict[str, float]

HOUR = 3600.0
OWN = ("poll_", "api_", "exporter_", "credentials_", "clock_", "label_")
"""Metrics on the polling itself, which differs."""


def told(status: ProjectStatus) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample about the cloud."""
    exposition = Exposition(CollectorRegistry())
    process = ProcessStatus("1", "2", "3", reload_successful=True, loaded_at=0.0)
    exposition.publish(render([status], Labelling.of(config.Metrics()), process))
    return {
        (sample.name.removeprefix(PREFIX), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition.get(TEXT).body.decode())
        for sample in family.samples
        if not sample.name.removeprefix(PREFIX).startswith(OWN)
    }


async def watched(watches: Iterable[Watch], times: Iterable[float]) -> list[list[ProjectStatus]]:
    """How projects stand at these times while they are polled."""
    running = [asyncio.create_task(watch.run()) for watch in watches]
    seen = []
    for time in times:
        await asyncio.sleep(time - asyncio.get_running_loop().time())
        seen.append([watch.status() for watch in watches])
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    return seen


async def compare(seed: int, users: int, script: Script | None, per_user: Poll, bulk: Poll) -> None:
    """Every half hour the simulated day goes on, then both have time to see what they can: every sample is the same."""
    step = HOUR / 2

    def stepwise() -> float:
        return wall_clock() // step * step

    simulator = Simulator(SimulatorOptions(seed=seed, users=users, quota=0, incident=script), clock=stepwise)
    names = [*simulator.population.names(), "nobody"]
    watches = [
        watch_of(SimulatedCloud(simulator), *names, source="per_user", **per_user),
        watch_of(SimulatedCloud(simulator), *names, source="bulk", **bulk),
    ]
    for number, (one, other) in enumerate(await watched(watches, [step * n - 1 for n in range(1, 48)])):
        assert told(other) == told(one), number
        assert len(told(one)) > 2 * users
        assert other.source.name == "bulk"


days = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # a day is long, and does not get clearer by shrinking
    suppress_health_check=[HealthCheck.too_slow],
)
incidents = st.sampled_from([None, Script(at=2 * HOUR, duration=HOUR)])


@days
@given(st.integers(0, 1000), incidents)
def test_sweeps_alone_tell_the_same_over_a_day(seed: int, script: Script | None) -> None:
    """Each user's turn comes every half hour at most, so that all that is new comes from sweeps, or out of turn."""
    per_user: Poll = {"interval": 600.0, "user_interval": 600.0, "rate_limit": 600.0}
    bulk: Poll = {"interval": 300.0, "user_interval": 600.0, "rate_limit": 5.0}
    run_virtually(compare(seed, 150, script, per_user, bulk))


@days
@given(st.integers(0, 1000), st.sampled_from([1, 3]), incidents)
def test_bulk_tells_the_same_where_sessions_are_older_than_sweeps_look_back(
    seed: int, lookback: int, script: Script | None
) -> None:
    poll: Poll = {"interval": 300.0, "user_interval": 600.0, "rate_limit": 60.0}
    run_virtually(compare(seed, 30, script, poll, poll | {"bulk_lookback": lookback * HOUR}))
