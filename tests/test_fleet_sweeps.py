"""What follows from sweeps for the users: the union with what they were asked for, by session."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.promises import Promise

from exporter.cloud.models import Session, User, UserDetail
from exporter.fleet import REMEMBERED, Fleet

if TYPE_CHECKING:
    from exporter.fleet import Member


def session(session_id: str, state: str = "Active", started: float | None = 100.0) -> Session:
    return Session(id=session_id, session_state=state, started=started)


def fleet_of(*names: str) -> Fleet:
    return Fleet((name, None) for name in names)


def sweep(fleet: Fleet, listed: dict[str, list[Session]], at: float, oldest: float = 0.0) -> None:
    """A whole sweep with these sessions, by the names of their users."""
    fleet.sessions_sighted(((name, s) for name, sessions in listed.items() for s in sessions), at)
    fleet.sweep_ended({s.id or "" for sessions in listed.values() for s in sessions}, at, oldest)


def states(fleet: Fleet, **since: float) -> dict[str, int]:
    counts = fleet.counts(**{"sessions_since": 0.0, "accounts_since": 0.0, "swept_since": 0.0} | since)
    return dict(sum((Counter({state: n}) for (state, _, _), n in counts.sessions.items()), Counter[str]()))


def due(fleet: Fleet) -> set[Member]:
    taken = set()
    while member := fleet.swept.take_due():
        taken.add(member)
    return taken


def test_a_session_on_a_page_counts_before_its_sweep_has_ended() -> None:
    fleet = fleet_of("a")
    fleet.sessions_sighted([("a", session("1"))], at=1)
    assert states(fleet) == {"Active": 1}


def test_a_session_that_was_asked_for_and_is_swept_counts_once_in_its_last_state() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    fleet.sessions_answered(a, (session("1"), session("2")), at=1)
    sweep(fleet, {"a": [session("1", "Disconnected"), session("3")]}, at=2)
    assert states(fleet) == {"Disconnected": 1, "Active": 2}
    fleet.sessions_answered(a, (session("1", "SignedOut"),), at=3)
    assert states(fleet) == {"SignedOut": 1}


def test_what_a_whole_sweep_no_longer_lists_has_ended_and_its_user_is_asked() -> None:
    fleet = fleet_of("a", "b")
    sweep(fleet, {"a": [session("1"), session("2")], "b": [session("3")]}, at=1)
    assert due(fleet) == set()
    sweep(fleet, {"a": [session("2")], "b": [session("3")]}, at=2)
    assert states(fleet) == {"Active": 2}
    assert due(fleet) == {fleet.members[0]}


def test_a_sweep_that_was_not_read_to_its_end_ends_nothing() -> None:
    fleet = fleet_of("a")
    sweep(fleet, {"a": [session("1"), session("2")]}, at=1)
    fleet.sessions_sighted([("a", session("2", "Disconnected"))], at=2)
    assert states(fleet) == {"Active": 1, "Disconnected": 1}


def test_what_may_have_grown_too_old_for_sweeps_counts_until_its_user_was_asked() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    fleet.sessions_answered(a, (session("old"), session("over")), at=0)
    sweep(fleet, {"a": [session("old"), session("over", started=None)]}, at=1)
    sweep(fleet, {}, at=2, oldest=101.0)
    assert states(fleet) == {"Active": 2}
    assert due(fleet) == {a}
    fleet.sessions_answered(a, (session("old"),), at=3)
    for at in (4, 5, 6):
        sweep(fleet, {}, at=at)
    assert states(fleet) == {"Active": 1}
    assert due(fleet) == set(), "that it is too old for sweeps is known by now"


def test_a_session_that_no_sweep_has_listed_since_it_was_found_is_asked_for_once_more() -> None:
    """It may be too old for sweeps, or have ended a moment after its user was asked."""
    fleet = fleet_of("a", "b")
    a, b = fleet.members
    sweep(fleet, {}, at=1)
    fleet.sessions_answered(a, (session("old"),), at=2)
    fleet.sessions_answered(b, (session("short"),), at=2)
    assert due(fleet) == set(), "a sweep that began before says nothing about it"
    sweep(fleet, {}, at=3)
    assert states(fleet) == {"Active": 2}
    assert due(fleet) == {a, b}
    fleet.sessions_answered(a, (session("old"),), at=4)
    fleet.sessions_answered(b, (), at=4)
    sweep(fleet, {}, at=5)
    assert states(fleet) == {"Active": 1}
    assert due(fleet) == set()


@pytest.mark.promise(Promise.ONCE)
def test_what_a_user_s_answer_tells_counts_though_a_sweep_that_began_before_does_not_list_it() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    sweep(fleet, {"a": [session("1")]}, at=1)
    fleet.sessions_answered(a, (session("1"),), at=7)
    fleet.sweep_ended(set(), began=5, oldest=0.0)
    assert states(fleet) == {"Active": 1}
    assert due(fleet) == {a}


def test_what_may_have_grown_too_old_for_sweeps_counts_on_though_its_user_was_never_asked() -> None:
    fleet = fleet_of("a")
    sweep(fleet, {"a": [session("old"), session("undated", started=None), session("over", started=102.0)]}, at=1)
    sweep(fleet, {}, at=2, oldest=101.0)
    assert states(fleet) == {"Active": 2}


def test_what_may_have_grown_too_old_for_sweeps_goes_stale_with_the_sweep_that_no_longer_listed_it() -> None:
    """Whether or not its user was ever asked; over a reload, too, and with sweeps that fail since."""
    before = fleet_of("a", "b")
    before.sessions_answered(before.members[0], (session("1"),), at=0)
    sweep(before, {"a": [session("1")], "b": [session("2")]}, at=1)
    sweep(before, {}, at=2, oldest=101.0)
    fleet = Fleet([("a", None), ("b", None)], before)
    assert states(fleet, sessions_since=2.0, swept_since=3.0) == {"Active": 2}
    assert states(fleet, sessions_since=3.0, swept_since=3.0) == {}


def test_a_session_that_is_signed_out_when_its_user_is_asked_stays_so_though_sweeps_do_not_list_it() -> None:
    fleet = fleet_of("a")
    sweep(fleet, {"a": [session("1")]}, at=1)
    fleet.sessions_answered(fleet.members[0], (session("1", "SignedOut"),), at=2)
    sweep(fleet, {}, at=3)
    assert states(fleet) == {"SignedOut": 1}


def test_the_sessions_of_others_and_those_without_an_id_are_passed_over() -> None:
    fleet = fleet_of("a")
    fleet.sessions_sighted([("b", session("1")), (None, session("2")), ("a", Session(session_state="Active"))], at=1)
    assert states(fleet) == {}


def test_users_are_told_apart_by_name_whatever_its_case_unless_two_differ_in_nothing_else() -> None:
    fleet = fleet_of("Anna", "bob", "BOB")
    sweep(fleet, {"ANNA": [session("1")], "bob": [session("2")], "BOB": [session("3"), session("4")]}, at=1)
    assert [len(user.listed) for user in fleet.users()] == [1, 1, 2]


def test_a_known_session_whose_user_is_not_told_is_still_its_user_s() -> None:
    fleet = fleet_of("a")
    sweep(fleet, {"a": [session("1")]}, at=1)
    fleet.sessions_sighted([(None, session("1", "Disconnected"))], at=2)
    assert states(fleet) == {"Disconnected": 1}


def test_with_sweeps_gone_stale_only_those_count_who_were_asked() -> None:
    fleet = fleet_of("a", "b")
    fleet.sessions_answered(fleet.members[0], (session("1"),), at=5)
    sweep(fleet, {"a": [session("1", "Disconnected")], "b": [session("2")]}, at=6)
    counts = fleet.counts(sessions_since=0, accounts_since=0, swept_since=7)
    assert (counts.asked, counts.swept) == (1, 0)
    assert states(fleet, swept_since=7) == {"Disconnected": 1}
    assert [user.sessions is None for user in fleet.users()] == [False, True]


def test_with_an_answer_gone_stale_only_what_sweeps_list_counts() -> None:
    fleet = fleet_of("a", "nobody")
    fleet.sessions_answered(fleet.members[0], (session("1"), session("old")), at=1)
    fleet.sessions_answered(fleet.members[1], None, at=1)
    sweep(fleet, {"a": [session("1")]}, at=6)
    counts = fleet.counts(sessions_since=5, accounts_since=0, swept_since=0)
    assert (counts.asked, counts.swept, counts.missing) == (0, 2, 0)
    assert states(fleet, sessions_since=5) == {"Active": 1}


def test_what_stood_at_init_fail_in_the_first_sweep_does_not_count() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    for at in (1, 3):
        sweep(fleet, {"a": [session("1", "InitFail")]}, at=at)
        fleet.sessions_answered(a, (session("1", "InitFail"),), at=at + 1)
    assert fleet.init_failures.total == 0


def test_a_session_that_enters_init_fail_counts_once_whoever_sees_it_first() -> None:
    fleet = fleet_of("a", "b")
    for member in fleet.members:
        fleet.sessions_answered(member, (), at=0)
    sweep(fleet, {}, at=1)
    fleet.sessions_answered(fleet.members[0], (session("asked", "InitFail"),), at=2)
    sweep(fleet, {"a": [session("asked", "InitFail")], "b": [session("swept", "InitFail")]}, at=3)
    fleet.sessions_answered(fleet.members[1], (session("swept", "InitFail"),), at=4)
    assert fleet.init_failures.total == 2
    assert [user.init_failures for user in fleet.users()] == [1, 1]


def test_a_failed_session_found_by_a_user_s_first_answer_counts_only_if_a_sweep_lists_it() -> None:
    """If none does, it is older than sweeps look back, and has stood there before."""
    fleet = fleet_of("a", "b")
    a, b = fleet.members
    sweep(fleet, {}, at=1)
    fleet.sessions_answered(a, (session("new", "InitFail"),), at=2)
    fleet.sessions_answered(b, (session("old", "InitFail"),), at=2)
    sweep(fleet, {"a": [session("new", "InitFail")]}, at=3)
    fleet.sessions_answered(a, (session("new", "InitFail"),), at=4)
    fleet.sessions_answered(b, (session("old", "InitFail"),), at=4)
    assert fleet.init_failures.total == 1
    assert [user.init_failures for user in fleet.users()] == [1, 0]


def test_a_session_that_failed_between_its_user_s_answer_and_the_first_sweep_counts() -> None:
    """The first sweep is no first look for who has been asked, as with a reload that brings bulk."""
    fleet = fleet_of("a")
    (a,) = fleet.members
    fleet.sessions_answered(a, (), at=1)
    sweep(fleet, {"a": [session("1", "InitFail")]}, at=2)
    fleet.sessions_answered(a, (session("1", "InitFail"),), at=3)
    assert fleet.init_failures.total == 1


def test_a_failed_session_too_old_for_sweeps_does_not_count_when_a_stale_user_is_asked_again() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    sweep(fleet, {}, at=1)
    fleet.sessions_answered(a, (session("old", "InitFail"),), at=2)
    sweep(fleet, {}, at=3)
    assert states(fleet, sessions_since=10.0) == {}
    fleet.sessions_answered(a, (session("old", "InitFail"),), at=20)
    assert fleet.init_failures.total == 0


def test_a_session_that_stands_at_init_fail_through_an_outage_does_not_count_again_whatever_page_comes_first() -> None:
    fleet = fleet_of("a")
    sweep(fleet, {"a": [session("failed", "InitFail"), session("other")]}, at=1)
    fleet.sessions_sighted([("a", session("other"))], at=1 + REMEMBERED + 1)
    fleet.sessions_sighted([("a", session("failed", "InitFail"))], at=1 + REMEMBERED + 2)
    assert fleet.init_failures.total == 0


def test_a_user_who_came_with_a_reload_is_not_swept_before_the_next_sweep_has_ended() -> None:
    before = fleet_of("a")
    sweep(before, {"a": [session("1")]}, at=1)
    fleet = Fleet([("a", None), ("b", None)], before)
    assert fleet.counts(sessions_since=0, accounts_since=0).swept == 1
    assert states(fleet) == {"Active": 1}
    sweep(fleet, {"a": [], "b": [session("2", "InitFail")]}, at=2)
    assert fleet.counts(sessions_since=0, accounts_since=0).swept == 2
    assert states(fleet) == {"InitFail": 1}
    assert fleet.init_failures.total == 0


def test_a_list_of_all_users_tells_ids_and_flags_and_who_is_missing() -> None:
    fleet = Fleet([("a", None), ("b", "id-of-b"), ("c", None), ("d", "id-of-d")])
    users = [
        User("id-of-a", "a", True, False, None, "1000"),
        User("id-of-b", "renamed", False, True, False, "0"),
        User("id-of-other", "d", True, True, True),
        User("id-of-e", "e", True, True, True),
    ]
    fleet.accounts_listed(users, at=2)
    fleet.accounts_not_listed(listed_since=1, at=2)
    a, b, c, d = fleet.users()
    assert (a.id, a.account) == ("id-of-a", UserDetail(True, False, None, 1000))
    assert (b.id, b.account) == ("id-of-b", UserDetail(False, True, False, 0))
    assert (c.id, c.missing) == (None, True)
    assert (d.id, d.missing) == ("id-of-d", True), "it has another id than the one that is configured"
    counts = fleet.counts(sessions_since=0, accounts_since=0)
    assert (counts.accounts, counts.locked, counts.expired, counts.disabled, counts.missing) == (4, 1, 1, 0, 2)


def test_a_list_of_all_users_that_leaves_out_an_id_does_not_make_it_forgotten() -> None:
    fleet = fleet_of("a")
    (a,) = fleet.members
    fleet.found(a, "id-of-a")
    fleet.accounts_listed([User(None, "a", False, False, False)], at=1)
    assert a.id == "id-of-a"


events = st.lists(
    st.tuples(
        st.sampled_from(["ask", "page", "sweep", "account", "expire"]),
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
def test_whatever_happens_the_counts_are_those_of_what_is_known_of_each_user(
    happened: list[tuple[str, int, list[tuple[str, str]]]],
) -> None:
    fleet = fleet_of("a", "b", "c")
    for at, (what, index, listed) in enumerate(happened):
        member = fleet.members[index]
        sessions = tuple(session(f"{member.name}{number}", state) for number, state in listed)
        match what:
            case "ask":
                fleet.sessions_answered(member, sessions or None, at=at)
            case "page":
                fleet.sessions_sighted([(member.name, s) for s in sessions], at=at)
            case "sweep":
                sweep(fleet, {member.name: list(sessions)}, at=at, oldest=200.0 * (index == 1))
            case "account":
                fleet.account_answered(member, UserDetail(locked=bool(listed)), at=at)
            case "expire":
                fleet.expire(asked_since=at - 4, accounts_since=at - 4, swept_since=at - 4)
    counts = fleet.counts(sessions_since=-1, accounts_since=-1, swept_since=-1)
    users = fleet.users()
    assert counts.sessions.total() == sum(len(user.listed) for user in users)
    assert counts.locked == sum(bool(user.account and user.account.locked) for user in users)
    assert counts.missing == sum(user.missing for user in users)
    assert counts.asked == sum(member.asked_at is not None for member in fleet.members)
    assert counts.accounts == sum(member.account_at is not None for member in fleet.members)
    again = Fleet(((member.name, None) for member in fleet.members), fleet)
    assert again.counts(sessions_since=-1, accounts_since=-1, swept_since=-1) == counts
