"""One operation fails in every way, and all others keep their full speed and their numbers. In virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import pytest
from support.fake_cloud import FakeCloud, cloud_of, refused
from support.promises import Promise
from support.virtual_time import run_virtually
from support.watches import by_state, polled, status, watch_of

from exporter.cloud.errors import CloudError, InvalidResponse, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.status import ProjectStatus

SESSIONS, DETAIL, LISTING, SCAN = "ListSessionByUserName", "ListUserDetail", "ListUsers", "ListSessions"
PER_USER, BULK = 180, 400
"""Users: as many as fit the interval at the default rate limit, and twice as many."""
BEGIN, END = 300.0, 900.0
"""While the operation fails."""
TIMEOUT = 10.0


def hang(operation: str) -> CloudError:
    return Unreachable(operation, "timeout")


def unavailable_for_a_minute(operation: str) -> CloudError:
    error = refused(operation, 503)
    error.retry_after = 60.0
    return error


def throttled_for_a_minute(operation: str) -> CloudError:
    error = refused(operation, 429)
    error.retry_after = 60.0
    return error


FAULTS: dict[str, Callable[[str], CloudError]] = {
    "hang": hang,
    "503, Retry-After: 60": unavailable_for_a_minute,
    "429, Retry-After: 60": throttled_for_a_minute,
    "429": lambda operation: refused(operation, 429),
    "500": lambda operation: refused(operation, 500),
    "403": lambda operation: refused(operation, 403),
    "connection_error": lambda operation: Unreachable(operation, "connection_error"),
    "tls_error": lambda operation: Unreachable(operation, "tls_error"),
    "invalid_response": lambda operation: InvalidResponse(operation, "invalid_response"),
}


async def _poll(cloud: FakeCloud, names: list[str], failing: str | None, fault: str | None) -> ProjectStatus:
    watch = watch_of(cloud, *names)
    async with polled(watch):
        await asyncio.sleep(BEGIN)
        if failing and fault:
            cloud.fault = lambda operation, _who: _fail(operation, failing, fault)
            if fault == "hang":
                cloud.slow[failing] = TIMEOUT
        await asyncio.sleep(END - BEGIN)
        return status(watch)


def _fail(operation: str, failing: str, fault: str) -> None:
    if operation == failing:
        raise FAULTS[fault](operation)


@cache
def polling(users: int, failing: str | None = None, fault: str | None = None) -> tuple[Counter[str], ProjectStatus]:
    """Requests by operation during the fault, and the project at its end."""
    cloud, names = cloud_of(users)
    end = run_virtually(_poll(cloud, names, failing, fault))
    return Counter(operation for time, operation, _ in cloud.calls if BEGIN <= time < END), end


@pytest.mark.promise(Promise.LANES)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("users", "failing"),
    [(PER_USER, SESSIONS), (PER_USER, DETAIL), (PER_USER, LISTING), (BULK, SESSIONS), (BULK, SCAN), (BULK, LISTING)],
)
def test_an_operation_that_fails_slows_down_no_other(users: int, failing: str, fault: str) -> None:
    usual, _ = polling(users)
    now, end = polling(users, failing, fault)
    for operation, requests in usual.items():
        if operation != failing:
            assert now[operation] >= 0.98 * requests, operation
    if failing != SESSIONS or users == BULK:
        assert by_state(end) == {"Active": users}
        assert end.up
    else:
        assert not end.sessions_known, "the answers are stale after three intervals"
        assert not end.up
    if failing == SESSIONS:
        assert end.accounts_known
        assert end.counts.accounts == users


@pytest.mark.promise(Promise.STALE)
@pytest.mark.parametrize("fault", FAULTS)
def test_numbers_go_stale_after_three_intervals_whatever_the_fault(fault: str) -> None:
    """A reduced rate, a pause and an endless cycle never extend that time."""
    cloud, names = cloud_of(PER_USER)

    async def main() -> tuple[ProjectStatus, ProjectStatus]:
        watch = watch_of(cloud, *names)
        async with polled(watch):
            await asyncio.sleep(BEGIN)
            cloud.fault = lambda operation, _who: _fail(operation, operation, fault)
            cloud.slow = dict.fromkeys((SESSIONS, DETAIL, LISTING), TIMEOUT) if fault == "hang" else {}
            await asyncio.sleep(110)
            early = status(watch)
            await asyncio.sleep(85)
            return early, status(watch)

    early, late = run_virtually(main())
    assert by_state(early) == {"Active": PER_USER}
    assert (late.sessions_known, late.up, by_state(late)) == (False, False, {})


def test_a_slow_cloud_makes_cycles_longer_and_no_user_absent() -> None:
    """Where concurrency is the bottleneck, intervals and staleness follow from the cycles that really happened."""
    cloud, names = cloud_of(PER_USER)
    cloud.slow[SESSIONS] = 9.6

    async def main() -> list[ProjectStatus]:
        watch = watch_of(cloud, *names, concurrency=4)
        seen = []
        async with polled(watch):
            for _ in range(60):
                await asyncio.sleep(30)
                seen.append(status(watch))
        return seen

    seen = run_virtually(main())
    assert {state.operations[SESSIONS].fresh for state in seen[15:]} == {PER_USER}
    assert seen[-1].operations[SESSIONS].interval == pytest.approx(432, abs=15)
