"""A fleet of users: what users' own answers and account answers change, and the counts."""

import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.fleets import answered, by_version, fleet_of, scan_page, watching
from support.promises import Promise

from exporter.cloud.models import ListedSession, Session, UserDetail
from exporter.fleet import MOST_VALUES, STEP, Counts, Fleet


def run(steps: Iterator[None]) -> int:
    """Run all steps; return how many there were."""
    return sum(1 for _ in steps)


def fresh_counts(fleet: Fleet, *, queried_since: float = 0.0, accounts_since: float = 0.0) -> Counts:
    run(fleet.expire(queried_since=queried_since, accounts_since=accounts_since, scanned_since=0.0))
    return fleet.counts()


def failed(session_id: str, code: str = "WKS.1", group: str | None = None) -> Session:
    return Session.of(id=session_id, session_state="InitFail", failed_code=code, app_server_group_id=group)


Work = Callable[[Fleet], Iterator[None]]


@pytest.mark.promise(Promise.ONCE)
def test_a_user_counts_once_with_the_last_answer() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    answered(fleet, a, (Session.of(id="1", session_state="Active"),), at=1)
    answered(fleet, a, (Session.of(id="1", session_state="SignedOut"),), at=2)
    assert by_version(fleet.counts()) == {("SignedOut", "unknown", "unknown"): 1}


def test_the_garbage_collector_tracks_no_more_objects_with_more_users() -> None:
    """A collection blocks the event loop."""
    gc.collect()
    before = len(gc.get_objects())
    fleet = fleet_of(*(f"user{n}" for n in range(1000)))
    for member in fleet.members:
        answered(fleet, member, (Session.of(member.user_name), failed(f"f-{member.user_name}")), at=1)
        fleet.account_answered(member, UserDetail(), at=1)
        fleet.found(member, member.user_name)
    users = fleet.users()
    gc.collect()
    assert len(gc.get_objects()) - before < 100
    assert len(users) == 1000


def test_a_repeated_answer_takes_no_further_memory() -> None:
    """A session stays the same object while nothing of it changes, and its id when something does."""

    def listed(state: str) -> tuple[Session, ...]:
        return Session.of(b"id".decode(), state), Session.of(session_state="SignedOut")

    fleet = fleet_of("a")
    (a,) = fleet.members
    answered(fleet, a, listed("Active"), at=1)
    first = a.fresh.listed
    answered(fleet, a, listed("Active"), at=2)
    assert a.fresh.listed is first
    answered(fleet, a, listed("Disconnected"), at=3)
    assert [session.session_state for session in a.fresh.listed] == ["Disconnected", "SignedOut"]
    assert a.fresh.listed[0].id is first[0].id
    scan_page(fleet, [("a", listed("Active")[0])], at=4)
    assert a.fresh.listed[0].session_state == "Active"
    assert a.fresh.listed[0].id is first[0].id
    assert a.records[0].session.id is first[0].id


@pytest.mark.promise(Promise.STALE)
def test_a_stale_user_drops_out_of_every_count() -> None:
    fleet = fleet_of("a", "b")
    a, b = fleet.members
    answered(fleet, a, (Session.of(session_state="Active"),), at=1)
    fleet.account_answered(a, UserDetail(locked=True), at=1)
    answered(fleet, b, (Session.of(session_state="Active"),), at=2)
    fleet.account_answered(b, UserDetail(locked=True), at=2)
    counts = fresh_counts(fleet, queried_since=1.5, accounts_since=1.5)
    assert counts.sessions.total() == counts.locked == 1
    assert counts.queried == counts.accounts == 1


def test_a_user_unknown_to_the_cloud_is_missing_and_has_no_sessions() -> None:
    fleet = fleet_of("a", "b")
    a, b = fleet.members
    answered(fleet, a, None, at=1)
    fleet.account_answered(a, None, at=1)
    answered(fleet, b, (), at=1)
    counts = fleet.counts()
    assert counts.missing == 1
    assert counts.sessions.total() == 0
    assert counts.queried == 2, "a 404 is an answer, too"


def test_a_failure_of_before_the_first_look_does_not_count() -> None:
    fleet = fleet_of("a")
    answered(fleet, fleet.members[0], (failed("old"),), at=1)
    answered(fleet, fleet.members[0], (failed("old"),), at=2)
    assert fleet.attempts.failures.total == 0


def test_a_session_that_enters_init_fail_counts_once_by_code_and_server_group() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    answered(fleet, a, (), at=1)
    for at in (2, 3, 4):
        answered(fleet, a, (failed("1", "WKS.5", "group"), failed("2", "WKS.5")), at=at)
    assert fleet.attempts.failures.total == 2
    assert fleet.attempts.failures.by_code == {"WKS.5": 2}
    assert fleet.attempts.failures.by_server_group == {"group": 1, "unknown": 1}


def test_each_user_s_failures_are_counted_and_survive_a_change_of_users() -> None:
    fleet = fleet_of("a", "b", "c")
    for member in fleet.members:
        answered(fleet, member, (), at=1)
    answered(fleet, fleet.members[0], (failed("1"), failed("2")), at=2)
    answered(fleet, fleet.members[0], (failed("2"), failed("3")), at=3)
    answered(fleet, fleet.members[1], (failed("4"),), at=3)
    answered(fleet, fleet.members[1], (), at=4)
    assert [user.init_failures for user in fleet.users()] == [3, 1, 0]
    run(fleet.update(watching([("c", None), ("d", None), ("a", "id")])))
    assert [user.init_failures for user in fleet.users()] == [0, 0, 3]
    assert fleet.attempts.failures.total == 4, "counters never fall when users leave"


def test_a_session_that_leaves_init_fail_and_enters_it_again_counts_once() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    answered(fleet, a, (), at=1)
    answered(fleet, a, (failed("1"),), at=2)
    answered(fleet, a, (Session.of(id="1", session_state="AppcInit"),), at=3)
    answered(fleet, a, (failed("1"),), at=4)
    assert fleet.attempts.failures.total == 1


def test_a_failed_session_that_is_not_listed_for_a_while_counts_once() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    for at, sessions in enumerate([(), (failed("1"),), (), None, (failed("1"),)]):
        answered(fleet, a, sessions, at=at)
    assert fleet.attempts.failures.total == 1


def test_a_failure_of_before_the_first_look_does_not_count_when_it_is_listed_again() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    for at, sessions in enumerate([(failed("1"),), None, (failed("1"),)]):
        answered(fleet, a, sessions, at=at)
    assert fleet.attempts.failures.total == 0


def test_failed_sessions_are_forgotten_an_hour_after_they_were_last_listed() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    for minute in range(24 * 60):
        answered(fleet, a, (failed(str(minute)),), at=60 * minute)
    assert 1 <= len(a.records) <= 61
    assert fleet.attempts.failures.total == 24 * 60 - 1


def test_a_flood_of_error_codes_costs_bounded_memory_and_loses_no_failure() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    answered(fleet, a, (), at=0)
    sessions = tuple(failed(str(n), f"WKS.{n}", f"group-{n}") for n in range(5000))
    answered(fleet, a, sessions, at=1)
    for counts in (fleet.attempts.failures.by_code, fleet.attempts.failures.by_server_group):
        assert len(counts) == MOST_VALUES + 1
        assert counts["other"] == 5000 - MOST_VALUES
        assert counts.total() == fleet.attempts.failures.total == 5000


def test_a_session_without_an_id_never_counts_as_a_new_failure() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    answered(fleet, a, (), at=1)
    for at in (2, 3):
        answered(fleet, a, (Session.of(session_state="InitFail"),), at=at)
    assert fleet.attempts.failures.total == 0, "it cannot be distinguished from the one before"
    assert by_version(fleet.counts()) == {("InitFail", "unknown", "unknown"): 1}


sessions = st.lists(
    st.builds(
        Session.of,
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
        answered(fleet, fleet.members[index], None if found is None else tuple(found), at=at)
        last[index] = (at, found or [])
    fresh = [found for at, found in last.values() if at >= oldest]
    counts = fresh_counts(fleet, queried_since=oldest)
    assert by_version(counts) == Counter(
        (s.session_state or "unknown", s.kind.client_version or "unknown", "unknown") for found in fresh for s in found
    )
    assert counts.queried == len(fresh)


@given(st.lists(st.tuples(st.integers(0, 2), sessions | st.none()), max_size=30))
def test_the_failures_equal_a_recount_from_scratch(answers: list[tuple[int, list[Session] | None]]) -> None:
    """Distinct ids at InitFail by user, except those at InitFail at the first look."""
    fleet = fleet_of("a", "b", "c")
    looks: dict[int, list[set[str | None]]] = {}
    for at, (index, listed) in enumerate(answers):
        found = None if listed is None else [replace(session, id=f"{session.id} of {index}") for session in listed]
        answered(fleet, fleet.members[index], found, at=at)
        looks.setdefault(index, []).append({s.id for s in found or [] if s.session_state == "InitFail"})
    expected = {i: len(set[str | None]().union(*later) - first) for i, (first, *later) in looks.items()}
    assert fleet.attempts.failures.total == sum(expected.values())
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
        run(fleet.expire(queried_since=at, accounts_since=at + 1, scanned_since=at))
    assert fleet.account_locks == locks


def test_locks_survive_a_change_of_users_and_new_users_bring_none() -> None:
    fleet = Fleet(watching([("a", "id-of-a"), ("b", "id-of-b"), ("c", "id-of-c"), ("e", "id-of-e")]))
    for member in fleet.members:
        fleet.account_answered(member, UserDetail(locked=False), at=1)
    for member in (fleet.members[0], fleet.members[3]):
        fleet.account_answered(member, UserDetail(locked=True), at=2)
    run(fleet.update(watching([("a", "id-of-a"), ("b", "another"), ("c", "id-of-c"), ("d", "id-of-d")])))
    assert fleet.account_locks == 2
    for member in fleet.members:
        fleet.account_answered(member, UserDetail(locked=True), at=3)
    assert fleet.account_locks == 3, "only c is newly locked: a was locked before, b and d are new accounts"


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
    counts = fresh_counts(fleet, accounts_since=oldest)
    assert counts.accounts == len(fresh)
    assert counts.missing == fresh.count(None)
    assert counts.locked == sum(account is not None and account.locked is True for account in fresh)
    assert counts.expired == sum(account is not None and account.user_expired is True for account in fresh)
    assert counts.disabled == sum(account is not None and account.disabled is True for account in fresh)


def filled(users: int) -> Fleet:
    """A fleet in which everything about every user is known."""
    fleet = Fleet(watching((f"user{number}", None) for number in range(users)))
    for member in fleet.members:
        session = Session.of(f"of-{member.user_name}", "Active", started=1.0)
        answered(fleet, member, (session,), at=1)
        fleet.account_answered(member, UserDetail(locked=True), at=1)
        scan_page(fleet, [(member.user_name, session)], at=1)
    run(fleet.scan_ended({f"of-user{number}" for number in range(users)}, began=1, oldest=0))
    return fleet


def recounted(fleet: Fleet) -> Counts:
    """The counts, from the members alone."""
    members = [member for member in fleet.members if not member.removed]
    users = [member.fresh for member in members]
    accounts = [user.account for user in users if user.account]
    return Counts(
        configured=len(fleet.members),
        queried=sum(member.queried_at is not None for member in members),
        scanned=sum(member.joined_after < 1 for member in members) if fleet.scan_complete else 0,
        accounts=sum(member.account_at is not None for member in members),
        missing=sum(user.missing for user in users),
        locked=sum(account.locked is True for account in accounts),
        sessions=Counter(s.kind for user in users for s in user.listed),
    )


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(
            lambda fleet: fleet.update(watching((f"other{n}", None) for n in range(len(fleet.members)))), id="update"
        ),
        pytest.param(
            lambda fleet: fleet.update(watching(reversed([(m.user_name, None) for m in fleet.members]))), id="reorder"
        ),
        pytest.param(lambda fleet: fleet.expire(queried_since=2, accounts_since=2, scanned_since=2), id="expire"),
        pytest.param(lambda fleet: fleet.accounts_not_listed(began=2, at=3), id="accounts_not_listed"),
        pytest.param(lambda fleet: fleet.scan_ended(set(), began=2, oldest=0), id="scan_ended"),
    ],
)
def test_work_on_all_users_is_done_in_steps_with_a_consistent_fleet_after_each(work: Work) -> None:
    few, many = filled(STEP), filled(4 * STEP)
    steps = run(work(few))
    assert steps >= 1
    done = 0
    for _ in work(many):
        done += 1
        assert many.counts() == recounted(many)
    assert done >= max(4, 2 * steps)
    assert many.counts() == recounted(many)


def test_one_step_changes_no_more_than_its_share() -> None:
    """One user with many sessions, and many users with few."""
    fleet = filled(4 * STEP)
    before = fleet.counts().sessions.total()
    for _ in fleet.scan_ended(set(), began=2, oldest=0):
        now = fleet.counts().sessions.total()
        assert before - now <= STEP
        before = now
    assert before == 0


def test_expiry_has_nothing_to_do_while_nothing_is_stale() -> None:
    fleet = filled(10)
    assert run(fleet.expire(queried_since=1, accounts_since=1, scanned_since=1)) == 0
    assert run(fleet.expire(queried_since=2, accounts_since=1, scanned_since=1)) > 0
    assert run(fleet.expire(queried_since=9, accounts_since=1, scanned_since=1)) == 0


def test_an_answer_that_arrives_between_two_steps_of_an_expiry_counts_and_expires_in_its_turn() -> None:
    fleet = filled(2 * STEP)
    steps = fleet.expire(queried_since=2, accounts_since=2, scanned_since=2)
    next(steps)
    for member in (fleet.members[0], fleet.members[-1]):
        answered(fleet, member, (Session.of("1", "Disconnected"),), at=3)
        fleet.account_answered(member, UserDetail(locked=True), at=3)
        scan_page(fleet, [(member.user_name, Session.of("2", "AppcInit"))], at=3)
    run(steps)
    counts = fleet.counts()
    assert (counts.queried, counts.accounts, counts.locked) == (2, 2, 2)
    assert {kind.session_state: n for kind, n in counts.sessions.items()} == {"Disconnected": 2, "AppcInit": 2}
    run(fleet.expire(queried_since=4, accounts_since=4, scanned_since=4))
    assert fleet.counts() == Counts(configured=2 * STEP)


def test_an_expiry_that_is_given_up_is_done_by_the_next_one() -> None:
    fleet = filled(2 * STEP)
    for _ in range(9):
        steps = fleet.expire(queried_since=2, accounts_since=2, scanned_since=2)
        next(steps, None)
        del steps
    for _ in range(3):
        run(fleet.expire(queried_since=2, accounts_since=2, scanned_since=2))
    assert fleet.counts() == Counts(configured=2 * STEP)


def test_users_who_stay_keep_their_member_and_data_and_the_order_is_the_given_one() -> None:
    fleet = fleet_of("a", "b", "c")
    a, b, c = fleet.members
    answered(fleet, c, (Session.of("1", "Active"),), at=1)
    before = fleet.members
    run(fleet.update(watching([("d", None), ("c", None), ("a", None)])))
    assert [member.user_name for member in fleet.members] == ["d", "c", "a"]
    assert fleet.members is not before
    assert (fleet.members[1], fleet.members[2]) == (c, a)
    assert (a.removed, b.removed, c.removed) == (False, True, False)
    assert fleet.counts().configured == 3
    assert by_version(fleet.counts()) == {("Active", "unknown", "unknown"): 1}
    same = fleet.members
    run(fleet.update(watching([("d", None), ("c", None), ("a", None)])))
    assert fleet.members is same


def test_an_update_that_is_given_up_leaves_a_consistent_fleet_and_the_next_one_completes_it() -> None:
    users = [(f"user{number}", None) for number in range(2 * STEP)]
    for steps_taken in (1, 4, 7, 9, 12):
        fleet = filled(2 * STEP)
        stays = fleet.members[0]
        steps = fleet.update(watching(users[:1] + [(f"other{number}", None) for number in range(2 * STEP)]))
        for _ in range(steps_taken):
            next(steps, None)
        del steps
        assert fleet.counts() == recounted(fleet)
        run(fleet.update(watching(users)))
        assert [member.user_name for member in fleet.members] == [name for name, _ in users]
        assert fleet.members[0] is stays
        assert fleet.counts() == recounted(fleet)


def test_names_that_differ_in_case_only_are_distinguished_in_the_middle_of_an_update() -> None:
    others = [(f"user{number}", None) for number in range(STEP)]
    fleet = Fleet(watching([("bob", None), *others, ("BOB", None)]))
    steps = fleet.update(watching([("bob", None), *others, ("BOB", None)]))
    next(steps)
    scan_page(fleet, [("BOB", Session.of("1", "Active")), ("bob", Session.of("2", "Active"))], at=1)
    run(steps)
    assert [[s.id for s in user.listed] for user in (fleet.users()[0], fleet.users()[-1])] == [["2"], ["1"]]


def test_a_new_user_has_no_data_and_does_not_count_as_answered() -> None:
    fleet = fleet_of("a")
    answered(fleet, fleet.members[0], (), at=1)
    run(fleet.update(watching([("a", None), ("b", None)])))
    assert not fleet.users()[1].known
    assert fleet.counts().queried == 1


def test_answers_about_a_removed_user_are_ignored() -> None:
    fleet = fleet_of("a", "b")
    a, b = fleet.members
    answered(fleet, a, (), at=1)
    answered(fleet, b, (Session.of("1", "Active"),), at=1)
    scan_page(fleet, [("b", Session.of("1", "Active"))], at=1)
    run(fleet.update(watching([("a", None)])))
    answered(fleet, b, (failed("2"),), at=2)
    fleet.account_answered(b, UserDetail(locked=True), at=2)
    fleet.found(b, "id")
    assert scan_page(fleet, [("b", Session.of("1", "Active")), (None, Session.of("1", "Active"))], at=2) == 0
    assert fleet.counts() == Counts(configured=1, queried=1)
    assert fleet.attempts.failures.total == 0


def test_nothing_refers_to_a_removed_user() -> None:
    fleet = fleet_of("a", "b")
    member = fleet.members[1]
    scan_page(fleet, [("b", Session.of("1", "Active", started=1.0))], at=1)
    run(fleet.scan_ended({"1"}, began=1, oldest=0))
    run(fleet.scan_ended(set(), began=2, oldest=0))
    assert fleet.take_priority() is member
    run(fleet.scan_ended(set(), began=3, oldest=0))
    run(fleet.update(watching([("a", None)])))
    assert sys.getrefcount(member) == 2, "this function, and the one that counts"


def test_a_user_who_comes_back_starts_without_data() -> None:
    fleet = fleet_of("a")
    answered(fleet, fleet.members[0], (Session.of("1", "Active"),), at=1)
    run(fleet.update(watching([])))
    run(fleet.update(watching([("a", None)])))
    assert not fleet.users()[0].known
    answered(fleet, fleet.members[0], (failed("1"),), at=2)
    assert fleet.attempts.failures.total == 0


def test_an_update_with_equal_names_and_ids_keeps_no_second_copy_of_them() -> None:
    fleet = Fleet(watching([("anna", "7a")]))
    (member,) = fleet.members
    name, user_id = b"anna".decode(), b"7a".decode()
    references = sys.getrefcount(name), sys.getrefcount(user_id)
    run(fleet.update(watching([(name, user_id)])))
    assert fleet.members == (member,)
    assert (sys.getrefcount(name), sys.getrefcount(user_id)) == references
    del fleet, member
    assert (sys.getrefcount(name), sys.getrefcount(user_id)) == references


def test_a_user_with_another_id_keeps_the_sessions_and_loses_the_account() -> None:
    fleet = Fleet(watching([("a", "id-1"), ("b", None)]))
    for member in fleet.members:
        answered(fleet, member, (Session.of(session_state="Active"),), at=1)
        fleet.account_answered(member, UserDetail(locked=True), at=1)
    fleet.found(fleet.members[1], "id-b")
    run(fleet.update(watching([("a", "id-2"), ("b", "id-b")])))
    counts = fleet.counts()
    assert (counts.queried, counts.accounts, counts.locked) == (2, 1, 1)
    assert [member.id for member in fleet.members] == ["id-2", "id-b"]


def test_a_failure_counted_before_a_change_of_users_does_not_count_again() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    answered(fleet, a, (), at=1)
    answered(fleet, a, (failed("1"),), at=2)
    run(fleet.update(watching([("a", "id"), ("b", None)])))
    a, b = fleet.members
    answered(fleet, a, (failed("1"),), at=3)
    answered(fleet, b, (failed("1-b"),), at=3)
    assert fleet.attempts.failures.total == 1


def test_a_user_who_joins_in_the_middle_of_a_listing_is_not_judged_by_it() -> None:
    """The pages read before did not look for that user."""
    fleet = fleet_of("a")
    fleet.accounts_listed([], at=5, began=5)
    run(fleet.update(watching([("a", None), ("b", None)])))
    run(fleet.accounts_not_listed(began=4, at=6))
    assert [user.missing for user in fleet.users()] == [True, False]
    run(fleet.accounts_not_listed(began=7, at=8))
    assert [user.missing for user in fleet.users()] == [True, True]


def test_an_account_answer_between_the_steps_of_a_listing_s_end_remains() -> None:
    fleet = filled(2 * STEP)
    steps = fleet.accounts_not_listed(began=2, at=3)
    next(steps)
    last = fleet.members[-1]
    fleet.account_answered(last, UserDetail(locked=False), at=4)
    run(steps)
    assert last.fresh.account == UserDetail(locked=False)
    assert (last.account_at, last.fresh.missing) == (4, False)


def test_the_time_of_a_state_is_that_of_the_first_answer_with_it_and_unknown_at_the_first_look() -> None:
    """Where the cloud does not say it. In the cloud's time."""
    fleet = fleet_of("a")
    (a,) = fleet.members

    def changed() -> list[tuple[str, float | None]]:
        return sorted((session.id or "", session.changed) for session in a.fresh.listed)

    def answer(*sessions: Session, at: float) -> None:
        fleet.sessions_answered(a, [ListedSession(None, session) for session in sessions], at, clock=1000)

    answer(Session.of("1", "Active"), at=1)
    assert changed() == [("1", None)]
    answer(Session.of("1", "Active"), Session.of("2", "AppcInit"), at=2)
    assert changed() == [("1", None), ("2", 1002)]
    answer(Session.of("1", "Disconnected"), Session.of("2", "AppcInit"), at=3)
    assert changed() == [("1", 1003), ("2", 1002)]
    scan_page(fleet, [("a", Session.of("2", "Active"))], at=4, clock=1000)
    assert changed() == [("1", 1003), ("2", 1004)]
