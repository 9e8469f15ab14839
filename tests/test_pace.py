"""The pace of one operation against clouds that throttle, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from support.virtual_time import run_virtually

from exporter.polling.pace import QUOTA_MEMORY, Pace, Throttle

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE = 60.0


@dataclass(eq=False)
class Sender:
    """A lane that sends as fast as its pace allows."""

    demand: float = 1000.0
    sent: list[float] = field(default_factory=list)
    rejected: list[float] = field(default_factory=list)

    async def run(self, pace: Pace, throttles: Callable[[], float | bool], latency: float = 0.1) -> None:
        """Send until cancelled. ``throttles`` returns whether the cloud answers 429, or the quota that it names."""
        self.throttle = Throttle()
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self.throttle.wait(pace.share(self))
                await pace.turn(self)
                self.sent.append(_now())
                tasks.create_task(self._request(pace, throttles(), latency))

    async def _request(self, pace: Pace, throttled: float | bool, latency: float) -> None:
        at = _now()
        await asyncio.sleep(latency)
        if throttled is False:
            self.throttle.note_success()
        else:
            self.rejected.append(at)
            explained = pace.explains(None if throttled is True else throttled)
            self.throttle.slow_down(pace.share(self), retry_after=0.0, explained=explained)

    def accepted(self, begin: float, end: float) -> int:
        """Requests that the cloud accepted in this span of time."""
        return sum(begin <= time < end for time in self.sent) - sum(begin <= time < end for time in self.rejected)


def send(throttles: Callable[[], float | bool], seconds: float, *rate_limits: float) -> list[Sender]:
    """Let lanes with these rate limits share a pace for so many seconds."""
    senders = [Sender() for _ in rate_limits]

    async def main() -> None:
        pace = Pace()
        for sender, rate_limit in zip(senders, rate_limits, strict=True):
            pace.join(sender, rate_limit)
        running = [asyncio.create_task(sender.run(pace, throttles)) for sender in senders]
        await asyncio.sleep(seconds)
        for task in running:
            task.cancel()

    run_virtually(main())
    return senders


class Quota:
    """A cloud's quota: fixed or sliding minutes, in which rejected requests count or not."""

    def __init__(
        self, limit: int, *, sliding: bool, counts_rejected: bool, phase: float = 0.0, named: bool = True
    ) -> None:
        self.limit = limit
        self._sliding = sliding
        self._counts_rejected = counts_rejected
        self._phase = phase
        self._named = named
        self._seen: deque[float] = deque()
        self._minutes: Counter[int] = Counter()

    def __call__(self) -> float | bool:
        now, minute = _now(), int((_now() + self._phase) // MINUTE)
        while self._seen and self._seen[0] <= now - MINUTE:
            self._seen.popleft()
        used = len(self._seen) if self._sliding else self._minutes[minute]
        rejected = used >= self.limit
        if not rejected or self._counts_rejected:
            self._seen.append(now)
            self._minutes[minute] += 1
        return (float(self.limit) if self._named else True) if rejected else False


QUOTAS = [
    pytest.param(sliding, counts_rejected, phase, id=f"{'sliding' if sliding else 'fixed'}-{counts_rejected}-{phase}")
    for sliding, phase in ((True, 0.0), (False, 0.0), (False, 20.0), (False, 45.0))
    for counts_rejected in (True, False)
]


@pytest.mark.parametrize(("sliding", "counts_rejected", "phase"), QUOTAS)
@pytest.mark.parametrize(("rate_limit", "quota"), [(240.0, 120), (400.0, 200), (180.0, 20), (6000.0, 100)])
def test_a_named_quota_is_used_and_hardly_ever_exceeded_after_the_first_minute(
    sliding: bool, counts_rejected: bool, phase: float, rate_limit: float, quota: int
) -> None:
    cloud = Quota(quota, sliding=sliding, counts_rejected=counts_rejected, phase=phase)
    (sender,) = send(cloud, 10 * MINUTE, rate_limit)
    assert sender.rejected
    assert sum(time >= MINUTE for time in sender.rejected) <= 2
    # A request takes its time to become known as rejected: what was sent in the first minute may fill the second.
    assert sender.accepted(2 * MINUTE, 10 * MINUTE) >= 0.95 * quota * 8


@pytest.mark.parametrize(("share", "cost"), [(0.01, 0.10), (0.05, 0.15)])
def test_random_429_cost_little_throughput(share: float, cost: float) -> None:
    dice = random.Random(7)  # noqa: S311 - no secret
    (sender,) = send(lambda: dice.random() < share, 60 * MINUTE, 180.0)
    assert len(sender.sent) >= (1 - cost) * 180 * 60


@pytest.mark.parametrize("rate_limit", [20.0, 180.0, 1000.0])
def test_the_rate_is_back_five_minutes_after_the_last_429(rate_limit: float) -> None:
    (sender,) = send(lambda: _now() < 5 * MINUTE, 20 * MINUTE, rate_limit)
    last = max(sender.rejected)
    assert sender.accepted(last + 5 * MINUTE, last + 10 * MINUTE) >= 0.95 * rate_limit * 5


def test_a_cloud_that_throttles_everything_gets_few_requests() -> None:
    (sender,) = send(lambda: True, 30 * MINUTE, 180.0)
    late = [time for time in sender.sent if time >= 5 * MINUTE]
    assert 0.04 * 180 * 25 <= len(late) <= 0.15 * 180 * 25


@pytest.mark.parametrize("sliding", [True, False])
def test_a_quota_without_a_name_is_found_by_trial(sliding: bool) -> None:
    cloud = Quota(100, sliding=sliding, counts_rejected=False, named=False)
    (sender,) = send(cloud, 60 * MINUTE, 180.0)
    assert sender.accepted(10 * MINUTE, 60 * MINUTE) >= 0.75 * 100 * 50
    assert sum(time >= 10 * MINUTE for time in sender.rejected) <= 0.35 * 100 * 50


def test_lanes_share_one_quota_without_rejections_and_fairly() -> None:
    cloud = Quota(40, sliding=True, counts_rejected=True)
    senders = send(cloud, 20 * MINUTE, 180.0, 180.0)
    assert sum(time >= MINUTE for sender in senders for time in sender.rejected) <= 2
    first, second = (sender.accepted(5 * MINUTE, 20 * MINUTE) for sender in senders)
    assert abs(first - second) <= 2
    assert first + second >= 0.95 * 40 * 15


def test_the_lowest_rate_limit_of_the_lanes_applies_to_all() -> None:
    senders = send(lambda: False, 10 * MINUTE, 180.0, 60.0, 90.0)
    assert [len(sender.sent) for sender in senders] == pytest.approx([200, 200, 200], abs=1)


def test_a_lane_that_leaves_gives_its_share_back() -> None:
    async def main() -> tuple[float, float]:
        pace, small, large = Pace(), Sender(demand=20.0), Sender(demand=500.0)
        for lane in (small, large):
            pace.join(lane, 180.0)
        shared = pace.share(large)
        pace.leave(small)
        return shared, pace.share(large)

    assert run_virtually(main()) == (160.0, 180.0)


def test_requests_are_spread_evenly_and_lost_turns_are_not_made_up_for() -> None:
    async def main() -> list[float]:
        pace, lane, times = Pace(), Sender(), []
        pace.join(lane, 60.0)
        for pause in (0, 0, 10, 0, 0):
            await asyncio.sleep(pause)
            await pace.turn(lane)
            times.append(_now())
        return times

    assert run_virtually(main()) == [0, 1, 11, 12, 13]


def test_throttling_without_a_quota_slows_down_and_pauses_its_own_lane_only() -> None:
    """One project that the cloud keeps throttling costs the others of the account nothing."""

    async def main() -> tuple[Sender, Sender]:
        pace, bad, good = Pace(), Sender(demand=20.0), Sender(demand=20.0)
        for lane in (bad, good):
            pace.join(lane, 180.0)
        tasks = [asyncio.create_task(bad.run(pace, lambda: True)), asyncio.create_task(good.run(pace, lambda: False))]
        await asyncio.sleep(10 * MINUTE)
        for task in tasks:
            task.cancel()
        return bad, good

    bad, good = run_virtually(main())
    assert good.accepted(MINUTE, 10 * MINUTE) >= 0.9 * 160 * 9
    assert len(bad.sent) < 0.2 * 180 * 10


def test_retry_after_pauses_a_lane() -> None:
    async def main() -> float:
        throttle = Throttle()
        throttle.slow_down(60.0, retry_after=30.0, explained=False)
        await throttle.wait(60.0)
        return _now()

    assert run_virtually(main()) == 30.0


def test_many_requests_in_flight_together_slow_down_strongly_once() -> None:
    async def main() -> float:
        throttle = Throttle()
        for _ in range(16):
            throttle.slow_down(180.0, retry_after=0.0, explained=False)
        return throttle.rate(180.0)

    assert run_virtually(main()) == pytest.approx(0.97 * 0.7 * 180)


def test_a_named_quota_is_tried_again_after_an_hour() -> None:
    async def main() -> list[float]:
        pace, lane = Pace(), Sender()
        pace.join(lane, 180.0)
        assert pace.explains(60.0)
        seen = [pace.ceiling]
        await asyncio.sleep(QUOTA_MEMORY + 1)
        return [*seen, pace.ceiling]

    assert run_virtually(main()) == pytest.approx([0.97 * 60, 180.0])


def test_a_turn_that_nobody_waits_for_any_more_is_given_to_the_next() -> None:
    async def main() -> float:
        pace, lane = Pace(), Sender()
        pace.join(lane, 60.0)
        await pace.turn(lane)
        gone = asyncio.create_task(pace.turn(lane))
        waiting = asyncio.create_task(pace.turn(lane))
        await asyncio.sleep(0.5)
        gone.cancel()
        await waiting
        return _now()

    assert run_virtually(main()) == 1.0


def _now() -> float:
    return asyncio.get_running_loop().time()
