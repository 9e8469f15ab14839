"""The poller against a simulated cloud that enforces its quota, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from support.fake_cloud import unverified
from support.fleets import watching
from support.simulated_cloud import SimulatedCloud
from support.virtual_time import EPOCH, run_virtually, wall_clock

from exporter import config
from exporter.fleet import Fleet
from exporter.polling.poller import Poller
from exporter.simulator import Simulator, SimulatorOptions

if TYPE_CHECKING:
    from exporter.simulator import Calls

MINUTES = 20


def poll(users: int, **settings: float) -> Calls:
    """Poll a simulated population, with default settings unless given, and return the requests."""

    async def main() -> Calls:
        simulator = Simulator(SimulatorOptions(users=users, quota=200), clock=wall_clock)
        fleet = Fleet(watching((name, None) for name in simulator.population.names()))
        poller = Poller(
            fleet, SimulatedCloud(simulator), config.Poll.model_validate(settings), wall_clock, unverified("sim")
        )
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(MINUTES * 60)
        running.cancel()
        await asyncio.wait([running])
        return simulator.calls

    return run_virtually(main())


def test_with_150_users_and_the_defaults_the_calls_are_even_and_none_is_rejected() -> None:
    """150 calls for sessions and 30 for accounts a minute, no second with more than twice the mean."""
    calls = poll(150)
    assert {status for _, status in calls.counts} == {200}
    about_users = [call for call in calls.log if call.operation in {"ListSessionByUserName", "ListUserDetail"}]
    times = [call.at - EPOCH for call in about_users if 120 <= call.at - EPOCH < MINUTES * 60]
    per_minute = Counter(int(time // 60) for time in times)
    assert set(per_minute.values()) <= {179, 180, 181}
    assert max(Counter(map(int, times)).values()) <= 2 * 180 / 60


def test_where_there_is_more_to_query_nine_tenths_of_the_quota_are_used_and_nothing_is_rejected() -> None:
    """The default of 180 a minute leaves the account's other users of the API a tenth of the 200."""
    calls = poll(1000)
    assert {status for _, status in calls.counts} == {200}
    assert calls.counts["ListSessionByUserName", 200] >= 179 * MINUTES


def test_a_quota_that_the_cloud_names_is_used_to_95_percent_and_then_never_met_again() -> None:
    """Set to twice what the cloud allows, the rate finds its place after the first refusals."""
    calls = poll(1000, rate_limit=400.0)
    steady = [call for call in calls.log if call.at - EPOCH >= 600]
    assert {call.status for call in steady} == {200}
    used = sum(call.operation == "ListSessionByUserName" for call in steady)
    assert used >= 0.95 * 200 * (MINUTES - 10)
