"""What scans change in a fleet: by session, the union with what users' own queries list."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fleets import answered, fleet_of, run, scan_page, watching
from support.promises import Promise

from exporter.cloud.models import Session, User, UserDetail
from exporter.fleet import REMEMBERED, STEP, Fleet, Member


def session(session_id: str, state: str = "Active", started: float | None = 100.0) -> Session:
    return Session.of(id=session_id, session_state=state, started=started)


def scan(fleet: Fleet, listed: dict[str, list[Session]], at: float, oldest: float = 0.0) -> None:
    """A complete scan with these sessions, by the names of their users."""
    scan_page(fleet, ((name, s) for name, sessions in listed.items() for s in sessions), at)
    run(fleet.scan_ended({s.id or "" for sessions in listed.values() for s in sessions}, at, oldest))


def expire(fleet: Fleet, *, queried_since: float = 0.0, scanned_since: float = 0.0) -> None:
    run(fleet.expire(queried_since=queried_since, accounts_since=0.0, scanned_since=scanned_since))


def states(fleet: Fleet, *, queried_since: float = 0.0, scanned_since: float = 0.0) -> dict[str, int]:
    expire(fleet, queried_since=queried_since, scanned_since=scanned_since)
    counts = fleet.counts()
    return dict(sum((Counter({kind.session_state or "": n}) for kind, n in counts.sessions.items()), Counter[str]()))


def taken(fleet: Fleet) -> set[Member]:
    found = set()
    while member := fleet.take_priority():
        found.add(member)
    return found


def test_a_session_on_a_page_counts_before_its_scan_ends() -> None:
    fleet = fleet_of("a")
    scan_page(fleet, [("a", session("1"))], at=1)
    assert states(fleet) == {"Active": 1}


def test_a_session_that_both_sources_list_counts_once_in_its_last_state() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    answered(fleet, a, (session("1"), session("2")), at=1)
    scan(fleet, {"a": [session("1", "Disconnected"), session("3")]}, at=2)
    assert states(fleet) == {"Disconnected": 1, "Active": 2}
    answered(fleet, a, (session("1", "SignedOut"),), at=3)
    assert states(fleet) == {"SignedOut": 1}


def test_a_session_that_a_complete_scan_no_longer_lists_has_ended_and_its_user_is_polled() -> None:
    fleet = fleet_of("a", "b")
    scan(fleet, {"a": [session("1"), session("2")], "b": [session("3")]}, at=1)
    assert taken(fleet) == set()
    scan(fleet, {"a": [session("2")], "b": [session("3")]}, at=2)
    assert states(fleet) == {"Active": 2}
    assert taken(fleet) == {fleet.members[0]}


def test_a_partial_scan_ends_no_session() -> None:
    fleet = fleet_of("a")
    scan(fleet, {"a": [session("1"), session("2")]}, at=1)
    scan_page(fleet, [("a", session("2", "Disconnected"))], at=2)
    assert states(fleet) == {"Active": 1, "Disconnected": 1}


def test_a_session_that_may_be_outside_the_window_counts_until_its_user_is_polled() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    answered(fleet, a, (session("old"), session("over")), at=0)
    scan(fleet, {"a": [session("old"), session("over", started=None)]}, at=1)
    scan(fleet, {}, at=2, oldest=101.0)
    assert states(fleet) == {"Active": 2}
    assert taken(fleet) == {a}
    answered(fleet, a, (session("old"),), at=3)
    for at in (4, 5, 6):
        scan(fleet, {}, at=at)
    assert states(fleet) == {"Active": 1}
    assert taken(fleet) == set(), "the user has been polled about it"


def test_a_user_is_polled_once_more_for_a_session_that_no_scan_has_listed() -> None:
    """It may be outside the look-back window, or have ended right after the user was polled."""
    fleet = fleet_of("a", "b")
    a, b = fleet.members
    scan(fleet, {}, at=1)
    answered(fleet, a, (session("old"),), at=2)
    answered(fleet, b, (session("short"),), at=2)
    assert taken(fleet) == set(), "the scan that began before proves nothing"
    scan(fleet, {}, at=3)
    assert states(fleet) == {"Active": 2}
    assert taken(fleet) == {a, b}
    answered(fleet, a, (session("old"),), at=4)
    answered(fleet, b, (), at=4)
    scan(fleet, {}, at=5)
    assert states(fleet) == {"Active": 1}
    assert taken(fleet) == set()


@pytest.mark.promise(Promise.ONCE)
def test_a_session_in_a_user_s_answer_counts_although_a_scan_that_began_before_does_not_list_it() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    scan(fleet, {"a": [session("1")]}, at=1)
    answered(fleet, a, (session("1"),), at=7)
    run(fleet.scan_ended(set(), began=5, oldest=0.0))
    assert states(fleet) == {"Active": 1}
    assert taken(fleet) == {a}


def test_a_session_that_may_be_outside_the_window_counts_although_its_user_was_never_polled() -> None:
    fleet = fleet_of("a")
    scan(fleet, {"a": [session("old"), session("undated", started=None), session("over", started=102.0)]}, at=1)
    scan(fleet, {}, at=2, oldest=101.0)
    assert states(fleet) == {"Active": 2}


def test_a_session_that_may_be_outside_the_window_expires_with_the_scan_that_did_not_list_it() -> None:
    """Whether its user was ever polled or not; also across a change of users, and if scans fail from then on."""
    fleet = fleet_of("a", "b")
    answered(fleet, fleet.members[0], (session("1"),), at=0)
    scan(fleet, {"a": [session("1")], "b": [session("2")]}, at=1)
    scan(fleet, {}, at=2, oldest=101.0)
    run(fleet.update(watching([("b", None), ("a", "id")])))
    assert states(fleet, queried_since=2.0, scanned_since=3.0) == {"Active": 2}
    assert states(fleet, queried_since=3.0, scanned_since=3.0) == {}


def test_a_signed_out_session_in_a_user_s_answer_stays_although_scans_do_not_list_it() -> None:
    fleet = fleet_of("a")
    scan(fleet, {"a": [session("1")]}, at=1)
    answered(fleet, fleet.members[0], (session("1", "SignedOut"),), at=2)
    scan(fleet, {}, at=3)
    assert states(fleet) == {"SignedOut": 1}


def test_sessions_of_others_and_sessions_without_an_id_are_ignored() -> None:
    fleet = fleet_of("a")
    scan_page(fleet, [("b", session("1")), (None, session("2")), ("a", Session.of(session_state="Active"))], at=1)
    assert states(fleet) == {}


def test_names_match_in_any_case_unless_two_users_differ_in_case_only() -> None:
    fleet = fleet_of("Anna", "bob", "BOB")
    scan(fleet, {"ANNA": [session("1")], "bob": [session("2")], "BOB": [session("3"), session("4")]}, at=1)
    assert [len(user.listed) for user in fleet.users()] == [1, 1, 2]


def test_a_known_session_listed_without_a_user_still_belongs_to_its_user() -> None:
    fleet = fleet_of("a")
    scan(fleet, {"a": [session("1")]}, at=1)
    scan_page(fleet, [(None, session("1", "Disconnected"))], at=2)
    assert states(fleet) == {"Disconnected": 1}


def test_with_stale_scans_only_users_with_their_own_answer_count() -> None:
    fleet = fleet_of("a", "b")
    answered(fleet, fleet.members[0], (session("1"),), at=5)
    scan(fleet, {"a": [session("1", "Disconnected")], "b": [session("2")]}, at=6)
    expire(fleet, scanned_since=7)
    counts = fleet.counts()
    assert (counts.queried, counts.scanned) == (1, 0)
    assert states(fleet, scanned_since=7) == {"Disconnected": 1}
    assert [user.sessions is None for user in fleet.users()] == [False, True]


def test_with_a_stale_answer_only_sessions_listed_by_scans_count() -> None:
    fleet = fleet_of("a", "nobody")
    answered(fleet, fleet.members[0], (session("1"), session("old")), at=1)
    answered(fleet, fleet.members[1], None, at=1)
    scan(fleet, {"a": [session("1")]}, at=6)
    expire(fleet, queried_since=5)
    counts = fleet.counts()
    assert (counts.queried, counts.scanned, counts.missing) == (0, 2, 0)
    assert states(fleet, queried_since=5) == {"Active": 1}


def test_a_failure_in_the_first_scan_does_not_count() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    for at in (1, 3):
        scan(fleet, {"a": [session("1", "InitFail")]}, at=at)
        answered(fleet, a, (session("1", "InitFail"),), at=at + 1)
    assert fleet.attempts.failures.total == 0


def test_a_failure_counts_once_whichever_source_lists_it_first() -> None:
    fleet = fleet_of("a", "b")
    for member in fleet.members:
        answered(fleet, member, (), at=0)
    scan(fleet, {}, at=1)
    answered(fleet, fleet.members[0], (session("queried", "InitFail"),), at=2)
    scan(fleet, {"a": [session("queried", "InitFail")], "b": [session("scanned", "InitFail")]}, at=3)
    answered(fleet, fleet.members[1], (session("scanned", "InitFail"),), at=4)
    assert fleet.attempts.failures.total == 2
    assert [user.init_failures for user in fleet.users()] == [1, 1]


def test_a_failure_in_a_user_s_first_answer_counts_only_if_a_scan_lists_it() -> None:
    """If none does, it is older than the look-back window, and so is the failure."""
    fleet = fleet_of("a", "b")
    a, b = fleet.members
    scan(fleet, {}, at=1)
    answered(fleet, a, (session("new", "InitFail"),), at=2)
    answered(fleet, b, (session("old", "InitFail"),), at=2)
    scan(fleet, {"a": [session("new", "InitFail")]}, at=3)
    answered(fleet, a, (session("new", "InitFail"),), at=4)
    answered(fleet, b, (session("old", "InitFail"),), at=4)
    assert fleet.attempts.failures.total == 1
    assert [user.init_failures for user in fleet.users()] == [1, 0]


def test_a_failure_between_a_user_s_answer_and_the_first_scan_counts() -> None:
    """The first scan is no first look at users who have been polled, as after a reload that switches to bulk."""
    fleet = fleet_of("a")
    (a,) = fleet.members
    answered(fleet, a, (), at=1)
    scan(fleet, {"a": [session("1", "InitFail")]}, at=2)
    answered(fleet, a, (session("1", "InitFail"),), at=3)
    assert fleet.attempts.failures.total == 1


def test_a_failure_outside_the_window_does_not_count_when_a_stale_user_is_polled_again() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    scan(fleet, {}, at=1)
    answered(fleet, a, (session("old", "InitFail"),), at=2)
    scan(fleet, {}, at=3)
    assert states(fleet, queried_since=10.0) == {}
    answered(fleet, a, (session("old", "InitFail"),), at=20)
    assert fleet.attempts.failures.total == 0


def test_a_failure_that_lasts_through_an_outage_does_not_count_again_whichever_page_comes_first() -> None:
    fleet = fleet_of("a")
    scan(fleet, {"a": [session("failed", "InitFail"), session("other")]}, at=1)
    scan_page(fleet, [("a", session("other"))], at=1 + REMEMBERED + 1)
    scan_page(fleet, [("a", session("failed", "InitFail"))], at=1 + REMEMBERED + 2)
    assert fleet.attempts.failures.total == 0


def test_a_new_user_is_not_covered_before_the_next_complete_scan() -> None:
    fleet = fleet_of("a")
    scan(fleet, {"a": [session("1")]}, at=1)
    run(fleet.update(watching([("a", None), ("b", None)])))
    assert fleet.counts().scanned == 1
    assert states(fleet) == {"Active": 1}
    scan(fleet, {"a": [], "b": [session("2", "InitFail")]}, at=2)
    assert fleet.counts().scanned == 2
    assert states(fleet) == {"InitFail": 1}
    assert fleet.attempts.failures.total == 0


def test_a_list_of_all_users_sets_ids_and_flags_and_shows_who_is_missing() -> None:
    fleet = Fleet(watching([("a", None), ("b", "id-of-b"), ("c", None), ("d", "id-of-d")]))
    users = [
        User("id-of-a", "a", True, False, None, "1000"),
        User("id-of-b", "renamed", False, True, False, "0"),
        User("id-of-other", "d", True, True, True),
        User("id-of-e", "e", True, True, True),
    ]
    fleet.accounts_listed(users, at=2, began=2)
    run(fleet.accounts_not_listed(began=1, at=2))
    a, b, c, d = fleet.users()
    assert (a.id, a.account) == ("id-of-a", UserDetail(True, False, None, 1000))
    assert (b.id, b.account) == ("id-of-b", UserDetail(False, True, False, 0))
    assert (c.id, c.missing) == (None, True)
    assert (d.id, d.missing) == ("id-of-d", True), "it has another id than the one that is configured"
    counts = fleet.counts()
    assert (counts.accounts, counts.locked, counts.expired, counts.disabled, counts.missing) == (4, 1, 1, 0, 2)


def test_a_list_of_all_users_without_an_id_does_not_remove_a_known_one() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    fleet.found(a, "id-of-a")
    fleet.accounts_listed([User(None, "a", False, False, False)], at=1, began=1)
    assert a.id == "id-of-a"


events = st.lists(
    st.tuples(
        st.sampled_from(["answer", "page", "scan", "account", "expire"]),
        st.integers(0, 2),
        st.lists(
            st.tuples(st.sampled_from("1234"), st.sampled_from(["Active", "InitFail", "SignedOut"])),
            max_size=3,
            unique_by=lambda entry: entry[0],
        ),
    ),
    max_size=30,
)


@given(events)
def test_after_any_events_the_counts_equal_a_recount(
    happened: list[tuple[str, int, list[tuple[str, str]]]],
) -> None:
    fleet = fleet_of("a", "b", "c")
    for at, (what, index, listed) in enumerate(happened):
        member = fleet.members[index]
        sessions = tuple(session(f"{member.user_name}{number}", state) for number, state in listed)
        match what:
            case "answer":
                answered(fleet, member, sessions or None, at=at)
            case "page":
                scan_page(fleet, [(member.user_name, s) for s in sessions], at=at)
            case "scan":
                scan(fleet, {member.user_name: list(sessions)}, at=at, oldest=200.0 * (index == 1))
            case "account":
                fleet.account_answered(member, UserDetail(locked=bool(listed)), at=at)
            case "expire":
                run(fleet.expire(queried_since=at - 4, accounts_since=at - 4, scanned_since=at - 4))
    counts = fleet.counts()
    users = fleet.users()
    assert counts.sessions.total() == sum(len(user.listed) for user in users)
    assert counts.locked == sum(bool(user.account and user.account.locked) for user in users)
    assert counts.missing == sum(user.missing for user in users)
    assert counts.queried == sum(member.queried_at is not None for member in fleet.members)
    assert counts.accounts == sum(member.account_at is not None for member in fleet.members)
    run(fleet.update(watching((member.user_name, None) for member in fleet.members)))
    assert fleet.counts() == counts


def test_a_scan_that_lists_a_session_clears_missing_at_once() -> None:
    """A user who was created and logged in after start-up is polled only later, in bulk mode up to an hour later."""
    fleet = fleet_of("a", "b")
    a, b = fleet.members
    for member in (a, b):
        answered(fleet, member, None, at=1)
    run(fleet.accounts_not_listed(began=1, at=1))
    assert fleet.counts().missing == 2
    scan_page(fleet, [("a", session("1"))], at=2)
    assert [user.missing for user in fleet.users()] == [False, True]
    assert fleet.counts().missing == 1
    run(fleet.accounts_not_listed(began=3, at=3))
    assert not a.fresh.missing, "the list of users does not contradict a session that is still listed"
    scan(fleet, {}, at=4)
    run(fleet.accounts_not_listed(began=5, at=5))
    assert a.fresh.missing


@pytest.mark.parametrize(
    "positive",
    [
        pytest.param(lambda fleet: fleet.account_answered(fleet.members[0], UserDetail(), at=2), id="account answer"),
        pytest.param(lambda fleet: fleet.accounts_listed([User("id", "a")], at=2, began=2), id="list of users"),
        pytest.param(
            lambda fleet: answered(fleet, fleet.members[0], (session("1"),), at=2),
            id="own query with a session",
        ),
    ],
)
def test_one_answer_that_knows_the_user_clears_missing(positive: Callable[[Fleet], None]) -> None:
    fleet = fleet_of("a")
    answered(fleet, fleet.members[0], None, at=1)
    run(fleet.accounts_not_listed(began=1, at=1))
    positive(fleet)
    assert fleet.counts().missing == 0
    assert not fleet.users()[0].missing


def test_a_user_whose_account_is_unknown_stays_missing_while_the_own_query_lists_nothing() -> None:
    """An empty list is no sign of life: otherwise users_missing would change with every answer."""
    fleet = fleet_of("a")
    run(fleet.accounts_not_listed(began=1, at=1))
    answered(fleet, fleet.members[0], (), at=2)
    answered(fleet, fleet.members[0], (session("1", "SignedOut"),), at=3)
    assert fleet.counts().missing == 1


def test_a_user_who_joins_in_the_middle_of_a_scan_is_not_covered_by_it() -> None:
    fleet = fleet_of("a")
    scan_page(fleet, [("b", session("1", "InitFail"))], at=2)
    run(fleet.update(watching([("a", None), ("b", None)])))
    run(fleet.scan_ended({"1"}, began=1, oldest=0.0))
    assert (fleet.counts().configured, fleet.counts().scanned) == (2, 1)
    scan(fleet, {"b": [session("1", "InitFail")]}, at=3)
    assert fleet.counts().scanned == 2
    assert fleet.attempts.failures.total == 0, "it may have failed before the first look"


def test_a_session_listed_after_its_scan_passed_does_not_end_with_that_scan() -> None:
    """Another scan may list it, between the last page and the last step."""
    fleet = fleet_of("a")
    scan(fleet, {"a": [session("old")]}, at=1)
    scan_page(fleet, [("a", session("new"))], at=3)
    run(fleet.scan_ended(set(), began=2, oldest=0.0))
    assert states(fleet) == {"Active": 1}
    assert a_session_id(fleet) == "new"


def a_session_id(fleet: Fleet) -> str | None:
    return fleet.members[0].fresh.listed[0].id


def test_an_answer_between_the_steps_of_a_scan_s_end_remains() -> None:
    fleet = fleet_of(*(f"user{number}" for number in range(2 * STEP)))
    scan(fleet, {member.user_name: [session(f"of-{member.user_name}")] for member in fleet.members}, at=1)
    first, last = fleet.members[0], fleet.members[-1]
    steps = fleet.scan_ended(set(), began=2, oldest=0.0)
    next(steps)
    assert first.fresh.listed == ()
    answered(fleet, first, (session("1"),), at=4)
    answered(fleet, last, (session(f"of-{last.user_name}"),), at=4)
    run(fleet.update(watching((member.user_name, None) for member in (*fleet.members[: STEP + 1], last))))
    run(steps)
    assert states(fleet) == {"Active": 2}
    assert fleet.counts().scanned == fleet.counts().configured == STEP + 2
    assert last in taken(fleet), "the two sources disagree"


def test_an_expiry_of_other_answers_leaves_the_questions_to_scans_open() -> None:
    fleet = fleet_of("a", "b")
    a, b = fleet.members
    answered(fleet, a, (), at=1)
    scan(fleet, {}, at=2)
    answered(fleet, b, (session("1"), session("2", "InitFail")), at=3)
    expire(fleet, queried_since=2)
    assert fleet.counts().queried == 1
    scan(fleet, {"b": [session("2", "InitFail")]}, at=4)
    assert taken(fleet) == {b}
    assert fleet.attempts.failures.total == 1


def test_a_session_that_a_source_sees_fail_counts_even_at_the_first_look_of_the_other() -> None:
    """The state changed before our eyes, so the failure is new."""
    fleet = fleet_of("a")
    scan(fleet, {"a": [session("1")]}, at=1)
    answered(fleet, fleet.members[0], (session("1", "InitFail"),), at=2)
    scan(fleet, {}, at=3)
    assert fleet.attempts.failures.total == 1
