"""Rounds, pacing and staleness, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_cloud import FakeCloud, refused, unverified
from support.fleets import watching
from support.promises import Promise
from support.spans import busiest
from support.virtual_time import EPOCH, run_virtually, wall_clock

from exporter import config
from exporter.cloud.errors import Unreachable
from exporter.cloud.models import Session, User, UserDetail, UserPage
from exporter.fleet import Counts, Fleet
from exporter.polling.lane import ATTEMPTS
from exporter.polling.poller import Poller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from exporter.polling.loop import CycleLoop

SESSIONS = "ListSessionByUserName"
DETAIL = "ListUserDetail"
LOOKUP = "ListUsers"

A_MINUTE = 60 - 1e-6
"""Less a moment, since a sum of fractions may fall short of 60."""


class Polled:
    """A poller at work on a fake cloud."""

    def __init__(self, cloud: FakeCloud, names: Sequence[str], settings: dict[str, Any]) -> None:
        self.fleet = Fleet(watching((name, None) for name in names))
        self.poller = Poller(self.fleet, cloud, config.Poll(**settings), wall_clock, unverified("berlin"))

    def counts(self) -> Counts:
        for _ in self.poller.expire():
            pass
        return self.fleet.counts()


@asynccontextmanager
async def polling(cloud: FakeCloud, names: Sequence[str], **settings: Any) -> AsyncIterator[Polled]:
    polled = Polled(cloud, names, settings)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(polled.poller.run())
        yield polled
        running.cancel()


def cloud_of(users: int) -> tuple[FakeCloud, list[str]]:
    cloud = FakeCloud()
    names = [f"user{number:03}" for number in range(users)]
    for name in names:
        cloud.add(name, Session.of(id=name, session_state="Active"))
    return cloud, names


def test_with_150_users_and_the_defaults_180_calls_a_minute_are_spread_evenly() -> None:
    """150 + 30 calls a minute; no second with more than twice the mean; never over 180 a minute and operation."""
    cloud, names = cloud_of(150)

    async def main() -> None:
        async with polling(cloud, names):
            await asyncio.sleep(1200)

    run_virtually(main())
    steady = [time for time, _, _ in cloud.calls if 300 <= time < 1200]
    assert len(steady) == pytest.approx(180 * 15, rel=0.01)
    assert busiest(steady, 1.0) <= 2 * 180 / 60
    for operation in (SESSIONS, DETAIL):
        assert busiest(cloud.times(operation), A_MINUTE) <= 180, "first rounds included"


def test_the_first_round_runs_at_the_rate_limit_and_later_ones_take_the_interval() -> None:
    cloud, names = cloud_of(30)

    async def main() -> None:
        async with polling(cloud, names):
            await asyncio.sleep(100)

    run_virtually(main())
    times = cloud.times(SESSIONS)
    assert times[29] == pytest.approx(29 / 3, abs=0.02), "the second waits for the verdict on the first"
    assert {round(later - earlier, 3) for earlier, later in pairwise(times[31:60])} == {2.0}


def test_more_users_than_the_interval_holds_stretch_it() -> None:
    cloud, names = cloud_of(360)

    async def main() -> float:
        async with polling(cloud, names) as polled:
            await asyncio.sleep(500)
            return polled.poller.sessions.interval

    assert run_virtually(main()) == pytest.approx(120)
    assert busiest(cloud.times(SESSIONS), A_MINUTE) <= 180


def test_each_operation_has_as_many_requests_in_flight_as_the_concurrency_allows() -> None:
    cloud, names = cloud_of(100)
    cloud.latency = 30

    async def main() -> None:
        async with polling(cloud, names, concurrency=4):
            await asyncio.sleep(300)

    run_virtually(main())
    assert cloud.most_in_flight == 4 * len((SESSIONS, DETAIL))


def test_with_a_single_call_in_flight_no_operation_waits_for_the_other_s_turn() -> None:
    cloud, names = cloud_of(5)

    async def main() -> None:
        async with polling(cloud, names, concurrency=1):
            await asyncio.sleep(1000)

    run_virtually(main())
    assert len(cloud.times(SESSIONS)) >= 5 * 16
    assert len(cloud.times(DETAIL)) >= 5 * 3


@pytest.mark.promise(Promise.AT_ONCE)
def test_an_answer_counts_while_its_round_continues() -> None:
    cloud, names = cloud_of(60)

    async def main() -> int:
        async with polling(cloud, names) as polled:
            await asyncio.sleep(10.1)
            assert polled.poller.sessions.cycles.last is None
            return polled.counts().sessions.total()

    assert run_virtually(main()) == 31


@pytest.mark.promise(Promise.LASTING)
def test_the_last_good_answer_counts_until_it_is_stale_and_returns_with_the_cloud() -> None:
    cloud, names = cloud_of(10)

    def down(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        raise Unreachable(operation, "timeout")

    async def main() -> list[tuple[int, int]]:
        seen = []
        async with polling(cloud, names) as polled:
            await asyncio.sleep(65)
            cloud.fault, healthy = down, cloud.fault
            for _ in range(5):
                seen.append((polled.counts().queried, polled.counts().sessions.total()))
                await asyncio.sleep(60)
            assert not polled.poller.sessions.cycles.up
            cloud.fault = healthy
            await asyncio.sleep(60)
            seen.append((polled.counts().queried, polled.counts().sessions.total()))
        return seen

    *falling, recovered = run_virtually(main())
    assert falling[0] == falling[1] == falling[2] == (10, 10)
    assert falling[4] == (0, 0)
    assert recovered == (10, 10)


@pytest.mark.promise(Promise.LASTING, Promise.STALE)
def test_stale_after_says_how_long_an_answer_about_sessions_counts() -> None:
    cloud, names = cloud_of(1)

    async def main() -> tuple[int, int]:
        async with polling(cloud, names, interval=1000.0, stale_after=90.0) as polled:
            await asyncio.sleep(60)
            early = polled.counts().queried
            await asyncio.sleep(60)
            return early, polled.counts().queried

    # The second round follows the first at once, at 1/3 s; the third 1,000 s later.
    assert run_virtually(main()) == (1, 0)


def test_flags_do_not_come_and_go_when_they_are_requested_more_rarely_than_stale_after() -> None:
    cloud, names = cloud_of(5)

    async def main() -> set[int]:
        seen = set()
        async with polling(cloud, names, stale_after=180.0) as polled:
            await asyncio.sleep(30)
            for _ in range(60):
                await asyncio.sleep(20)
                seen.add(polled.counts().accounts)
        return seen

    assert run_virtually(main()) == {5}


def test_ids_are_looked_up_by_name_once_a_few_names_a_call() -> None:
    cloud, names = cloud_of(120)

    async def main() -> Counts:
        async with polling(cloud, names) as polled:
            await asyncio.sleep(1000)
            return polled.counts()

    counts = run_virtually(main())
    assert len(cloud.times(LOOKUP)) == 3
    assert counts.accounts == 120


@pytest.mark.promise(Promise.MISSING)
def test_a_user_that_the_cloud_does_not_know_is_missing_and_fails_no_round() -> None:
    cloud, names = cloud_of(3)

    async def main() -> tuple[Counts, list[CycleLoop]]:
        async with polling(cloud, [*names, "nobody"]) as polled:
            await asyncio.sleep(60)
            return polled.counts(), list(polled.poller.operations.values())

    counts, operations = run_virtually(main())
    assert counts.missing == 1
    for operation in operations:
        assert operation.cycles.last
        assert not operation.cycles.last.failed
        assert operation.cycles.last.answered == 4
        assert operation.cycles.last_success


def test_a_listing_of_ids_whose_pages_do_not_fit_together_makes_nobody_unknown() -> None:
    cloud, names = cloud_of(3)

    async def torn(
        user_names: Sequence[str],  # noqa: ARG001 - any names
        offset: int,  # noqa: ARG001 - any page
        limit: int = 100,  # noqa: ARG001 - of any size
        filters: Sequence[tuple[str, str]] = (),  # noqa: ARG001 - of anybody
    ) -> UserPage:
        return UserPage(users=[User("7", "max")], total_count=5)

    cloud.list_users = torn  # type: ignore[method-assign] # for this one instance

    async def main() -> tuple[int, Counter[str]]:
        async with polling(cloud, names) as polled:
            await asyncio.sleep(60)
            assert polled.poller.accounts.cycles.last
            return polled.counts().missing, polled.poller.accounts.cycles.last.failed

    assert run_virtually(main()) == (0, Counter(invalid_response=3))


def test_an_account_that_got_another_id_is_found_again() -> None:
    cloud, names = cloud_of(1)

    async def main() -> int:
        async with polling(cloud, names, user_interval=60.0) as polled:
            await asyncio.sleep(10)
            cloud.sessions[names[0]] = ()  # a live session would show that the user exists
            polled.fleet.found(polled.fleet.members[0], "the-id-before")
            await asyncio.sleep(60)
            missing = polled.counts().missing
            await asyncio.sleep(60)
            return missing - polled.counts().missing

    assert run_virtually(main()) == 1, "missing for one round, then found"


def test_one_failing_user_fails_alone() -> None:
    cloud, names = cloud_of(10)

    def broken(operation: str, who: str) -> None:
        if who == "user004":
            raise refused(operation, 500)

    cloud.fault = broken

    async def main() -> tuple[int, Counter[str], float | None]:
        async with polling(cloud, names) as polled:
            await asyncio.sleep(200)
            assert polled.poller.sessions.cycles.last
            return (
                polled.counts().queried,
                polled.poller.sessions.cycles.last.failed,
                polled.poller.sessions.cycles.last_success,
            )

    assert run_virtually(main()) == (9, Counter({"500": 1}), None)


@pytest.mark.promise(Promise.PAUSED)
def test_rejected_credentials_are_tried_one_at_a_time_with_growing_pauses() -> None:
    cloud, names = cloud_of(100)

    def wrong_key(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        raise refused(operation, 401)

    cloud.fault = wrong_key

    async def main() -> None:
        async with polling(cloud, names):
            await asyncio.sleep(3600)

    run_virtually(main())
    times = [round(time / 60) for time, _, _ in cloud.calls]
    assert times == [0, 1, 3, 7, 15, 30, 45], "pauses of 1, 2, 4, 8 and then 15 minutes"


@pytest.mark.promise(Promise.PAUSED)
def test_no_call_goes_out_during_a_pause() -> None:
    """Not even one whose turn was waited for when the credentials were revoked."""
    cloud, names = cloud_of(5)

    def revoked(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        if asyncio.get_running_loop().time() > 400:
            raise refused(operation, 401)

    cloud.fault = revoked

    async def main() -> None:
        async with polling(cloud, names):
            await asyncio.sleep(600)

    run_virtually(main())
    times = [time for time, _, _ in cloud.calls if time > 400]
    assert times[1] - times[0] >= 60
    assert len(times) == 3


def test_a_success_makes_the_next_pause_short_again() -> None:
    cloud, names = cloud_of(1)

    def refused_twice_and_once_more(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        if asyncio.get_running_loop().time() < 100 or 1000 < asyncio.get_running_loop().time() < 1050:
            raise refused(operation, 401)

    cloud.fault = refused_twice_and_once_more

    async def main() -> None:
        async with polling(cloud, names):
            await asyncio.sleep(1200)

    run_virtually(main())
    late = [time for time in cloud.times(SESSIONS) if time > 1000]
    assert late[1] - late[0] < 130, "a pause of 1 minute, not of 4"


def test_a_call_that_was_under_way_does_not_prove_what_has_been_rejected_since() -> None:
    async def main() -> tuple[bool, bool]:
        access = unverified("berlin")
        access.reject(refused(SESSIONS, 401), "the key")
        access.accept("the key")
        during = access.verified
        await access.wait()
        access.accept("the key")
        return during, access.verified

    assert run_virtually(main()) == (False, True)


@pytest.mark.promise(Promise.RESUMED)
def test_accepted_credentials_end_the_pauses() -> None:
    cloud, names = cloud_of(10)

    def wrong_at_first(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        if asyncio.get_running_loop().time() < 30:
            raise refused(operation, 401)

    cloud.fault = wrong_at_first

    async def main() -> int:
        async with polling(cloud, names) as polled:
            await asyncio.sleep(90)
            return polled.counts().queried

    assert run_virtually(main()) == 10


def test_up_says_whether_the_cloud_answers_for_anybody() -> None:
    cloud, names = cloud_of(3)

    def all_but_one(operation: str, who: str) -> None:
        if who != "user001":
            raise Unreachable(operation, "timeout")

    cloud.fault = all_but_one

    async def main() -> tuple[bool, bool]:
        async with polling(cloud, names) as polled:
            before = polled.poller.sessions.cycles.up
            await asyncio.sleep(30)
            return before, polled.poller.sessions.cycles.up

    assert run_virtually(main()) == (False, True)


def test_nobody_to_query_sends_nothing_and_is_up() -> None:
    cloud = FakeCloud()

    async def main() -> bool:
        async with polling(cloud, []) as polled:
            await asyncio.sleep(300)
            return polled.poller.sessions.cycles.up

    assert run_virtually(main())
    assert cloud.calls == []


def test_the_last_success_is_wall_time_and_the_duration_is_the_round_s() -> None:
    cloud, names = cloud_of(30)

    async def main() -> tuple[float | None, float | None]:
        async with polling(cloud, names) as polled:
            await asyncio.sleep(20)
            cycles = polled.poller.sessions.cycles
            return cycles.last_success, cycles.last_duration

    success, duration = run_virtually(main())
    assert success == pytest.approx(EPOCH + 29 / 3, abs=0.1)
    assert duration == pytest.approx(29 / 3, abs=0.1)


def test_a_day_of_polling_counts_every_failed_start_once() -> None:
    """Sessions that fail come and go all day; the counter ends at their true number."""
    cloud, names = cloud_of(20)
    true_number = 0

    async def live() -> None:
        nonlocal true_number
        for minute in range(24 * 60):
            name = names[minute % 20]
            if minute % 7 == 0 and minute > 2:
                true_number += 1
                cloud.sessions[name] = (
                    Session.of(id=f"failed-{minute}", session_state="InitFail", failed_code="WKS.7"),
                )
            else:
                cloud.sessions[name] = (Session.of(id=f"fine-{minute}", session_state="Active"),)
            await asyncio.sleep(60)

    async def main() -> int:
        async with polling(cloud, names) as polled:
            await live()
            await asyncio.sleep(60)
            return polled.fleet.attempts.failures.total

    assert run_virtually(main()) == true_number
    assert true_number > 200


def test_locked_accounts_are_counted() -> None:
    cloud, names = cloud_of(4)
    cloud.details["id-of-user002"] = UserDetail(locked=True)

    async def main() -> int:
        async with polling(cloud, names) as polled:
            await asyncio.sleep(10)
            return polled.counts().locked

    assert run_virtually(main()) == 1


@pytest.mark.parametrize("status", [None, 403, 500])
def test_users_without_an_id_cost_one_look_up_an_interval(status: int | None) -> None:
    """Whether the cloud does not know the names or refuses the question: it is not queried again at once."""
    cloud = FakeCloud()

    def refuse(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        if operation == LOOKUP and status:
            raise refused(operation, status)

    cloud.fault = refuse

    async def main() -> None:
        async with polling(cloud, ["nobody", "anybody"]):
            await asyncio.sleep(3000)

    run_virtually(main())
    tries = ATTEMPTS if status == 500 else 1
    assert len(cloud.times(LOOKUP)) <= tries * (3000 / 300 + 2)
    assert len(cloud.times(LOOKUP)) >= tries * 3000 / 300


def test_a_refusal_ends_the_round_for_all_users_and_the_next_one_waits_for_the_pause() -> None:
    cloud, names = cloud_of(20)

    def wrong_key(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        raise refused(operation, 401)

    cloud.fault = wrong_key

    async def main() -> list[tuple[int, float | None]]:
        async with polling(cloud, names) as polled:
            await asyncio.sleep(30)
            return [
                (op.cycles.last.failed["401"], op.cycles.last_duration)
                for op in polled.poller.operations.values()
                if op.cycles.last
            ]

    for failed, duration in run_virtually(main()):
        assert failed == 20
        assert duration is not None
        assert duration < 1


def test_a_round_takes_its_interval_even_if_users_drop_out_of_it() -> None:
    """Half of the users have no id: the other half is not queried twice as often for that."""
    cloud, names = cloud_of(10)

    async def main() -> None:
        async with polling(cloud, [*names, *(f"nobody{n}" for n in range(10))]):
            await asyncio.sleep(3000)

    run_virtually(main())
    assert len(cloud.times(DETAIL)) <= 10 * (3000 / 300 + 2)
