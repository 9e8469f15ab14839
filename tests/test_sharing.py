"""Projects with equal credentials and host share one rate limit and one quota: the cloud counts by account."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.exporters import project, settings
from support.fake_cloud import FakeCloud, cloud_of, refused
from support.virtual_time import run_virtually, wall_clock
from support.watches import polled, status, watch_of

from exporter.cloud.errors import Throttled
from exporter.polling.pace import Pace
from exporter.setup import prepared
from exporter.simulator import Simulator, SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.status import ProjectStatus
    from exporter.watch import Watch

SESSIONS = "ListSessionByUserName"
MINUTE = 60.0


async def paces(*projects: dict[str, Any], operation: str = SESSIONS) -> list[Pace]:
    setup, _ = prepared(settings(*projects), wall_clock)
    found = [watch.poller.lanes[operation].pace for watch in setup.watches]
    for watch in setup.watches:
        await watch.connection.close()
    return found


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ({}, True),
        ({"auth": {"token": "another"}}, False),
        ({"endpoints": {"sessions": "http://127.0.0.2:1", "users": "http://127.0.0.1:1"}}, False),
    ],
    ids=["equal", "other credentials", "other host"],
)
async def test_lanes_of_one_operation_with_equal_credentials_and_host_share_a_pace(
    change: dict[str, Any], *, shared: bool
) -> None:
    simulator = Simulator(SimulatorOptions(users=1))
    first = project(simulator, "http://127.0.0.1:1", name="a")
    second = project(simulator, "http://127.0.0.1:1", name="b", **change)
    one, other = await paces(first, second)
    assert (one is other) == shared
    (sessions,), (users,) = await paces(first), await paces(first, operation="ListUserDetail")
    assert sessions is not users


class Account:
    """A quota of requests within any minute, over several clouds."""

    def __init__(self, quota: int, *clouds: FakeCloud) -> None:
        self.quota = quota
        self.rejected: list[float] = []
        self._accepted: list[float] = []
        for cloud in clouds:
            cloud.fault = self._judge

    def _judge(self, operation: str, _who: str) -> None:
        now = asyncio.get_running_loop().time()
        if operation != SESSIONS:
            return
        if sum(time > now - MINUTE for time in self._accepted) >= self.quota:
            self.rejected.append(now)
            error = refused(operation, 429)
            assert isinstance(error, Throttled)
            error.quota = self.quota
            raise error
        self._accepted.append(now)

    def used(self, begin: float, end: float) -> int:
        return sum(begin <= time < end for time in self._accepted)


def sharing(pace_of: Callable[[str], Pace], cloud: FakeCloud, names: list[str], **poll: float | str) -> Watch:
    watch = watch_of(cloud, *names, **poll)
    watch.poller.apply(cloud, watch.spec.poll, watch.poller.access, pace_of)
    return watch


def test_two_projects_use_a_named_quota_together_without_rejections_and_fairly() -> None:
    clouds = [cloud_of(60) for _ in range(2)]
    account = Account(40, *(cloud for cloud, _ in clouds))
    paces: dict[str, Pace] = {}

    async def main() -> list[ProjectStatus]:
        watches = [sharing(lambda name: paces.setdefault(name, Pace()), *each, source="per_user") for each in clouds]
        async with polled(*watches):
            await asyncio.sleep(10 * MINUTE)
            return [status(watch) for watch in watches]

    for each in run_virtually(main()):
        assert each.operations[SESSIONS].interval == pytest.approx(60 * 60 / (0.97 * 40 / 2), rel=0.02)
    assert sum(time >= MINUTE for time in account.rejected) <= 2
    assert account.used(2 * MINUTE, 10 * MINUTE) >= 0.95 * 40 * 8
    first, second = (sum(time >= 2 * MINUTE for time in cloud.times(SESSIONS)) for cloud, _ in clouds)
    assert abs(first - second) <= 0.05 * first


def test_projects_that_fit_alone_and_not_together_are_collected_in_bulk() -> None:
    clouds = [cloud_of(120) for _ in range(2)]
    paces: dict[str, Pace] = {}

    async def main() -> list[str]:
        watches = [sharing(lambda name: paces.setdefault(name, Pace()), *each) for each in clouds]
        for watch in watches:
            watch.follow_shares()
        async with polled(*watches):
            await asyncio.sleep(MINUTE)
            return [status(watch).source.name for watch in watches]

    assert run_virtually(main()) == ["bulk", "bulk"]


def test_a_small_project_is_not_slowed_down_by_a_large_one() -> None:
    small, large = cloud_of(30), cloud_of(500)
    paces: dict[str, Pace] = {}

    async def main() -> ProjectStatus:
        watches = [
            sharing(lambda name: paces.setdefault(name, Pace()), *each, source="per_user") for each in (small, large)
        ]
        async with polled(*watches):
            await asyncio.sleep(10 * MINUTE)
            return status(watches[0])

    end = run_virtually(main())
    assert end.operations[SESSIONS].interval == 60
    late = [time for time in small[0].times(SESSIONS) if time >= 2 * MINUTE]
    assert len(late) == pytest.approx(30 * 8, abs=3)


def test_a_project_without_users_beside_one_that_uses_the_whole_rate_is_polled() -> None:
    full, empty = cloud_of(180), cloud_of(0)
    paces: dict[str, Pace] = {}

    async def main() -> list[ProjectStatus]:
        watches = [sharing(lambda name: paces.setdefault(name, Pace()), *each) for each in (full, empty)]
        async with polled(*watches):
            await asyncio.sleep(2 * MINUTE)
            return [status(watch) for watch in watches]

    assert [each.operations[SESSIONS].interval for each in run_virtually(main())] == pytest.approx([60, 60], abs=1)
