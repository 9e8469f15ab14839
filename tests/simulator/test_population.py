"""The generated population: repeatable whatever the order of queries, and plausible."""

import random
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from exporter.simulator import Script, SessionInfo, Simulator, SimulatorOptions
from exporter.simulator.population import GeneratedPopulation, all_sessions, all_users
from exporter.simulator.schema import OPEN_END, SUCCESS_CODE
from exporter.simulator.sessions import Rollout

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


def generated(**options: object) -> GeneratedPopulation:
    return GeneratedPopulation(**{"seed": 7, "users": 50, "start": START} | options)  # type: ignore[arg-type]  # shorthand


def timestamp(text: object) -> float:
    return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()


def failed_since_start(population: GeneratedPopulation, *, until: float) -> dict[object, SessionInfo]:
    """Return every session in state InitFail, queried every five minutes."""
    found: dict[object, SessionInfo] = {}
    for at in range(int(START), int(START + until), 300):
        found |= {s.id: s for s in all_sessions(population, at) if s.session_state == "InitFail"}
    return found


def test_the_same_seed_gives_the_same_day_whatever_the_order_of_queries() -> None:
    """Two populations return the same, one queried every hour, one at random times and backwards."""
    regular, erratic = generated(), generated()
    times = [START + hour * HOUR for hour in range(48)]
    expected = {at: (all_users(regular, at), all_sessions(regular, at)) for at in times}
    dice = random.Random(3)  # noqa: S311 - a shuffle
    for at in dice.sample(times, len(times)):
        all_sessions(erratic, at + dice.uniform(-HOUR, HOUR))
        assert (all_users(erratic, at), all_sessions(erratic, at)) == expected[at]


def test_another_seed_gives_another_day() -> None:
    """The seed decides all sessions."""
    assert all_sessions(generated(), START) != all_sessions(generated(seed=8), START)


@pytest.mark.parametrize("seed", range(10))
def test_a_frozen_simulation_has_every_kind_of_state(seed: int) -> None:
    """All session states, all kinds of accounts, several versions and groups exist from the start."""
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


def test_sessions_only_make_valid_transitions() -> None:
    """No session skips a state, comes back after its end or changes its start."""
    population = generated(users=10)
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
    """Only a session that is over has an end, only InitFail has a failure, and no time is in the future."""
    for at in range(int(START), int(START + 30 * HOUR), 1800):
        for session in all_sessions(generated(users=200), at):
            over = session.session_state in {"SignedOut", "InitFail"}
            assert (session.end_time != OPEN_END) == over
            assert (session.failed_code != SUCCESS_CODE) == (session.session_state == "InitFail")
            since = timestamp(session.last_update_status_time)
            assert timestamp(session.start_time) <= since <= at
            assert abs(at - since - int(str(session.status_continue_time))) <= 1


def test_no_user_has_more_than_three_sessions() -> None:
    """Users have zero to three sessions at a time."""
    population = generated(users=200, script=Script(at=HOUR))
    counts = {len(population.sessions_of(n, START + HOUR * 1.2)) for n in population.names()}
    assert counts == {0, 1, 2, 3}


def test_an_incident_fails_most_new_sessions_of_one_server_group() -> None:
    """InitFail is rare before a scripted incident. In it, most session starts at one group fail."""
    calm = failed_since_start(generated(users=500, script=Script(at=48 * HOUR)), until=2 * HOUR)
    troubled = failed_since_start(generated(users=500, script=Script(at=HOUR, duration=900)), until=2 * HOUR)
    assert len(calm) < 8
    assert len(troubled) > 50
    groups = Counter(session.app_server_group_id for session in troubled.values())
    assert groups.most_common(1)[0][1] > 0.9 * len(troubled)
    during = [s for s in troubled.values() if START + HOUR <= timestamp(s.start_time) <= START + HOUR + 900]
    assert len(during) > 50


def test_some_days_have_a_random_incident() -> None:
    """Without a script, a few of ten days have many failures and the others few."""
    population = generated(users=300)
    per_day = []
    for day in range(10):
        found = set()
        for at in range(int(START + day * 86400 - 4 * HOUR), int(START + day * 86400 + 8 * HOUR), 600):
            found |= {session.id for session in all_sessions(population, at) if session.session_state == "InitFail"}
        per_day.append(len(found))
    assert 1 <= sum(count > 20 for count in per_day) <= 5
    assert 0 < sum(count for count in per_day if count <= 20) < 40


def test_accounts_get_locked_and_unlocked_and_expire() -> None:
    """Within hours a user is locked and unlocked again, and a user expires at the announced time."""
    population = generated()
    hours = [START + step * 600 for step in range(24)]
    locked = [{user.user_name for user in all_users(population, at) if user.locked} for at in hours]
    assert any(before - after for before, after in pairwise(locked))
    assert any(after - before for before, after in pairwise(locked))
    for at in hours:
        for user in all_users(population, at):
            expires = user.account_expires
            assert isinstance(expires, int)
            assert user.user_expired == (expires != 0 and at * 1000 >= expires)


def test_expired_and_disabled_users_start_no_sessions() -> None:
    """Disabled users have no session, and expired users none that started after the expiry."""
    population = generated(users=200)
    for at in (START, START + 24 * HOUR):
        for user in all_users(population, at):
            begun = [timestamp(s.start_time) for s in population.sessions_of(str(user.user_name), at)]
            assert not (user.disabled and begun)
            if user.user_expired:
                assert all(begin * 1000 < int(str(user.account_expires)) for begin in begun)


def test_speed_shortens_the_day() -> None:
    """At speed 60 a simulated hour takes a minute, and the times in records are still wall-clock times."""
    fast, slow = generated(speed=60), generated()
    for minutes in (0, 30, 90):
        quick = all_sessions(fast, START + minutes)
        assert [s.id for s in quick] == [s.id for s in all_sessions(slow, START + minutes * 60)]
        assert all(timestamp(session.start_time) <= START + minutes for session in quick)
    last_start = max(timestamp(session.start_time) for session in all_sessions(fast, START + 90))
    assert START < last_start <= START + 90


def test_every_simulation_starts_in_the_morning() -> None:
    """The simulated day is shifted to the start, so that there are sessions at night, too."""
    night = START + 14 * HOUR
    assert len(all_sessions(generated(start=night), night)) == len(all_sessions(generated(), START))


def test_a_release_is_rolled_out_by_position() -> None:
    """A rollout proceeds by position, and the next one begins after the period."""
    rollout = Rollout(begin=0, duration=10, period=100)
    assert [rollout.release(0.5, at) for at in (-1, 4, 5, 99, 104, 105)] == [-1, -1, 0, 0, 0, 1]
    assert rollout.release(0.0, 0) == 0
    assert rollout.release(0.99, 9.8) == -1


def test_the_share_of_the_new_client_grows_during_a_rollout() -> None:
    """More and more users have the new version."""
    population = generated(users=300)
    newest = "24.10.2.12888"
    share = []
    for hour in (0, 5):
        versions = [s.client_version for s in all_sessions(population, START + hour * HOUR)]
        share.append(versions.count(newest) / len(versions))
    assert 0 < share[0] < share[1] < 1
