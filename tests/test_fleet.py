"""What is known of the users, and the counts over them."""

from __future__ import annotations

import gc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.promises import Promise

from exporter.cloud.models import Session, UserDetail
from exporter.fleet import MOST_VALUES, Fleet

ALWAYS = {"sessions_since": 0.0, "accounts_since": 0.0}


def failed(session_id: str, code: str = "WKS.1", group: str | None = None) -> Session:
    return Session(id=session_id, session_state="InitFail", failed_code=code, app_server_group_id=group)


def fleet_of(*names: str) -> Fleet:
    return Fleet((name, None) for name in names)


@pytest.mark.promise(Promise.ONCE)
def test_a_user_counts_once_with_the_last_answer() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    fleet.sessions_answered(a, (Session(id="1", session_state="Active"),), at=1)
    fleet.sessions_answered(a, (Session(id="1", session_state="SignedOut"),), at=2)
    assert fleet.counts(**ALWAYS).sessions == {("SignedOut", "unknown", "unknown"): 1}


def test_the_garbage_collector_has_no_more_to_look_at_the_more_users_there_are() -> None:
    """It would hold up all else for as long as it looks."""
    gc.collect()
    before = len(gc.get_objects())
    fleet = fleet_of(*(f"user{n}" for n in range(1000)))
    for member in fleet.members:
        fleet.sessions_answered(member, (Session(member.name), failed(f"f-{member.name}")), at=1)
        fleet.account_answered(member, UserDetail(), at=1)
        fleet.found(member, member.name)
    users = fleet.users()
    gc.collect()
    assert len(gc.get_objects()) - before < 100
    assert len(users) == 1000


def test_what_is_told_again_takes_no_further_memory() -> None:
    """A session stays the same object while nothing of it changes, and its id when something does."""

    def listed(state: str) -> tuple[Session, ...]:
        return Session(b"id".decode(), state), Session(session_state="SignedOut")

    fleet = fleet_of("a")
    (a,) = fleet.members
    fleet.sessions_answered(a, listed("Active"), at=1)
    first = a.fresh.listed
    fleet.sessions_answered(a, listed("Active"), at=2)
    assert a.fresh.listed is first
    fleet.sessions_answered(a, listed("Disconnected"), at=3)
    assert a.fresh.listed == listed("Disconnected")
    assert a.fresh.listed[0].id is first[0].id
    fleet.sessions_sighted([("a", listed("Active")[0])], at=4)
    assert a.fresh.listed[0].session_state == "Active"
    assert a.fresh.listed[0].id is first[0].id
    assert next(iter(fleet.swept.listed)) is first[0].id


@pytest.mark.promise(Promise.STALE)
def test_a_stale_user_drops_out_of_every_count() -> None:
    fleet = fleet_of("a", "b")
    a, b = fleet.members
    fleet.sessions_answered(a, (Session(session_state="Active"),), at=1)
    fleet.account_answered(a, UserDetail(locked=True), at=1)
    fleet.sessions_answered(b, (Session(session_state="Active"),), at=2)
    fleet.account_answered(b, UserDetail(locked=True), at=2)
    counts = fleet.counts(sessions_since=1.5, accounts_since=1.5)
    assert counts.sessions.total() == counts.locked == 1
    assert counts.asked == counts.accounts == 1


def test_a_user_that_the_cloud_does_not_know_is_missing_and_has_no_sessions() -> None:
    fleet = fleet_of("a", "b")
    a, b = fleet.members
    fleet.sessions_answered(a, None, at=1)
    fleet.account_answered(a, None, at=1)
    fleet.sessions_answered(b, (), at=1)
    counts = fleet.counts(**ALWAYS)
    assert counts.missing == 1
    assert counts.sessions.total() == 0
    assert counts.asked == 2, "that the user is unknown is an answer"


def test_what_stood_at_init_fail_at_the_first_look_does_not_count() -> None:
    fleet = fleet_of("a")
    fleet.sessions_answered(fleet.members[0], (failed("old"),), at=1)
    fleet.sessions_answered(fleet.members[0], (failed("old"),), at=2)
    assert fleet.init_failures.total == 0


def test_a_session_that_enters_init_fail_counts_once_by_code_and_server_group() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    fleet.sessions_answered(a, (), at=1)
    for at in (2, 3, 4):
        fleet.sessions_answered(a, (failed("1", "WKS.5", "group"), failed("2", "WKS.5")), at=at)
    assert fleet.init_failures.total == 2
    assert fleet.init_failures.by_code == {"WKS.5": 2}
    assert fleet.init_failures.by_server_group == {"group": 1, "unknown": 1}


def test_each_user_has_its_failures_counted_and_keeps_the_number_over_a_reload() -> None:
    fleet = fleet_of("a", "b", "c")
    for member in fleet.members:
        fleet.sessions_answered(member, (), at=1)
    fleet.sessions_answered(fleet.members[0], (failed("1"), failed("2")), at=2)
    fleet.sessions_answered(fleet.members[0], (failed("2"), failed("3")), at=3)
    fleet.sessions_answered(fleet.members[1], (failed("4"),), at=3)
    fleet.sessions_answered(fleet.members[1], (), at=4)
    assert [user.init_failures for user in fleet.users()] == [3, 1, 0]
    later = Fleet([("c", None), ("d", None), ("a", "id")], fleet)
    assert [user.init_failures for user in later.users()] == [0, 0, 3]


def test_a_session_that_leaves_init_fail_and_enters_it_again_counts_once() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    fleet.sessions_answered(a, (), at=1)
    fleet.sessions_answered(a, (failed("1"),), at=2)
    fleet.sessions_answered(a, (Session(id="1", session_state="AppcInit"),), at=3)
    fleet.sessions_answered(a, (failed("1"),), at=4)
    assert fleet.init_failures.total == 1


def test_a_failed_session_that_is_not_listed_for_a_while_counts_once() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    for at, sessions in enumerate([(), (failed("1"),), (), None, (failed("1"),)]):
        fleet.sessions_answered(a, sessions, at=at)
    assert fleet.init_failures.total == 1


def test_what_stood_at_init_fail_at_the_first_look_does_not_count_when_it_is_listed_again() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    for at, sessions in enumerate([(failed("1"),), None, (failed("1"),)]):
        fleet.sessions_answered(a, sessions, at=at)
    assert fleet.init_failures.total == 0


def test_failed_sessions_that_are_gone_are_forgotten_after_an_hour() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    for minute in range(24 * 60):
        fleet.sessions_answered(a, (failed(str(minute)),), at=60 * minute)
    assert a.failed_sessions
    assert len(a.failed_sessions) <= 61
    assert fleet.init_failures.total == 24 * 60 - 1


def test_a_flood_of_error_codes_costs_bounded_memory_and_loses_no_failure() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    fleet.sessions_answered(a, (), at=0)
    sessions = tuple(failed(str(n), f"WKS.{n}", f"group-{n}") for n in range(5000))
    fleet.sessions_answered(a, sessions, at=1)
    for counts in (fleet.init_failures.by_code, fleet.init_failures.by_server_group):
        assert len(counts) == MOST_VALUES + 1
        assert counts["other"] == 5000 - MOST_VALUES
        assert counts.total() == fleet.init_failures.total == 5000


def test_a_session_without_an_id_is_never_counted_as_a_new_failure() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    fleet.sessions_answered(a, (), at=1)
    for at in (2, 3):
        fleet.sessions_answered(a, (Session(session_state="InitFail"),), at=at)
    assert fleet.init_failures.total == 0, "it cannot be told from the one before"
    assert fleet.counts(**ALWAYS).sessions["InitFail", "unknown", "unknown"] == 1


sessions = st.lists(
    st.builds(
        Session,
        id=st.sampled_from("12345"),
        session_state=st.sampled_from(["Active", "InitFail", None]),
        client_version=st.sampled_from(["1", "2", None]),
    ),
    max_size=4,
    unique_by=lambda session: session.id,
)


@pytest.mark.promise(Promise.ONCE)
@given(st.lists(st.tuples(st.integers(0, 2), sessions | st.none()), max_size=30), st.integers(0, 30))
def test_the_counts_equal_a_recount_from_scratch(answers: list[tuple[int, list[Session] | None]], oldest: int) -> None:
    fleet = fleet_of("a", "b", "c")
    last: dict[int, tuple[int, list[Session]]] = {}
    for at, (index, found) in enumerate(answers):
        fleet.sessions_answered(fleet.members[index], None if found is None else tuple(found), at=at)
        last[index] = (at, found or [])
    fresh = [found for at, found in last.values() if at >= oldest]
    counts = fleet.counts(sessions_since=oldest, accounts_since=0)
    assert counts.sessions == Counter(
        (s.session_state or "unknown", s.client_version or "unknown", "unknown") for found in fresh for s in found
    )
    assert counts.asked == len(fresh)


@given(st.lists(st.tuples(st.integers(0, 2), sessions | st.none()), max_size=30))
def test_the_failures_equal_a_recount_from_scratch(answers: list[tuple[int, list[Session] | None]]) -> None:
    """Distinct ids at InitFail by user, less those that stood there when the user was first looked at."""
    fleet = fleet_of("a", "b", "c")
    looks: dict[int, list[set[str | None]]] = {}
    for at, (index, found) in enumerate(answers):
        fleet.sessions_answered(fleet.members[index], None if found is None else tuple(found), at=at)
        looks.setdefault(index, []).append({s.id for s in found or [] if s.session_state == "InitFail"})
    expected = {i: len(set[str | None]().union(*later) - first) for i, (first, *later) in looks.items()}
    assert fleet.init_failures.total == sum(expected.values())
    assert [user.init_failures for user in fleet.users()] == [expected.get(i, 0) for i in range(3)]


HOUR = 3600


@pytest.mark.parametrize(
    ("looks", "locks"),
    [
        pytest.param([(0, True), (1, True)], 0, id="it was locked at the first look"),
        pytest.param([(0, False), (1, True), (5 * HOUR, True)], 1, id="it becomes locked and stays so"),
        pytest.param([(0, False), (1, None), (2, True)], 1, id="the cloud does not always say"),
        pytest.param([(0, None), (1, True)], 0, id="the cloud says so for the first time"),
        pytest.param([(0, False), (1, True), (2, False), (HOUR, True)], 1, id="it is locked again within an hour"),
        pytest.param([(0, False), (1, True), (2, False), (HOUR + 2, True)], 2, id="it is locked again later"),
        pytest.param([(0, True), (1, False), (HOUR + 1, True)], 1, id="it was locked at the first look, and is again"),
    ],
)
def test_a_lock_counts_once_and_not_at_the_first_look(looks: list[tuple[int, bool | None]], locks: int) -> None:
    fleet = fleet_of("a")
    for at, locked in looks:
        fleet.account_answered(fleet.members[0], UserDetail(locked=locked), at=at)
        fleet.account_answered(fleet.members[0], None, at=at)
        fleet.expire(asked_since=at, accounts_since=at + 1, swept_since=at)
    assert fleet.account_locks == locks


def test_a_reload_brings_no_locks_and_forgets_none() -> None:
    fleet = Fleet([("a", "id-of-a"), ("b", "id-of-b"), ("c", "id-of-c")])
    for member in fleet.members:
        fleet.account_answered(member, UserDetail(locked=False), at=1)
    fleet.account_answered(fleet.members[0], UserDetail(locked=True), at=2)
    later = Fleet([("a", "id-of-a"), ("b", "another"), ("c", "id-of-c"), ("d", "id-of-d")], fleet)
    for member in later.members:
        later.account_answered(member, UserDetail(locked=True), at=3)
    assert (fleet.account_locks, later.account_locks) == (1, 2), "of those who stay with their id, c is locked anew"


flags = st.booleans() | st.none()
accounts = st.builds(UserDetail, locked=flags, user_expired=flags, disabled=flags)


@given(st.lists(st.tuples(st.integers(0, 2), accounts | st.none()), max_size=30), st.integers(0, 30))
def test_flags_and_missing_users_equal_a_recount_from_scratch(
    answers: list[tuple[int, UserDetail | None]], oldest: int
) -> None:
    fleet = fleet_of("a", "b", "c")
    last: dict[int, tuple[int, UserDetail | None]] = {}
    for at, (index, account) in enumerate(answers):
        fleet.account_answered(fleet.members[index], account, at=at)
        last[index] = (at, account)
    fresh = [account for at, account in last.values() if at >= oldest]
    counts = fleet.counts(sessions_since=0, accounts_since=oldest)
    assert counts.accounts == len(fresh)
    assert counts.missing == fresh.count(None)
    assert counts.locked == sum(account is not None and account.locked is True for account in fresh)
    assert counts.expired == sum(account is not None and account.user_expired is True for account in fresh)
    assert counts.disabled == sum(account is not None and account.disabled is True for account in fresh)
