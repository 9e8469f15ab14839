"""What is tried again, when, and how often, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from support.fake_cloud import FakeCloud, refused, unverified
from support.fleets import fleet_of
from support.promises import Promise
from support.spans import busiest
from support.virtual_time import run_virtually, wall_clock

from exporter import config
from exporter.cloud.errors import CloudError, InvalidResponse, Throttled, Unreachable
from exporter.cloud.models import Session
from exporter.polling.lane import ATTEMPTS
from exporter.polling.poller import Poller

if TYPE_CHECKING:
    from collections.abc import Callable

SESSIONS = "ListSessionByUserName"


def failing(*errors: CloudError | None) -> Callable[[str, str], None]:
    """A fault that lets the first calls for sessions end in these errors, and all others succeed."""
    left = list(errors)

    def fault(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        error = left.pop(0) if operation == SESSIONS and left else None
        if error:
            raise error

    return fault


def poll(cloud: FakeCloud, users: int, seconds: float, **settings: float) -> Poller:
    """Poll for so long."""
    names = [f"user{number}" for number in range(users)]
    for name in names:
        cloud.add(name, Session.of(id=name, session_state="Active"))

    async def main() -> Poller:
        poll = config.Poll.model_validate(settings)
        poller = Poller(fleet_of(*names), cloud, poll, wall_clock, unverified("berlin"))
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.wait([running])
        return poller

    return run_virtually(main())


PASSING = [
    refused(SESSIONS, 429),
    refused(SESSIONS, 500),
    refused(SESSIONS, 503),
    Unreachable(SESSIONS, "timeout"),
    Unreachable(SESSIONS, "connection_error"),
]
LASTING = [
    refused(SESSIONS, 400),
    refused(SESSIONS, 403),
    refused(SESSIONS, 301),
    Unreachable(SESSIONS, "tls_error"),
    InvalidResponse(SESSIONS, "invalid_response"),
]


@pytest.mark.promise(Promise.RETRIED)
@pytest.mark.parametrize("error", PASSING, ids=lambda error: error.outcome)
def test_what_passes_is_tried_again_and_fails_no_round(error: CloudError) -> None:
    cloud = FakeCloud(fault=failing(error, error))
    poller = poll(cloud, users=1, seconds=20)
    assert len(cloud.times(SESSIONS)) >= 3
    assert poller.sessions.cycles.last
    assert not poller.sessions.cycles.last.failed


@pytest.mark.promise(Promise.FORBIDDEN)
@pytest.mark.parametrize("error", LASTING, ids=lambda error: error.outcome)
def test_what_lasts_is_not_tried_again_in_its_round(error: CloudError) -> None:
    cloud = FakeCloud(fault=failing(*[error] * 99))
    poller = poll(cloud, users=1, seconds=50)
    assert len(cloud.times(SESSIONS)) == 1
    assert poller.sessions.cycles.last
    assert poller.sessions.cycles.last.failed == {error.outcome: 1}


@pytest.mark.promise(Promise.JITTERED)
def test_a_call_is_tried_four_times_with_growing_pauses() -> None:
    cloud = FakeCloud(fault=failing(*[refused(SESSIONS, 503)] * 99))
    poll(cloud, users=1, seconds=50)
    times = cloud.times(SESSIONS)
    assert len(times) == ATTEMPTS == 4
    pauses = [later - earlier for earlier, later in pairwise(times)]
    for pause, least in zip(pauses, (0.5, 1.0, 2.0), strict=True):
        assert least <= pause <= least + 1.5


@pytest.mark.promise(Promise.JITTERED)
def test_the_pauses_differ() -> None:
    """Calls that failed together are not all tried again together."""
    cloud = FakeCloud(latency=0)
    first: dict[str, float] = {}

    def once_for_each(operation: str, who: str) -> None:
        if operation == SESSIONS and who not in first:
            first[who] = asyncio.get_running_loop().time()
            raise refused(operation, 503)

    cloud.fault = once_for_each
    poll(cloud, users=9, seconds=50, rate_limit=60_000)
    second = {
        who: time for time, operation, who in reversed(cloud.calls) if operation == SESSIONS and time > first[who]
    }
    pauses = [second[who] - first[who] for who in first]
    assert max(pauses) - min(pauses) > 0.1


@pytest.mark.promise(Promise.RETRIED)
def test_nothing_is_tried_again_after_the_end_of_the_round() -> None:
    """A cycle of five seconds has no time for the pause that the cloud requests."""
    error = refused(SESSIONS, 503)
    error.retry_after = 30.0
    cloud = FakeCloud(fault=failing(error))
    poller = poll(cloud, users=1, seconds=4, interval=5.0)
    assert len(cloud.times(SESSIONS)) == 1
    assert poller.sessions.cycles.last
    assert poller.sessions.cycles.last.failed == {"503": 1}


@pytest.mark.promise(Promise.RETRY_AFTER)
def test_retry_after_is_honoured_for_the_whole_operation() -> None:
    error = refused(SESSIONS, 429)
    error.retry_after = 20.0
    cloud = FakeCloud(fault=failing(None, None, error))
    poll(cloud, users=9, seconds=40)
    times = cloud.times(SESSIONS)
    assert times[3] - times[2] >= 20.0


def test_one_user_s_retry_after_does_not_hold_up_the_others() -> None:
    """Only a 429 speaks for a whole operation."""
    error = refused(SESSIONS, 503)
    error.retry_after = 20.0
    cloud = FakeCloud(fault=failing(None, None, error))
    poll(cloud, users=9, seconds=15)
    assert len(cloud.times(SESSIONS)) >= 9


@pytest.mark.promise(Promise.PACED)
def test_retries_count_against_the_rate_limit() -> None:
    cloud = FakeCloud()
    dice = Counter[str]()

    def every_third(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        dice[operation] += 1
        if dice[operation] % 3 == 0:
            raise refused(operation, 500)

    cloud.fault = every_third
    poll(cloud, users=200, seconds=600)
    times = cloud.times(SESSIONS)
    assert busiest(times, 59.999) <= 180


@pytest.mark.promise(Promise.SLOWED)
def test_a_series_of_429_slows_down_the_requests_of_its_operation_and_of_no_other() -> None:
    throttled = FakeCloud(fault=failing(*[None] * 20, *[refused(SESSIONS, 429)] * 20))
    untroubled = FakeCloud()
    for cloud in (throttled, untroubled):
        poll(cloud, users=500, seconds=67, user_interval=300.0)
    slow, usual = (len(cloud.times(SESSIONS)) for cloud in (throttled, untroubled))
    assert 0.6 * usual < slow < 0.9 * usual
    assert len(throttled.times("ListUserDetail")) == len(untroubled.times("ListUserDetail"))


def test_no_retry_goes_out_while_the_credentials_are_rejected() -> None:
    """Sessions meet a passing trouble that is worth another try, and before it comes accounts are refused."""
    cloud = FakeCloud(latency=0.3)
    refusals: list[float] = []

    def trouble(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        now = asyncio.get_running_loop().time()
        if now > 100 and operation == SESSIONS:
            raise refused(operation, 503)
        if now > 100:
            refusals.append(now)
            raise refused(operation, 401)

    cloud.fault = trouble
    poll(cloud, users=150, seconds=150, user_interval=60.0)
    assert refusals
    assert [time for time, _, _ in cloud.calls if time > refusals[0]] == []


def test_a_throttled_error_knows_the_quota_only_where_it_is_reported() -> None:
    assert Throttled(SESSIONS, "429").quota is None


def test_an_absurd_quota_does_not_stop_the_polling() -> None:
    """Old numbers do not count for months either, because the interval limits their age."""
    cloud = FakeCloud()
    queried = 0

    def one_a_day(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        nonlocal queried
        queried += 1
        if queried == 5:
            error = refused(operation, 429)
            assert isinstance(error, Throttled)
            error.quota = 1 / 1440
            raise error

    cloud.fault = one_a_day
    poll(cloud, users=150, seconds=3600)
    assert len(cloud.times(SESSIONS)) > 9 * 50


def test_a_look_up_of_ids_is_tried_again_as_any_call() -> None:
    cloud = FakeCloud()
    queried = 0

    def twice(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        nonlocal queried
        queried += operation == "ListUsers"
        if operation == "ListUsers" and queried <= 2:
            raise refused(operation, 503)

    cloud.fault = twice
    poll(cloud, users=3, seconds=60)
    assert len(cloud.times("ListUserDetail")) >= 3


def test_no_retry_goes_out_after_its_round() -> None:
    """Even if the answer to another user's request delays the next one for long."""
    cloud = FakeCloud()
    first: dict[str, float] = {}

    def busy_then_held(operation: str, who: str) -> None:
        now = asyncio.get_running_loop().time()
        if operation != SESSIONS or now < 120:
            return
        first.setdefault(who, now)
        if len(first) == 1:
            raise refused(operation, 503)
        if len(first) == 2 and who != next(iter(first)):
            error = refused(operation, 429)
            error.retry_after = 300.0
            raise error

    cloud.fault = busy_then_held
    poll(cloud, users=200, seconds=700)
    who = next(iter(first))
    times = [
        time for time, operation, queried in cloud.calls if operation == SESSIONS and queried == who and time >= 120
    ]
    assert times[1] - times[0] > 300, "queried again in a later round"
    assert times[1] - times[0] < 420
