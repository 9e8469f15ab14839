"""The generated population: repeatable whatever the order of queries, and plausible."""

import random
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from exporter.simulator import Script, SessionInfo, Simulator, SimulatorOptions
from exporter.simulator.generated import GeneratedPopulation
from exporter.simulator.population import all_sessions, all_users
from exporter.simulator.schema import OPEN_END, SUCCESS_CODE
from exporter.simulator.sessions import Rollout
from exporter.simulator.simulation import OfficeHours, Timeline

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


def generated(*, start: float = START, speed: float = 1.0, **options: object) -> GeneratedPopulation:
    given = {"seed": 7, "users": 50, "timeline": Timeline(start, speed)} | options
    return GeneratedPopulation(**given)  # type: ignore[arg-type]  # shorthand


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
    times = [START + HOUR * hours for hours in (1.2, 2, 3)]
    counts = {len(population.sessions_of(name, at)) for name in population.names() for at in times}
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


def test_as_many_users_join_as_leave() -> None:
    """At any time there are as many users as at the start, and the whole staff has changed in the end."""
    population = generated(turnover=20)
    first = {user.id for user in all_users(population, START)}
    for hour in (0.99 / 20, 1 / 20, 1, 2, 2.5, 3, 10):
        users = {user.id for user in all_users(population, START + hour * HOUR)}
        assert len(users) == 50
        assert len(users - first) == min(int(hour * 20 + 1e-9), 50)


def test_changes_depend_on_seed_and_time_alone() -> None:
    """Queries of other times and in another order see the same users join and leave."""
    steady, erratic, other = generated(turnover=30), generated(turnover=30), generated(turnover=30, seed=8)
    all_sessions(erratic, START + 40 * HOUR)
    for at in (START + hour * HOUR for hour in (9, 1, 25, 0.5)):
        assert all_users(steady, at) == all_users(erratic, at)
        assert all_sessions(steady, at) == all_sessions(erratic, at)
    soon = START + 0.5 * HOUR
    assert {user.user_name for user in all_users(steady, soon)} != {user.user_name for user in all_users(other, soon)}


def test_whoever_joins_starts_sessions_and_whoever_leaves_is_unknown() -> None:
    """No session of a user begins before the user joins, and none remains after the user leaves."""
    population = generated(turnover=10, users=100)
    before: dict[str, str] = {}
    joined: dict[str, float] = {}
    started = 0
    for at in (START + minutes * 60 for minutes in range(0, 24 * 60, 3)):
        users = {str(user.id): str(user.user_name) for user in all_users(population, at)}
        joined |= dict.fromkeys(users.keys() - joined.keys(), at)
        for user_id, name in users.items():
            begun = [timestamp(session.start_time) for session in population.sessions_of(name, at)]
            assert joined[user_id] == START or all(begin > joined[user_id] - 180 for begin in begun)
            started += joined[user_id] > START and bool(begun)
        for user_id in before.keys() - users.keys():
            assert population.user(user_id, at) is None
            assert not population.knows(before[user_id], at)
            assert population.sessions_of(before[user_id], at) == []
        before = users
    assert started


def test_without_turnover_nobody_joins_or_leaves() -> None:
    """By default, the users are the same forever."""
    population = generated()
    ids = [user.id for user in all_users(population, START)]
    assert [user.id for user in all_users(population, START + 500 * HOUR)] == ids


def test_namesakes_live_in_a_second_domain() -> None:
    """Some of the users share their name with one user of the other domain, but neither id, sessions nor e-mail."""
    population = generated(users=200, namesakes=20)
    users = all_users(population, START)
    assert len(users) == len({user.id for user in users}) == len({user.user_email for user in users}) == 200
    assert Counter(user.domain for user in users) == {"workspace.example": 180, "partners.example": 20}
    twice = [name for name, count in Counter(user.user_name for user in users).items() if count == 2]
    assert twice == list(population.names()[:20])
    assert len(population.names()) == 180
    logins = [{session.login_user for session in population.sessions_of(str(name), START)} for name in twice]
    for name, of_both in zip(twice, logins, strict=True):
        assert of_both <= {f"{name}@workspace.example", f"{name}@partners.example"}
    assert max(map(len, logins)) == 2


@pytest.mark.parametrize(("users", "namesakes"), [(0, 5), (1, 5), (5, 9), (6, 3)])
def test_at_most_half_of_the_users_are_namesakes(users: int, namesakes: int) -> None:
    """The number of users stays as requested."""
    population = generated(users=users, namesakes=namesakes, turnover=3)
    for at in (START, START + 7 * HOUR):
        assert len(all_users(population, at)) == users
    assert len(population.names()) == users - users // 2


def test_the_users_of_the_first_domain_are_the_same_with_and_without_namesakes() -> None:
    """A namesake changes nothing about the other user's name and id."""
    alone = {user.id: user.user_name for user in all_users(generated(), START)}
    beside = {user.id: user.user_name for user in all_users(generated(namesakes=5), START)}
    assert sorted(set(alone.items()) - set(beside.items()), key=str) != []
    assert len(set(alone.items()) & set(beside.items())) == 45


def test_users_differ_in_everything_that_can_be_filtered() -> None:
    """Groups, platforms, enterprise projects, kinds of activation and descriptions all occur."""
    users = all_users(generated(), START)
    assert {group for user in users for group in user.group_names or ()} == {
        *("DomainUsers", "Finance", "Engineering", "Sales")
    }
    assert {user.platform_type for user in users} == {"AD", "LOCAL", "UOS"}
    assert len({user.enterprise_project_id for user in users}) == 2
    assert {user.active_type for user in users} == {"USER_ACTIVATE", "ADMIN_ACTIVATE"}
    assert len({bool(user.description) for user in users}) == 2


def test_an_incident_takes_the_servers_of_its_group_away() -> None:
    """The servers in service are shut off and not registered during the incident, and only then."""
    population = generated(script=Script(at=HOUR, duration=900))

    def lost(at: float) -> list[tuple[object, object]]:
        return [(s.server_group_name, s.vm_status) for s in population.servers(at) if s.status == "UNREGISTER"]

    assert lost(START + HOUR - 1) == lost(START + HOUR + 900) == []
    assert lost(START + HOUR) == lost(START + HOUR + 899) == [("server-group-1", "SHUTOFF")] * 5
    assert population.groups_without_servers(START + HOUR) == ["server-group-1"]
    assert population.groups_without_servers(START + HOUR + 900) == []


def test_no_session_runs_on_a_server_that_takes_none() -> None:
    """Neither servers in maintenance nor frozen ones have sessions, and lost ones have no active session."""
    population = generated(users=500, script=Script(at=HOUR, duration=900))
    for at in (START, START + HOUR + 1, START + HOUR + 600, START + 3 * HOUR):
        servers = {server.machine_name: server for server in population.servers(at)}
        assert all(s.session_count == 0 for s in servers.values() if s.status in {"MAINTAINING", "FREEZE"})
        active = [s for s in all_sessions(population, at) if s.session_state == "Active"]
        assert active
        assert {servers[session.machine_name].status for session in active} == {"REGISTERED"}


def test_sessions_that_do_not_fail_in_an_incident_start_at_the_next_group() -> None:
    """Every failure there is for want of a server. The others name the group without servers as their primary one."""
    population = generated(users=500, script=Script(at=HOUR, duration=900))
    begin = START + HOUR
    (group, other, *_) = population.server_groups(begin)
    sessions = all_sessions(population, begin + 890)
    begun = [s for s in sessions if s.primary_server_group_id == group.id and timestamp(s.start_time) >= begin]
    over = [s for s in begun if s.secondary_server_group_id]
    assert {s.failed_code for s in begun if s.session_state == "InitFail"} == {"WKS.00220207"}
    assert 0 < len(over) < len(begun) / 4
    assert {s.app_server_group_id for s in over} == {s.secondary_server_group_id for s in over} == {other.id}


@pytest.mark.parametrize("turnover", [0, 30])
def test_attempts_are_what_a_client_sees_that_queries_all_the_time(turnover: int) -> None:
    """Starts, failures and their fields are those of all listings, and each session is listed as long as stated."""
    population = generated(users=80, script=Script(at=HOUR), turnover=turnover)
    begin, end = START, START + 3 * HOUR
    started: dict[str, SessionInfo] = {}
    failed: dict[str, SessionInfo] = {}
    attempts = population.attempts(begin, end)
    before = {str(session.id) for session in all_sessions(population, begin - 5)}
    for at in range(int(begin), int(end), 5):
        sessions = {str(session.id): session for session in all_sessions(population, at)}
        started |= {ident: session for ident, session in sessions.items() if ident not in before}
        failed |= {ident: session for ident, session in sessions.items() if session.session_state == "InitFail"}
        assert {a.id for a in attempts if a.visible(at)} <= sessions.keys()
    # the truth has what begins after the last look, and what is gone before the next
    truth = {a.id: a for a in attempts if begin <= a.started < end - 5 and a.removed > a.started + 5}
    assert {i for i in started if i not in truth} <= {a.id for a in attempts}
    assert truth.keys() <= started.keys()
    for ident, attempt in truth.items():
        shown = started[ident]
        assert shown.login_user == f"{attempt.user_name}@{attempt.domain}"
        assert (shown.app_server_group_id, shown.client_version) == (attempt.server_group_id, attempt.client_version)
        assert 0 <= attempt.started - timestamp(shown.start_time) < 1
    failures = {a.id: a for a in attempts if a.failed and begin <= a.failed < end - 5 and a.removed > a.failed + 5}
    assert failures
    for ident, attempt in failures.items():
        assert attempt.failed
        assert failed[ident].failed_code == attempt.failed_code
        assert 0 <= attempt.failed - timestamp(failed[ident].last_update_status_time) < 1
    assert {i for i in failed if i not in before} <= {a.id for a in attempts if a.failed}


def test_office_hours_repeat_every_ten_minutes_at_speed_60() -> None:
    """A work day takes ten minutes, and no moment is left out, so both conversions agree."""
    timeline = OfficeHours(START, 60)
    times = [timeline.simulated(START + seconds) for seconds in range(7200)]
    assert all(0 < after - before <= 63 * 3600 / 30 for before, after in pairwise(times))
    assert [timeline.clock(time) - START for time in times] == pytest.approx(range(7200), abs=1e-3)
    days = [(int(time // 86400) % 7, time % 86400 / 3600) for time in times[::600]]
    assert [day for day, _ in days] == [1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2]
    assert [hour for _, hour in days] == pytest.approx([10.5] * 12)


def test_a_script_can_repeat_on_every_work_day() -> None:
    """With office hours, an incident happens every ten minutes, each time at the next group."""
    script = Script(at=2 * HOUR, duration=1800, days=1000)
    population = generated(users=60, timeline=OfficeHours(START, 60), script=script)
    lost = {s: population.groups_without_servers(START + s) for s in range(5, 7200, 10)}
    times = [second for second, groups in lost.items() if groups]
    assert times == [600 * number + second for number in range(12) for second in (125, 135, 145)]
    assert len({tuple(lost[second]) for second in times}) == 3


def test_accounts_expire_in_real_time_at_any_speed() -> None:
    """Months ahead, some within 30 days, some in the past; only the announced expiry belongs to the simulated day."""
    users = all_users(generated(users=60, timeline=OfficeHours(START, 60)), START)
    days = [(int(str(user.account_expires)) / 1000 - START) / 86400 for user in users if user.account_expires]
    assert sum(day < 0 for day in days) >= 2
    assert sum(1 < day <= 30 for day in days) >= 2
    assert sum(day > 60 for day in days) > 20
    assert sum(0 <= day < 0.01 for day in days) >= 2


def test_entries_of_a_window_are_those_that_started_in_it() -> None:
    """Both ends of the window belong to it, and a later start than now is in none."""
    population = generated(users=300, turnover=20)
    now = START + HOUR
    everything = population.entries(now)
    begin, end = "2027-01-15 07:30:00", "2027-01-15 08:30:00"
    expected = {entry.id for entry in everything if begin <= entry.start_time <= end}
    assert {entry.id for entry in population.entries(now, begin, end)} == expected
    assert 0 < len(expected) < len(everything)
    one = everything[0].start_time
    assert {entry.start_time for entry in population.entries(now, one, one)} == {one}
