"""The living population: repeatable whatever the rhythm of asking, and plausible."""

import random
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from exporter.simulator import Script, SessionInfo, Simulator, SimulatorOptions
from exporter.simulator.office import Office
from exporter.simulator.population import all_sessions, all_users
from exporter.simulator.rollout import Rollout
from exporter.simulator.schema import OPEN_END, SUCCESS_CODE

START = 1_800_000_000.0
HOUR = 3600.0
STATES = {"AppcInit", "Active", "Disconnected", "SignedOut", "InitFail"}
TRANSITIONS = {
    ("AppcInit", "Active"),
    ("AppcInit", "InitFail"),
    ("Active", "Disconnected"),
    ("Active", "SignedOut"),
    ("Disconnected", "Active"),
    ("Disconnected", "SignedOut"),
}


def office(**options: object) -> Office:
    return Office(**{"seed": 7, "users": 50, "start": START} | options)  # type: ignore[arg-type]  # a test's short hand


def timestamp(text: object) -> float:
    return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()


def failed_since_start(population: Office, *, until: float) -> dict[object, SessionInfo]:
    """Every session seen in InitFail when asked each five minutes."""
    found: dict[object, SessionInfo] = {}
    for at in range(int(START), int(START + until), 300):
        found |= {s.id: s for s in all_sessions(population, at) if s.session_state == "InitFail"}
    return found


def test_the_same_seed_lives_the_same_day_whatever_the_rhythm_of_asking() -> None:
    """Asked each hour, or at times all over the day and backwards, two populations say the same at the same time."""
    regular, erratic = office(), office()
    times = [START + hour * HOUR for hour in range(48)]
    expected = {at: (all_users(regular, at), all_sessions(regular, at)) for at in times}
    dice = random.Random(3)  # noqa: S311 - a shuffle
    for at in dice.sample(times, len(times)):
        all_sessions(erratic, at + dice.uniform(-HOUR, HOUR))
        assert (all_users(erratic, at), all_sessions(erratic, at)) == expected[at]


def test_another_seed_lives_another_day() -> None:
    """The seed decides who does what."""
    assert all_sessions(office(), START) != all_sessions(office(seed=8), START)


@pytest.mark.parametrize("seed", range(10))
def test_a_frozen_clock_shows_a_lively_office(seed: int) -> None:
    """From the first moment all five states, all kinds of accounts, several versions and groups are there."""
    simulator = Simulator(SimulatorOptions(seed=seed, speed=0), clock=lambda: START)
    sessions, users = simulator.sessions(), simulator.users()
    assert 20 <= len(sessions) <= 45
    assert {session.session_state for session in sessions} == STATES
    assert len({session.client_version for session in sessions}) > 1
    assert len({session.agent_version for session in sessions if session.agent_version}) > 1
    assert len({session.app_server_group_id for session in sessions}) == 3
    assert {session.protocol_type for session in sessions} == {"HDP", "Hdp"}
    for flag in ("locked", "user_expired", "disabled"):
        assert {getattr(user, flag) for user in users} == {True, False}
    assert 0 in {user.account_expires for user in users}


def test_sessions_go_only_the_ways_that_sessions_go() -> None:
    """Asked often enough to miss nothing, no session skips a state, comes back to life or changes its start."""
    population = office(users=10)
    last: dict[object, SessionInfo] = {}
    seen: Counter[object] = Counter()
    for at in range(int(START), int(START + 10 * HOUR), 5):
        for session in all_sessions(population, at):
            before = last.get(session.id, session)
            assert before.start_time == session.start_time
            step = (before.session_state, session.session_state)
            assert step[0] == step[1] or step in TRANSITIONS
            last[session.id] = session
            seen[session.session_state] += 1
    assert set(seen) == STATES


def test_the_times_of_a_session_fit_its_state() -> None:
    """A session has an end where it is over, a failure only in InitFail, and nothing lies in the future."""
    for at in range(int(START), int(START + 30 * HOUR), 1800):
        for session in all_sessions(office(users=200), at):
            over = session.session_state in {"SignedOut", "InitFail"}
            assert (session.end_time != OPEN_END) == over
            assert (session.failed_code != SUCCESS_CODE) == (session.session_state == "InitFail")
            since = timestamp(session.last_update_status_time)
            assert timestamp(session.start_time) <= since <= at
            assert abs(at - since - int(str(session.status_continue_time))) <= 1


def test_nobody_has_more_than_three_sessions() -> None:
    """Users have none to three sessions at a time, and not always none."""
    population = office(users=200, script=Script(at=HOUR))
    counts = {len(population.sessions_of(n, START + HOUR * 1.2)) for n in population.names()}
    assert counts == {0, 1, 2, 3}


def test_an_incident_fails_most_new_sessions_of_one_server_group() -> None:
    """InitFail is rare before a scripted incident; while it lasts it is what most log-ins at one group end in."""
    calm = failed_since_start(office(users=500, script=Script(at=48 * HOUR)), until=2 * HOUR)
    troubled = failed_since_start(office(users=500, script=Script(at=HOUR, duration=900)), until=2 * HOUR)
    assert len(calm) < 8
    assert len(troubled) > 50
    groups = Counter(session.app_server_group_id for session in troubled.values())
    assert groups.most_common(1)[0][1] > 0.9 * len(troubled)
    during = [s for s in troubled.values() if START + HOUR <= timestamp(s.start_time) <= START + HOUR + 900]
    assert len(during) > 50


def test_some_days_have_an_incident_by_chance() -> None:
    """Without a script, over ten days some have many failures and most have few."""
    population = office(users=300)
    per_day = []
    for day in range(10):
        found = set()
        for at in range(int(START + day * 86400 - 4 * HOUR), int(START + day * 86400 + 8 * HOUR), 600):
            found |= {session.id for session in all_sessions(population, at) if session.session_state == "InitFail"}
        per_day.append(len(found))
    assert 1 <= sum(count > 20 for count in per_day) <= 5
    assert 0 < sum(count for count in per_day if count <= 20) < 40


def test_accounts_get_locked_and_unlocked_and_expire() -> None:
    """Within hours somebody is locked and unlocked again, and somebody expires at the announced time."""
    population = office()
    hours = [START + step * 600 for step in range(24)]
    locked = [{user.user_name for user in all_users(population, at) if user.locked} for at in hours]
    assert any(before - after for before, after in pairwise(locked))
    assert any(after - before for before, after in pairwise(locked))
    for at in hours:
        for user in all_users(population, at):
            expires = user.account_expires
            assert isinstance(expires, int)
            assert user.user_expired == (expires != 0 and at * 1000 >= expires)


def test_expired_and_disabled_users_do_not_log_in() -> None:
    """Who may not log in has no session that began after."""
    population = office(users=200)
    for at in (START, START + 24 * HOUR):
        for user in all_users(population, at):
            begun = [timestamp(s.start_time) for s in population.sessions_of(str(user.user_name), at)]
            assert not (user.disabled and begun)
            if user.user_expired:
                assert all(begin * 1000 < int(str(user.account_expires)) for begin in begun)


def test_speed_shortens_the_day() -> None:
    """At speed 60 an hour of the office passes in a minute, and its times are the clock's all the same."""
    fast, slow = office(speed=60), office()
    for minutes in (0, 30, 90):
        quick = all_sessions(fast, START + minutes)
        assert [s.id for s in quick] == [s.id for s in all_sessions(slow, START + minutes * 60)]
        assert all(timestamp(session.start_time) <= START + minutes for session in quick)
    last_start = max(timestamp(session.start_time) for session in all_sessions(fast, START + 90))
    assert START < last_start <= START + 90


def test_the_day_is_lively_whenever_the_simulator_starts() -> None:
    """The office day is shifted to the start, so that nobody meets an empty office at night."""
    night = START + 14 * HOUR
    assert len(all_sessions(office(start=night), night)) == len(all_sessions(office(), START))


def test_a_release_reaches_everybody_in_its_time() -> None:
    """A rollout goes through the queue by share, and the next one begins after the period."""
    rollout = Rollout(begin=0, duration=10, period=100)
    assert [rollout.release(0.5, at) for at in (-1, 4, 5, 99, 104, 105)] == [-1, -1, 0, 0, 0, 1]
    assert rollout.release(0.0, 0) == 0
    assert rollout.release(0.99, 9.8) == -1


def test_more_users_run_the_new_client_as_the_day_goes_on() -> None:
    """Client and agent versions move from one release to the next."""
    population = office(users=300)
    newest = "24.10.2.12888"
    share = []
    for hour in (0, 5):
        versions = [s.client_version for s in all_sessions(population, START + hour * HOUR)]
        share.append(versions.count(newest) / len(versions))
    assert 0 < share[0] < share[1] < 1
