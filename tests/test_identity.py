"""Which user a session or an account belongs to: one rule for all sources, whatever domain and the case of names."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fleets import run, scan_page

from exporter.cloud.models import ListedSession, Session, User
from exporter.config.names import Fit, domain_fit
from exporter.fleet import Fleet, Watched


class Person(NamedTuple):
    """A user of the cloud with some sessions."""

    name: str
    domain: str | None
    sessions: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"id-of-{self.name}-{self.domain}"

    def listed(self) -> list[ListedSession]:
        login_user = f"{self.name}@{self.domain}" if self.domain else self.name
        return [ListedSession(login_user, Session.of(session, "Active", started=0.0)) for session in self.sessions]


def list_users(fleet: Fleet, people: list[Person], at: float, *, domains: bool = True) -> None:
    """A complete list of all users."""
    users = [User(person.id, person.name, domain=person.domain if domains else None) for person in people]
    unclear = fleet.accounts_listed(users, at=at, began=at)
    fleet.accounts_distinguished(unclear, at)
    run(fleet.accounts_not_listed(began=at, at=at))


def poll(fleet: Fleet, people: list[Person], at: float) -> None:
    """Each user's own query. The cloud takes a name in any case, and answers about all domains."""
    for member in fleet.members:
        found = [person for person in people if person.name.lower() == member.query_name.lower()]
        listed = [session for person in found for session in person.listed()]
        fleet.sessions_answered(member, listed if found else None, at=at)


def scan(fleet: Fleet, people: list[Person], at: float) -> None:
    """A complete scan."""
    listed = [session for person in people for session in person.listed()]
    scan_page(fleet, listed, at)
    run(fleet.scan_ended({each.session.id or "" for each in listed}, began=at, oldest=-1.0))


def seen(fleet: Fleet) -> dict[str, set[str]]:
    """The sessions of each user, by the name in metrics."""
    return {user.name: {session.id or "" for session in user.listed} for user in fleet.users()}


ANN_A = Person("ann", "a.example", ("of-a",))
ANN_B = Person("ann", "b.example", ("of-b", "of-b-too"))


@pytest.mark.parametrize(
    "user", [Watched("ann@a.example"), Watched("ann", domain="a.example"), Watched("ann", "id-of-ann-a.example")]
)
def test_another_person_with_the_name_is_never_counted_whichever_source_comes_first(user: Watched) -> None:
    fleet = Fleet([user])
    list_users(fleet, [ANN_A, ANN_B], at=1)
    for at in (2, 4):
        scan(fleet, [ANN_A, ANN_B], at=at)
        assert seen(fleet) == {user.name: {"of-a"}}
        poll(fleet, [ANN_A, ANN_B], at=at + 1)
        assert seen(fleet) == {user.name: {"of-a"}}


def test_a_domain_is_learned_from_the_user_s_own_answer() -> None:
    fleet = Fleet([Watched("ann")])
    fleet.sessions_answered(fleet.members[0], ANN_A.listed(), at=1)
    scan(fleet, [ANN_A, ANN_B], at=2)
    assert seen(fleet) == {"ann": {"of-a"}}


def test_a_domain_is_learned_from_the_list_of_all_users() -> None:
    fleet = Fleet([Watched("ann")])
    list_users(fleet, [Person("ann", "a.example")], at=1)
    scan(fleet, [ANN_B], at=2)
    assert seen(fleet) == {"ann": set()}


def test_another_person_s_failure_is_not_counted() -> None:
    fleet = Fleet([Watched("ann")])
    fleet.sessions_answered(fleet.members[0], ANN_A.listed(), at=1)
    scan(fleet, [ANN_A], at=2)
    scan_page(fleet, [("ann@b.example", Session.of("x", "InitFail"))], at=3)
    assert fleet.attempts.failures.total == 0


def test_a_name_that_several_listed_users_have_has_no_account_until_its_domain_is_known() -> None:
    fleet = Fleet([Watched("ann")])
    (ann,) = fleet.members
    people = [ANN_B, ANN_A]
    for at in (1, 2):
        list_users(fleet, people, at=at)
        assert (ann.ambiguous, ann.id, ann.fresh.account, ann.fresh.missing) == (True, None, None, False)
        assert (fleet.counts().accounts, fleet.ambiguous_users) == (0, 1), "coverage tells that it is unknown"
    fleet.sessions_answered(ann, ANN_A.listed(), at=3)
    list_users(fleet, people, at=4)
    assert (ann.ambiguous, ann.id, fleet.ambiguous_users) == (False, ANN_A.id, 0)


def test_a_namesake_who_leaves_ends_the_ambiguity() -> None:
    fleet = Fleet([Watched("ann")])
    list_users(fleet, [ANN_A, ANN_B], at=1)
    list_users(fleet, [ANN_B], at=2)
    assert fleet.members[0].id == ANN_B.id


def test_a_namesake_who_joins_does_not_take_a_known_account_over() -> None:
    fleet = Fleet([Watched("ann")])
    list_users(fleet, [ANN_A], at=1)
    list_users(fleet, [ANN_B, ANN_A], at=2)
    assert fleet.members[0].id in {ANN_A.id, None}


def test_two_watched_users_with_one_name_are_distinguished_and_shown_with_their_domains() -> None:
    fleet = Fleet([Watched("ann", domain="a.example"), Watched("ann@b.example"), Watched("bob")])
    ann, _, bob = fleet.members
    assert [len(fleet.namesakes(each)) for each in (ann, bob)] == [2, 1]
    fleet.sessions_answered(ann, [*ANN_A.listed(), *ANN_B.listed()], at=1)
    expected = {"ann@a.example": {"of-a"}, "ann@b.example": {"of-b", "of-b-too"}, "bob": set[str]()}
    assert seen(fleet) == expected
    assert fleet.counts().queried == 2, "one query is about both"
    scan(fleet, [ANN_A, ANN_B], at=2)
    assert seen(fleet) == expected
    run(fleet.update([Watched("ann", domain="a.example")]))
    assert seen(fleet) == {"ann": {"of-a"}}


def test_a_session_that_the_user_s_own_query_denies_does_not_come_back_with_a_scan() -> None:
    """Without domains only the user's own query tells whose session it is. A second one settles it."""
    fleet = Fleet([Watched("ann")])
    ann = fleet.members[0]
    both = [ListedSession("ann", Session.of(name, "Active", started=1000.0)) for name in ("hers", "other")]

    def scan_both(at: float) -> None:
        scan_page(fleet, both, at=at)
        run(fleet.scan_ended({"hers", "other"}, began=at, oldest=0.0))

    scan_both(at=1)
    assert seen(fleet) == {"ann": {"hers", "other"}}, "nothing speaks against it yet"
    for at, polled_again in ((2, ann), (4, None), (6, None)):
        fleet.sessions_answered(ann, both[:1], at=at)
        scan_both(at=at + 1)
        assert seen(fleet) == {"ann": {"hers"}}
        assert fleet.take_priority() is polled_again
    fleet.sessions_answered(ann, both, at=8)
    scan_both(at=9)
    assert seen(fleet) == {"ann": {"hers", "other"}}
    scan(fleet, [], at=10)
    assert seen(fleet) == {"ann": set()}


def test_a_session_older_than_the_user_s_own_answer_without_it_is_somebody_else_s() -> None:
    fleet = Fleet([Watched("ann")])
    fleet.sessions_answered(fleet.members[0], [], at=100)
    listed = [
        ListedSession("ann", Session.of(session_id, "Active", started=started), started, utc=utc)
        for session_id, started, utc in [("old", 1000.0, True), ("no zone", 1000.0, False), ("new", 1200.0, True)]
    ]
    fleet.scan_page(listed, at=200, clock=1000.0)
    assert seen(fleet) == {"ann": {"no zone", "new"}}


def test_names_in_any_case_mean_the_only_user_and_else_the_exact_one() -> None:
    for configured, logins, expected in (
        (["Anna"], ["ANNA", "anna"], {"Anna": {"ANNA", "anna"}}),
        (["Anna", "anna"], ["Anna", "anna", "ANNA"], {"Anna": {"Anna"}, "anna": {"anna"}}),
        (["Straße"], ["STRASSE", "straße"], {"Straße": {"STRASSE", "straße"}}),
        (["Straße", "Strasse"], ["straße", "Straße"], {"Straße": {"Straße"}, "Strasse": set()}),
    ):
        fleet = Fleet(map(Watched, configured))
        scan_page(fleet, [(login, Session.of(login, "Active")) for login in logins], at=1)
        assert seen(fleet) == expected


def test_names_in_composed_and_decomposed_form_are_one() -> None:
    fleet = Fleet([Watched("Zoë")])
    list_users(fleet, [Person("Zoe\u0308", None, ("1",))], at=1)
    scan(fleet, [Person("Zoe\u0308", None, ("1",))], at=2)
    assert seen(fleet) == {"Zoë": {"1"}}
    assert fleet.members[0].query_name == "Zoe\u0308", "queries take the cloud's spelling"


def test_of_two_names_that_differ_in_case_only_the_one_that_the_cloud_lists_counts() -> None:
    person = Person("anna.schmidt", "a.example", ("1", "2"))
    fleet = Fleet([Watched("Anna.Schmidt"), Watched("anna.schmidt")])
    poll(fleet, [person], at=1)
    scan(fleet, [person], at=2)
    list_users(fleet, [person], at=3)
    assert seen(fleet) == {"Anna.Schmidt": set(), "anna.schmidt": {"1", "2"}}
    assert fleet.counts().missing == 1
    other = Person("Anna.Schmidt", "a.example", ("3",))
    list_users(fleet, [person, other], at=4)
    scan(fleet, [person, other], at=5)
    assert seen(fleet) == {"Anna.Schmidt": {"3"}, "anna.schmidt": {"1", "2"}}
    assert fleet.counts().missing == 0


def test_a_user_whose_twin_is_listed_logs_in_as_written_otherwise() -> None:
    fleet = Fleet([Watched("Anna"), Watched("anna")])
    scan(fleet, [Person("Anna", None, ("1",))], at=1)
    assert seen(fleet) == {"Anna": {"1"}, "anna": set()}
    list_users(fleet, [Person("anna", None)], at=2)
    scan(fleet, [Person("Anna", None, ("1",)), Person("ANNA", None, ("2",))], at=3)
    assert seen(fleet) == {"Anna": set(), "anna": {"1", "2"}}


def test_queries_take_the_cloud_s_spelling_of_a_name() -> None:
    fleet = Fleet([Watched("Anna.Schmidt")])
    list_users(fleet, [Person("anna.schmidt", None)], at=1)
    (anna,) = fleet.members
    assert (anna.query_name, anna.fresh.name, anna.fresh.missing) == ("anna.schmidt", "Anna.Schmidt", False)


@pytest.mark.parametrize(
    ("one", "other", "fit"),
    [
        (None, "a.example", Fit.OPEN),
        ("", "a.example", Fit.OPEN),
        ("a.example", "A.Example", Fit.SAME),
        ("a.example", "b.example", Fit.OTHER),
        ("CORP", "corp.example", Fit.SAME),
        ("CORP", "b.example", Fit.OPEN),
        ("CORP", "SALES", Fit.OTHER),
        ("corp", "corporation.example", Fit.OPEN),
        ("corp.example", "corp.example.com", Fit.OTHER),
    ],
)
def test_domains_are_compared_without_case_and_short_names_only_if_possible(
    one: str | None, other: str | None, fit: Fit
) -> None:
    assert domain_fit(one, other) is domain_fit(other, one) is fit


names = st.sampled_from(["ann", "Ann", "ANN", "bob", "Bob"])
people = st.lists(
    st.builds(Person, names, st.sampled_from(["a.example", "b.example"])),
    max_size=6,
    unique_by=lambda p: (p.name.lower(), p.domain),
).map(
    lambda found: [person._replace(sessions=tuple(f"{n}-{i}" for i in range(n % 3))) for n, person in enumerate(found)]
)
watched = st.lists(
    st.builds(
        lambda name, domain: Watched(name, domain=domain), names, st.sampled_from([None, "a.example", "B.example"])
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda user: (user.name, (user.domain or "").lower()),
)


@given(people, watched, st.booleans())
def test_both_sources_agree_about_users_with_domains_and_names_in_mixed_case(
    present: list[Person], users: list[Watched], listing: bool
) -> None:
    """Alone and together, in any order; and no session counts twice.

    If names differ only in case, a scan alone cannot learn the domains. It leaves these users' sessions out.
    """
    polled, scanned, both = (Fleet(users) for _ in range(3))
    for fleet in (polled, scanned, both):
        if listing:
            list_users(fleet, present, at=1)
    for at in (2, 4):
        poll(polled, present, at=at)
        scan(scanned, present, at=at)
        scan(both, present, at=at)
        poll(both, present, at=at + 1)
    scan(both, present, at=6)
    without_domain = Counter(user.name.lower() for user in users if user.domain is None)
    if listing or max(without_domain.values(), default=0) <= 1:
        assert seen(scanned) == seen(polled)
    assert all(seen(scanned)[name] <= sessions for name, sessions in seen(polled).items())
    assert seen(polled) == seen(both)
    counted = [session for sessions in seen(both).values() for session in sessions]
    assert len(counted) == len(set(counted))


def test_a_short_domain_means_the_one_of_the_user_s_own_sessions() -> None:
    fleet = Fleet([Watched("ann", domain="LOCAL")])
    fleet.sessions_answered(fleet.members[0], ANN_A.listed(), at=1)
    scan(fleet, [ANN_A, ANN_B], at=2)
    assert seen(fleet) == {"ann": {"of-a"}}


def test_a_user_who_is_created_anew_in_another_domain_is_found() -> None:
    fleet = Fleet([Watched("ann")])
    (ann,) = fleet.members
    fleet.names_listed([ann], [User(ANN_A.id, "ann", domain="a.example")], at=1)
    fleet.sessions_answered(ann, ANN_A.listed(), at=1)
    fleet.found(ann, None)
    fleet.names_listed([ann], [User(ANN_B.id, "ann", domain="b.example")], at=2)
    fleet.sessions_answered(ann, ANN_B.listed(), at=3)
    assert (ann.id, ann.ambiguous, seen(fleet)) == (ANN_B.id, False, {"ann": {"of-b", "of-b-too"}})


def test_of_namesakes_that_are_listed_without_domains_none_is_unknown_to_the_cloud() -> None:
    found = [Watched("ann", "1", discovered=True), Watched("ann", "2", discovered=True)]
    for users in ([Watched("ann@a.example"), Watched("ann@b.example")], found):
        fleet = Fleet(users)
        people = [User("1", "ann"), User("2", "ann")]
        for at in (1, 2):
            unclear = fleet.accounts_listed(people, at=at, began=at)
            fleet.accounts_distinguished(unclear, at)
            run(fleet.accounts_not_listed(began=at, at=at))
            assert [user.missing for user in fleet.users()] == [False, False]


def test_a_found_name_with_an_at_sign_is_no_whole_login() -> None:
    fleet = Fleet([Watched("ann@corp.example", "1", discovered=True)])
    assert fleet.members[0].query_name == "ann@corp.example"
    scan_page(fleet, [("ann@corp.example@a.example", Session.of("1", "Active"))], at=1)
    assert seen(fleet) == {"ann@corp.example": {"1"}}


def test_a_found_user_who_is_configured_with_an_id_is_listed_by_it_from_then_on() -> None:
    fleet = Fleet([Watched("ann", "1", discovered=True)])
    run(fleet.update([Watched("ann", "1")]))
    assert fleet.accounts_listed([User("1", "renamed")], at=1, began=1) == []
    assert fleet.members[0].account_at == 1
