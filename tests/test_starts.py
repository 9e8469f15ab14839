"""Session starts count once each, whichever source shows them first."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fleets import run

from exporter.cloud.models import ListedSession, Session
from exporter.fleet import AGES, REMEMBERED, Counts, Fleet, Member, Watched
from exporter.fleet.zone import TimeZone

CLOCK = 1_700_000_000.0  # the cloud's time at time 0
AHEAD = 3600.0  # of UTC, of the users' own answers


def utc(
    session_id: str, state: str = "Active", started: float = 0.0, changed: float | None = None, user: str = "a@x"
) -> ListedSession:
    """A session as scans list it, with times in seconds of the exporter's clock."""
    begun = CLOCK + started
    last = None if changed is None else CLOCK + changed
    session = Session.of(session_id, state, started=begun // 60 * 60, changed=last)
    return ListedSession(user, session, begun, last, utc=True)


def local(
    session_id: str, state: str = "Active", started: float = 0.0, changed: float | None = None, user: str = "a@x"
) -> ListedSession:
    """The same as users' own answers list it, without a zone."""
    each = utc(session_id, state, started + AHEAD, None if changed is None else changed + AHEAD, user)
    return each._replace(session=Session.of(session_id, state, started=each.session.started), utc=False)


def watched(*names: str, at: float = 0.0) -> Fleet:
    fleet = Fleet()
    run(fleet.update(map(Watched, names), at))
    return fleet


def answer(fleet: Fleet, *sessions: ListedSession, at: float, member: Member | None = None) -> None:
    fleet.sessions_answered(member or fleet.members[0], sessions, at, CLOCK)


def scan(fleet: Fleet, *sessions: ListedSession, at: float) -> None:
    """A complete scan of live sessions."""
    fleet.scan_page(sessions, at, CLOCK)
    run(fleet.scan_ended({each.session.id or "" for each in sessions}, at, oldest=0.0))


def sight(fleet: Fleet, *sessions: ListedSession, at: float) -> None:
    fleet.listed_by_scan(sessions, at, CLOCK)


def counted(fleet: Fleet) -> tuple[int, int]:
    """Starts and failures."""
    return fleet.attempts.starts.total, fleet.attempts.failures.total


def records(fleet: Fleet) -> int:
    return sum(len(member.records) for member in fleet.members)


def ages(counts: Counts, at: float) -> dict[tuple[str, str], int]:
    return {key: sessions for key, sessions in counts.ages(CLOCK + at).items() if sessions}


SOURCES = ("answer", "scan", "sight")


def show(fleet: Fleet, source: str, each: ListedSession, at: float) -> None:
    {"answer": answer, "scan": scan, "sight": sight}[source](fleet, each, at=at)


@pytest.mark.parametrize("order", list(permutations(SOURCES)))
@pytest.mark.parametrize(("state", "expected"), [("Active", (1, 0)), ("InitFail", (1, 1))])
def test_a_session_counts_once_whichever_source_shows_it_first(
    order: tuple[str, ...], state: str, expected: tuple[int, int]
) -> None:
    fleet = watched("a")
    answer(fleet, at=1)
    for at, source in enumerate(order * 2, start=20):
        show(fleet, source, utc("1", state, started=10, changed=12), at)
        assert counted(fleet) == expected


@pytest.mark.parametrize("order", list(permutations(SOURCES)))
def test_a_session_that_began_before_the_user_joined_counts_only_if_it_fails_later(order: tuple[str, ...]) -> None:
    fleet = watched("a", at=100)
    for at, source in enumerate(order, start=110):
        show(fleet, source, utc("1", "AppcInit", started=90, changed=90), at)
        assert counted(fleet) == (0, 0)
    for at, source in enumerate(order, start=150):
        show(fleet, source, utc("1", "InitFail", started=90, changed=140), at)
        assert counted(fleet) == (1, 1)


@pytest.mark.parametrize("order", list(permutations(SOURCES)))
def test_a_session_that_had_failed_before_the_user_joined_does_not_count(order: tuple[str, ...]) -> None:
    fleet = watched("a", at=100)
    for at, source in enumerate(order * 2, start=110):
        show(fleet, source, utc("1", "InitFail", started=80, changed=90), at)
        assert counted(fleet) == (0, 0)


def test_a_session_that_began_between_joining_and_the_first_answer_counts_once_a_scan_shows_its_time() -> None:
    fleet = watched("a", at=100)
    answer(fleet, local("1", "InitFail", started=110, changed=112), at=120)
    assert counted(fleet) == (0, 0), "without a zone it may be old"
    for at in (130, 140):
        sight(fleet, utc("1", "InitFail", started=110, changed=112), at=at)
        assert counted(fleet) == (1, 1)


def test_without_scans_the_order_of_the_answers_decides() -> None:
    fleet = watched("a")
    answer(fleet, local("old"), at=1)
    answer(fleet, local("old"), local("new", started=30), local("failed", "InitFail", started=30), at=60)
    assert counted(fleet) == (2, 1)


@pytest.mark.parametrize("gap", ["expired", "unknown to the cloud", "not listed"])
def test_a_known_session_is_no_new_one_after_a_gap(gap: str) -> None:
    """Not even without a zone, and although it was not counted."""
    fleet = watched("a")
    answer(fleet, local("1"), at=1)
    if gap == "expired":
        run(fleet.expire(queried_since=100, accounts_since=0, scanned_since=0))
        assert not fleet.counts().sessions
    else:
        fleet.sessions_answered(fleet.members[0], None if gap == "unknown to the cloud" else (), 60, CLOCK)
    answer(fleet, local("1"), at=200)
    assert counted(fleet) == (0, 0)
    answer(fleet, local("1", "InitFail"), at=260)
    assert counted(fleet) == (1, 1)


def test_a_session_between_two_polls_counts_when_it_is_sighted_and_changes_no_gauge() -> None:
    fleet = watched("a")
    answer(fleet, at=1)
    for at in (50, 55):
        sight(fleet, utc("1", "SignedOut", 10, 40), utc("2", "InitFail", 10, 12), at=at)
    answer(fleet, at=61)
    sight(fleet, utc("1", "SignedOut", 10, 40), utc("2", "InitFail", 10, 12), at=65)
    assert counted(fleet) == (2, 1)
    assert not fleet.counts().sessions
    assert fleet.users()[0].init_failures == 1


def test_records_are_forgotten_an_hour_after_the_session_was_last_listed_and_it_counts_no_more() -> None:
    fleet = watched("a")
    answer(fleet, local("existed"), at=1)
    sight(fleet, utc("1", "SignedOut", 10, 40), at=50)
    answer(fleet, at=60)
    assert records(fleet) == 2
    answer(fleet, at=REMEMBERED + 70)
    assert records(fleet) == 0
    sight(fleet, utc("1", "SignedOut", 10, 40), at=REMEMBERED + 80)
    assert counted(fleet) == (1, 0)


def test_somebody_else_s_sessions_are_not_counted() -> None:
    fleet = Fleet()
    run(fleet.update([Watched("a", domain="x")], 0.0))
    sight(fleet, utc("1", "InitFail", 10, user="a@y"), utc("2", "InitFail", 10, user="b@x"), at=20)
    assert counted(fleet) == (0, 0)
    sight(fleet, utc("3", "InitFail", 10, user="A@X"), at=20)
    assert counted(fleet) == (1, 1), "logins are compared without case"


def test_a_session_that_the_user_s_own_query_denies_is_not_counted() -> None:
    """While the user's domain is unknown."""
    fleet = watched("a")
    answer(fleet, at=200)
    sight(fleet, utc("1", "InitFail", 100, 101), at=210)
    scan(fleet, utc("2", started=100, changed=101), at=211)
    sight(fleet, utc("2", "InitFail", 100, 212), at=215)
    assert counted(fleet) == (0, 0)


def test_a_failure_between_two_polls_counts_although_it_is_seen_late_if_the_domain_is_the_user_s() -> None:
    fleet = Fleet()
    run(fleet.update([Watched("a", domain="x")], 0.0))
    answer(fleet, at=200)
    sight(fleet, utc("1", "InitFail", 100, 101), at=210)
    assert counted(fleet) == (1, 1)


def test_users_with_one_name_and_unknown_domains_share_no_count() -> None:
    fleet = Fleet()
    found = [Watched("a", "1", discovered=True), Watched("a", "2", discovered=True)]
    run(fleet.update(found, 0.0))
    for at in (20, 40):
        for source in SOURCES:
            show(fleet, source, utc("1", "InitFail", 10, 12), at)
    assert counted(fleet) in {(0, 0), (1, 1)}


def test_a_session_that_turns_out_to_be_a_namesake_s_counts_once() -> None:
    fleet = watched("Ann", "ann")
    ann, other = fleet.members
    for each in (ann, other):
        answer(fleet, at=1, member=each)
    sight(fleet, utc("1", "InitFail", 10, 12, user="Ann@x"), at=20)
    assert counted(fleet) == (1, 1)
    fleet.account_answered(ann, None, at=30)
    fleet.sessions_answered(ann, None, 40, CLOCK)
    answer(fleet, utc("1", "InitFail", 10, 12, user="Ann@x"), at=50, member=other)
    sight(fleet, utc("1", "InitFail", 10, 12, user="Ann@x"), at=60)
    assert counted(fleet) == (1, 1)


def test_a_user_who_leaves_and_comes_back_brings_no_new_starts() -> None:
    fleet = watched("a")
    answer(fleet, at=1)
    sight(fleet, utc("1", started=10, changed=12), at=20)
    run(fleet.update([], 30))
    sight(fleet, utc("1", started=10, changed=12), at=35)
    run(fleet.update([Watched("a")], 40))
    for at, source in enumerate(SOURCES, start=50):
        show(fleet, source, utc("1", started=10, changed=12), at)
    assert counted(fleet) == (1, 0)


@pytest.mark.parametrize(
    ("first", "seconds"),
    [
        (utc("1", "Active", 10, 14), 4.0),
        (local("1", "Active", 10, 14), 4.0),
        (utc("1", "Active", 10, 10), 0.0),
        (utc("1", "Active", 10, 9), None),
        (utc("1", "Active", 10, 3611), None),
        (utc("1", "Active", 10, None), None),
        (utc("1", "Disconnected", 10, 14), None),
        (utc("1", "InitFail", 10, 14), None),
    ],
)
def test_the_time_to_active_is_that_of_the_first_state_after_the_start(
    first: ListedSession, seconds: float | None
) -> None:
    fleet = watched("a")
    answer(fleet, at=1)
    show(fleet, "answer", first._replace(session=Session.of("1", "AppcInit"), changed=first.started), at=20)
    for at, each in enumerate([first, first, utc("1", "Active", 10, 30)], start=3700):
        answer(fleet, each, at=at)
    durations = fleet.attempts.init_durations
    assert (sum(durations.counts), durations.seconds) == ((0, 0.0) if seconds is None else (1, seconds))


def test_a_session_of_before_the_first_look_has_no_time_to_active() -> None:
    fleet = watched("a", at=20)
    answer(fleet, utc("1", "AppcInit", 10, 10), at=30)
    answer(fleet, utc("1", "Active", 10, 40), at=50)
    assert sum(fleet.attempts.init_durations.counts) == 0


@pytest.mark.parametrize("sources", [(one, other) for one in ("answer", "scan") for other in ("answer", "scan")])
def test_a_disconnect_and_a_reconnect_count_once_each_from_any_source(sources: tuple[str, str]) -> None:
    fleet = watched("a")
    answer(fleet, utc("1", "Active", 0, 0), at=1)
    for at, state in enumerate(["Disconnected", "Active"]):
        for n, source in enumerate((*sources, *sources)):
            show(fleet, source, utc("1", state, 0, 100 * at + 10), at=100 * at + 20 + n)
    assert (fleet.attempts.disconnects, fleet.attempts.reconnects) == (1, 1)
    sight(fleet, utc("1", "Disconnected", 0, 200), at=210)
    assert fleet.attempts.disconnects == 1, "a sighting changes no state"


def test_an_older_state_changes_nothing_and_a_state_of_the_future_does_not_last() -> None:
    fleet = watched("a")
    answer(fleet, utc("1", "Active", 0, 0), at=1)
    for at in (60, 70, 80):
        answer(fleet, utc("1", "Disconnected", 0, 50), at=at)
        scan(fleet, utc("1", "Active", 0, 0), at=at + 5)
        assert ages(fleet.counts(), at) == {("Disconnected", "0-5m"): 1}
    assert (fleet.attempts.disconnects, fleet.attempts.reconnects) == (1, 0)
    answer(fleet, utc("1", "Active", 0, 1e9), at=100)
    answer(fleet, utc("1", "Disconnected", 0, 105), at=110)
    assert (fleet.attempts.disconnects, fleet.attempts.reconnects) == (2, 1)


def test_an_older_state_that_failed_counts_as_a_failure() -> None:
    fleet = watched("a")
    answer(fleet, at=1)
    answer(fleet, utc("1", "Active", 10, 20), at=30)
    scan(fleet, utc("1", "InitFail", 10, 12), at=31)
    assert counted(fleet) == (1, 1)
    assert [session.session_state for session in fleet.users()[0].listed] == ["Active"]


@pytest.mark.parametrize(
    ("seconds", "age"),
    list(zip((0, 299.9, 300, 3599.9, 3600, 86399.9, 86400, 259199.9, 259200, 1e9),
             (AGES[0], AGES[0], AGES[1], AGES[1], AGES[2], AGES[2], AGES[3], AGES[3], AGES[4], AGES[4]), strict=True)),
)  # fmt: skip
def test_an_age_includes_its_lower_bound(seconds: float, age: str) -> None:
    fleet = watched("a")
    answer(fleet, utc("1", changed=0), at=1)
    assert ages(fleet.counts(), seconds) == {("Active", age): 1}


def test_without_a_zone_a_state_counts_from_its_observation_and_is_unknown_at_the_first_look() -> None:
    fleet = watched("a")
    answer(fleet, local("1"), at=1)
    assert ages(fleet.counts(), 10_000) == {("Active", "unknown"): 1}
    answer(fleet, local("1", "Disconnected", changed=100), local("2", started=90, changed=100), at=1000)
    assert ages(fleet.counts(), 1299) == {("Disconnected", "0-5m"): 1, ("Active", "0-5m"): 1}
    sight(fleet, utc("2", started=90, changed=100), at=1010)
    answer(fleet, local("1", "Disconnected", changed=100), local("2", started=90, changed=100), at=1060)
    assert fleet.zone.ahead == AHEAD
    assert ages(fleet.counts(), 1299) == {("Disconnected", "5m-1h"): 1, ("Active", "5m-1h"): 1}


times = st.floats(-1e6, 1e6) | st.none()
found = st.lists(st.tuples(st.sampled_from(["Active", "InitFail", "Odd"]), times), max_size=30)


@given(st.lists(found, max_size=4), st.floats(-1e6, 1e6))
def test_ages_equal_a_recount_and_sum_to_the_sessions(
    answers: list[list[tuple[str, float | None]]], now: float
) -> None:
    fleet = watched("a")
    for at, sessions in enumerate(answers):
        listed = [utc(str(n), state, changed=changed) for n, (state, changed) in enumerate(sessions)]
        answer(fleet, *listed, at=at)
    counts = fleet.counts()
    assert counts.ages(CLOCK + now).total() == counts.sessions.total()
    expected: dict[tuple[str, str], int] = {}
    for session in fleet.users()[0].listed:
        age = "unknown"
        if session.changed is not None:
            since = CLOCK + now - session.changed
            age = AGES[sum(session.changed <= CLOCK + now - bound for bound in (300, 3600, 86400, 259200))]
            assert since >= 300 or age == AGES[0]
        key = (session.session_state or "unknown", age)
        expected[key] = expected.get(key, 0) + 1
    assert ages(counts, now) == expected


class TestTimeZone:
    """What is learned about the zone of users' own answers."""

    @staticmethod
    def learned(*ahead: float) -> float | None:
        """The zone after comparisons of one session each."""
        zone = TimeZone()
        for n, seconds in enumerate(ahead):
            each = utc(str(n), started=n)
            zone.learn([each._replace(started=(each.started or 0.0) + seconds, utc=False)])
            zone.learn([each])
        return zone.ahead

    def test_it_is_learned_from_a_session_that_both_operations_list(self) -> None:
        for ahead in (0.0, 3600.0, -12600.0, 20700.0, 50400.0):
            assert self.learned(ahead) == self.learned(ahead + 2) == ahead

    def test_odd_differences_prove_nothing(self) -> None:
        assert self.learned(100.0, 16 * 3600.0, 903.0, -1e12) is None
        assert self.learned(3600.0, 100.0) == 3600.0

    def test_contradictions_make_it_unknown_until_the_latest_sessions_agree(self) -> None:
        """As after a change to daylight saving time."""
        assert self.learned(3600.0, 7200.0, 7200.0) is None
        assert self.learned(3600.0, *[7200.0] * 300) == 7200.0

    def test_sessions_of_one_operation_alone_prove_nothing(self) -> None:
        zone = TimeZone()
        zone.learn([utc("1"), local("2")])
        zone.learn([local("2"), utc("3"), utc("1")])
        assert zone.ahead is None


@dataclass(frozen=True)
class Life:
    """A session: when it starts, becomes Active or InitFail, and ends, and when it is no longer listed."""

    started: int
    init: int
    fails: bool
    lasts: int
    listed_after: int

    def at(self, time: float, session_id: str, *, in_utc: bool) -> ListedSession | None:
        """The session as it is listed at a time."""
        live, end = self.started + self.init, self.started + self.init + self.lasts
        if not self.started <= time < end + self.listed_after:
            return None
        state, changed = "AppcInit", self.started
        if time >= live:
            state, changed = "InitFail" if self.fails else "Active", live
        if time >= end and not self.fails:
            state, changed = "SignedOut", end
        return (utc if in_utc else local)(session_id, state, self.started, changed)


lives = st.lists(
    st.builds(Life, st.integers(-100, 500), st.integers(1, 20), st.booleans(), st.integers(0, 200), st.integers(1, 90)),
    min_size=1,
    max_size=4,
)
looks = st.lists(st.tuples(st.integers(1, 700), st.sampled_from(SOURCES)), max_size=15)
END = 5  # seconds before and after joining without starts, which seconds cannot tell apart


@given(lives, looks)
def test_starts_and_failures_equal_what_was_visible_in_any_order_of_sources(
    sessions: list[Life], when: list[tuple[int, str]]
) -> None:
    """With times in UTC, which scans always have."""
    fleet = watched("a", at=END)
    shown, failed = set[int](), set[int]()
    for at, source in sorted((time + END, source) for time, source in when):
        listed = {n: each for n, life in enumerate(sessions) if (each := life.at(at, str(n), in_utc=True))}
        if source == "scan":
            listed = {n: each for n, each in listed.items() if each.session.session_state != "SignedOut"}
        {"answer": answer, "scan": scan, "sight": sight}[source](fleet, *listed.values(), at=at)
        for n, each in listed.items():
            new_failure = each.session.session_state == "InitFail" and (each.changed or 0) >= CLOCK + END
            if sessions[n].started >= END or new_failure:
                shown.add(n)
            if new_failure:
                failed.add(n)
    assert counted(fleet) == (len(shown), len(failed))


@given(lives, st.lists(st.integers(1, 700), min_size=1, max_size=15))
def test_without_scans_starts_and_failures_equal_what_the_answers_show(sessions: list[Life], when: list[int]) -> None:
    fleet = watched("a")
    existed, failed_before, shown, failed = (set[int]() for _ in range(4))
    for look, at in enumerate(sorted(when)):
        listed = {n: each for n, life in enumerate(sessions) if (each := life.at(at, str(n), in_utc=False))}
        answer(fleet, *listed.values(), at=at)
        for n, each in listed.items():
            is_failed = each.session.session_state == "InitFail"
            if look == 0:
                existed.add(n)
                failed_before |= {n} if is_failed else set()
            elif n not in existed or (is_failed and n not in failed_before):
                shown.add(n)
                failed |= {n} if is_failed else set()
    assert counted(fleet) == (len(shown), len(failed))


def test_lost_answers_change_no_count() -> None:
    fleet = watched("a")
    answer(fleet, at=1)
    lists: list[Iterable[ListedSession]] = [[utc("1", "AppcInit", 10, 10)], [], [utc("1", "Active", 10, 15)], []]
    for at, listed in enumerate(lists * 3, start=20):
        answer(fleet, *listed, at=at)
    assert counted(fleet) == (1, 0)


def test_a_failure_that_existed_does_not_count_when_the_cloud_moves_its_time() -> None:
    fleet = watched("a")
    sight(fleet, utc("1", "InitFail", -90, -80), at=1)
    answer(fleet, local("1", "InitFail", -90, -80), at=2)
    sight(fleet, utc("1", "InitFail", -90, 60), at=61)
    answer(fleet, local("1", "InitFail", -90, 60), at=62)
    assert counted(fleet) == (0, 0)


def test_the_zone_is_learned_from_an_answer_after_a_scan_and_from_a_scan_after_an_answer() -> None:
    scanned, answered = watched("a"), watched("a")
    sight(scanned, utc("1"), at=1)
    answer(scanned, local("1"), at=2)
    answer(answered, local("1"), at=1)
    sight(answered, utc("1"), at=2)
    assert (scanned.zone.ahead, answered.zone.ahead) == (AHEAD, AHEAD)
