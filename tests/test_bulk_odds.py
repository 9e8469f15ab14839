"""Bulk collection where the cloud is odd, slow, or away for a while: no number comes and goes with that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.fake_cloud import FakeCloud, cloud_of, refused
from support.promises import Promise
from support.virtual_time import EPOCH, run_virtually, until, wall_clock
from support.watches import after, by_state, polled, reload, status, statuses, watch_of

from exporter.cloud.client import LIST_SESSION_BY_USER_NAME, LIST_SESSIONS, LIST_USER_DETAIL, LIST_USERS
from exporter.cloud.errors import Unreachable
from exporter.cloud.models import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.cloud.models import SessionPage
    from exporter.status import ProjectStatus

HOUR = 3600.0
DAY = 24 * HOUR


def refusing(
    operation: str, begin: float, end: float, *, about: str = "", status: int = 400
) -> Callable[[str, str], None]:
    """A fault of one operation between two times, where it is about whose name begins so, or about whatever page."""

    def fault(called: str, who: str) -> None:
        if called == operation and who.startswith(about) and begin <= asyncio.get_running_loop().time() < end:
            raise refused(operation, status)

    return fault


def crowded(users: int, sessions: int) -> tuple[FakeCloud, list[str]]:
    """So many users, each with so many sessions; and their names."""
    cloud, names = cloud_of(users)
    for name in names:
        cloud.sessions[name] = tuple(
            Session.of(id=f"{number}-of-{name}", session_state="Active") for number in range(sessions)
        )
    return cloud, names


def totals(seen: Sequence[ProjectStatus]) -> list[int]:
    """How many sessions count at each look."""
    return [by_state(status).total() for status in seen]


def test_one_failed_scan_costs_no_session_that_is_older_than_the_look_back_window() -> None:
    """They are queried one by one, which takes longer than ``poll.stale_after``; scans show that the cloud answers."""
    cloud, names = cloud_of(200)
    cloud.started = {f"of-{name}": EPOCH - DAY - HOUR for name in names}
    cloud.fault = refusing(LIST_SESSIONS, 900, 961)
    seen = after(cloud, names, *range(890, 1200, 10), rate_limit=30.0, stale_after=180.0)
    assert {status.source.name for status in seen} == {"per_user", "bulk"}
    assert set(totals(seen)) == {200}


@pytest.mark.promise(Promise.LASTING)
def test_sessions_that_grow_too_old_for_scans_while_these_fail_for_long_count_on() -> None:
    cloud, names = cloud_of(200)
    cloud.started = {f"of-{name}": EPOCH - DAY + 600 + 9 * number for number, name in enumerate(names)}
    cloud.fault = refusing(LIST_SESSIONS, 550, 2350)
    seen = after(cloud, names, *range(540, 2800, 10), rate_limit=30.0, stale_after=7200.0)
    assert set(totals(seen)) == {200}


def test_a_session_that_grows_too_old_for_scans_counts_on_though_its_time_is_of_a_zone_ahead_of_utc() -> None:
    """Read as UTC it looks younger than it is."""
    cloud, names = cloud_of(200)
    cloud.started = {f"of-{name}": EPOCH - DAY + 300 + number for number, name in enumerate(names)}
    cloud.zone = 14 * HOUR
    assert set(totals(after(cloud, names, *range(200, 800, 10)))) == {200}


def test_a_reload_with_a_shorter_look_back_window_ends_no_session() -> None:
    cloud, names = cloud_of(200)
    cloud.started = {f"of-{name}": EPOCH - 10 * HOUR for name in names}

    async def main() -> list[ProjectStatus]:
        first = watch_of(cloud, *names, rate_limit=30.0)
        before = await statuses(first, 900)
        await reload(first, cloud, *names, rate_limit=30.0, bulk_lookback=8 * HOUR)
        return [*before, *await statuses(first, *range(905, 1400, 5))]

    assert set(totals(run_virtually(main()))) == {200}


def test_scans_that_take_long_because_the_cloud_is_slow_are_not_stale_before_the_next_one() -> None:
    """20 pages of 2.5 s each, where they should take no longer than the interval of 20 s."""
    cloud, names = crowded(90, 20)
    cloud.latency = 2.5
    seen = after(cloud, names, *range(150, 450, 5), interval=20.0)
    assert {status.operations[LIST_SESSIONS].fresh for status in seen} == {90}
    assert set(totals(seen)) == {1800}


@pytest.mark.promise(Promise.AT_ONCE)
def test_what_the_first_pages_of_a_first_scan_reported_counts_to_its_end_though_it_takes_over_three_intervals() -> None:
    cloud, names = crowded(150, 20)
    cloud.latency = 2.0
    seen = after(cloud, names, *range(1, 73), interval=20.0, rate_limit=30.0)
    assert seen[60].operations[LIST_SESSIONS].cycles.last is None, "a second after three intervals"
    assert totals(seen)[60] > 2500
    assert totals(seen) == sorted(totals(seen))
    assert totals(seen)[-1] == 3000
    assert seen[-1].operations[LIST_SESSIONS].fresh == 150


def test_a_cloud_that_is_gone_is_down_though_it_had_no_sessions_to_list() -> None:
    """An empty listing needs no further request. One that fails is not empty."""
    cloud = FakeCloud(latency=2.0)
    names = [f"user{number:04}" for number in range(200)]
    for name in names:
        cloud.add(name)

    def away(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        if asyncio.get_running_loop().time() > 300:
            raise Unreachable(operation, "timeout")

    cloud.fault = away
    before, *seen = after(cloud, names, 290, *range(600, 900, 5), stale_after=HOUR)
    assert before.up
    assert all(status.sessions_known for status in seen)
    assert not any(status.up for status in seen)


def test_one_failed_list_of_all_users_costs_no_call_a_user() -> None:
    cloud, names = cloud_of(400)
    cloud.fault = refusing(LIST_USERS, 290, 310, status=403)
    during, later = after(cloud, names, 350, 1000)
    assert [len(status.operations[LIST_USERS].failures) for status in (during, later)] == [1, 0]
    assert (during.counts.accounts, later.counts.accounts) == (400, 400)
    assert not cloud.times(LIST_USER_DETAIL)


def test_a_list_of_all_users_that_is_not_to_be_had_covers_nobody_though_users_are_known_one_by_one() -> None:
    cloud, names = cloud_of(200)
    cloud.fault = refusing(LIST_USERS, 0, DAY, about="from", status=403)
    (status,) = after(cloud, names, 290)
    assert {name: operation.fresh for name, operation in status.operations.items()} == {
        LIST_SESSION_BY_USER_NAME: 200,
        LIST_SESSIONS: 200,
        LIST_USERS: 0,
        LIST_USER_DETAIL: 200,
    }


def test_scans_that_are_not_worth_it_leave_no_operation_behind_that_covers_nobody() -> None:
    cloud, names = cloud_of(190)
    cloud.sessions["others"] = tuple(Session.of(id=f"other{n}", session_state="Active") for n in range(17_000))
    (status,) = after(cloud, names, 300)
    assert status.source.name == "per_user"
    assert {name: operation.fresh for name, operation in status.operations.items()} == {
        LIST_SESSION_BY_USER_NAME: 190,
        LIST_USERS: 190,
    }


def test_a_user_that_scans_raise_a_question_about_is_queried_again_until_there_is_an_answer() -> None:
    """It would be the user's turn again a quarter of an hour later."""
    cloud, names = cloud_of(200)
    cloud.fault = refusing(LIST_SESSION_BY_USER_NAME, 1300, 1430, about=names[7])
    watch = watch_of(cloud, *names, rate_limit=10.0)

    async def main() -> tuple[ProjectStatus, ProjectStatus]:
        async with polled(watch):
            await until(1300)
            cloud.sessions[names[7]] = (Session.of(id=f"of-{names[7]}", session_state="SignedOut"),)
            await until(1430)
            unanswered = status(watch)
            await until(1600)
            return unanswered, status(watch)

    unanswered, answered = run_virtually(main())
    assert by_state(unanswered) == {"Active": 199}
    assert by_state(answered) == {"Active": 199, "SignedOut": 1}


@pytest.mark.bad_input
def test_scans_that_name_users_otherwise_than_they_are_configured_are_reported_to_fail() -> None:
    cloud, names = cloud_of(200)
    whole = cloud.list_sessions

    async def renamed(begin: float, end: float, session_states: Sequence[str], offset: int) -> SessionPage:
        page = await whole(begin, end, session_states, offset)
        return page._replace(
            sessions=tuple(each._replace(login_user=f"CORP\\{each.login_user}") for each in page.sessions)
        )

    cloud.list_sessions = renamed  # type: ignore[method-assign] # a cloud with another form of names
    seen = after(cloud, names, *range(100, 600, 50))
    assert {status.source for status in seen} == {("per_user", "ListSessions fails (invalid_response)")}
    assert set(totals(seen)) == {200}
    assert seen[-1].operations[LIST_SESSIONS].fresh == 0
    (failure,) = seen[-1].operations[LIST_SESSIONS].failures
    assert failure.error.detail == "none of 200 sessions belongs to a watched user by name, but users have some of them"


def test_scans_that_list_sessions_of_others_only_do_not_fail_where_a_user_s_only_session_has_ended() -> None:
    cloud, names = cloud_of(200)
    cloud.sessions = dict.fromkeys(names, ()) | {
        "other": (Session.of(id="other", session_state="Active"),),
        names[0]: (Session.of(id="short", session_state="Active"),),
    }
    cloud.fault = refusing(LIST_SESSIONS, 0, 30)  # only the user's own query shows it
    watch = watch_of(cloud, *names)

    async def main() -> list[ProjectStatus]:
        async with polled(watch):
            await until(30)
            before = status(watch)
            cloud.sessions[names[0]] = ()
            await until(70)
            return [before, status(watch)]

    before, later = run_virtually(main())
    assert (by_state(before), by_state(later)) == ({"Active": 1}, {})
    assert (later.source.name, later.operations[LIST_SESSIONS].fresh) == ("bulk", 200)


def test_a_session_that_starts_in_the_future_by_the_cloud_s_clock_is_scanned_at_once() -> None:
    cloud, names = cloud_of(1000)
    watch = watch_of(cloud, *names)

    async def main() -> list[int]:
        async with polled(watch):
            await until(401)
            cloud.sessions[names[-1]] += (Session.of(id="failed", session_state="InitFail"),)
            cloud.started["failed"] = wall_clock() + 300
            before = status(watch)
            await until(470)
            return [status.attempts.failures.total for status in (before, status(watch))]

    assert run_virtually(main()) == [0, 1]
