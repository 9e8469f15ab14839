"""ListSessions and ListUsers have fast paths for many users, which must return the same."""

import json
from urllib.parse import quote

import pytest

from exporter.simulator import (
    DEMO_PROJECT_ID,
    DEMO_TOKEN,
    Request,
    Simulator,
    SimulatorOptions,
    StaticPopulation,
    UserDetail,
)
from exporter.simulator.generated import GeneratedPopulation
from exporter.simulator.operations import containing
from exporter.simulator.population import all_sessions
from exporter.simulator.simulation import Timeline

START = 1_800_000_000.0
HOUR = 3600.0
USERS = f"/v2/{DEMO_PROJECT_ID}/users"


def named(*names: str) -> list[UserDetail]:
    return [UserDetail(user_name=name) for name in names]


def listing(simulator: Simulator, query: str) -> dict[str, object]:
    body = simulator.handle(Request("GET", f"{USERS}?{query}", {"X-Auth-Token": DEMO_TOKEN})).body
    answer: dict[str, object] = json.loads(body)
    return answer


@pytest.mark.parametrize("hours", [0, 0.1, 5, 10, 24, 29, 50])
@pytest.mark.parametrize("options", [{}, {"turnover": 7, "namesakes": 20}])
def test_entries_are_the_sessions_of_all_users(hours: float, options: dict[str, int]) -> None:
    """Entries are the sessions of all users, record for record, whatever was queried before."""
    population = GeneratedPopulation(5, 150, Timeline(START, 1.0), **options)  # type: ignore[arg-type] # the numbers among them
    for now in (START + 26 * HOUR, START + hours * HOUR):
        entries = {entry.id: entry for entry in population.entries(now)}
        sessions = {str(session.id): session for session in all_sessions(population, now)}
        assert sessions
        assert {ident: entry.record() for ident, entry in entries.items()} == sessions
        for ident, entry in entries.items():
            shown = sessions[ident]
            assert (entry.start_time, entry.session_state) == (shown.start_time, shown.session_state)


def test_all_pages_together_are_the_whole_listing_newest_first() -> None:
    """Each session is listed exactly once, ordered by its start."""
    simulator = Simulator(SimulatorOptions(users=150), clock=lambda: START)
    window = "query_begin_time=2020-01-01T00:00:00.000Z&query_end_time=2030-01-01T00:00:00.000Z"
    items = []
    for offset in range(0, 200, 30):
        target = f"/v1/{DEMO_PROJECT_ID}/session/list-sessions?{window}&limit=30&offset={offset}"
        items += json.loads(simulator.handle(Request("GET", target, {"X-Auth-Token": DEMO_TOKEN})).body)["items"]
    assert sorted(item["id"] for item in items) == sorted(str(session.id) for session in simulator.sessions())
    starts = [item["start_time"] for item in items]
    assert starts == sorted(starts, reverse=True)


@pytest.mark.parametrize(
    "parts", [["ann"], ["a", "n"], ["hanna", "zoe"], ["a\nz"], ["annanna"], ["zoe", "zoe"], ["HANN", "strasse"], []]
)
def test_names_are_found_by_their_parts(parts: list[str]) -> None:
    """A part matches anywhere in a name, in any case, but not across two names. Each user is found once, in order."""
    users = named("anna", "hanna", "zoe", "nan", "ann\u2028a", "a+b", "a", "Hanna", "Straße", "Anna", "anna")
    expected = [u for u in users if any(part.casefold() in str(u.user_name).casefold() for part in parts)]
    assert list(containing(users, parts)) == expected


def test_a_changed_static_population_is_listed_at_once() -> None:
    """Nothing is cached, because a static population may change while the clock stands still."""
    users: dict[str, UserDetail] = {}
    simulator = Simulator(clock=lambda: START, population=StaticPopulation(users))
    query = f"user_names={quote('a')}"
    assert listing(simulator, query)["total_count"] == 0
    users["anna"] = UserDetail(user_name="anna")
    assert listing(simulator, query)["total_count"] == 1
    del users["anna"]
    assert listing(simulator, query)["total_count"] == 0


@pytest.mark.parametrize(("query", "total"), [("", 20_000), ("&group_name=Sales", 6_666), ("&user_names=user", 20_000)])
def test_only_the_users_of_a_page_get_all_their_fields(query: str, total: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of 1,000 users out of 20,000 costs as much as one out of 1,000."""
    given: list[UserDetail] = []
    current = GeneratedPopulation.current

    def counted(population: GeneratedPopulation, user: UserDetail, now: float) -> UserDetail:
        given.append(user)
        return current(population, user, now)

    monkeypatch.setattr(GeneratedPopulation, "current", counted)
    simulator = Simulator(SimulatorOptions(users=20_000), clock=lambda: START)
    assert listing(simulator, f"limit=1000&offset=1000{query}")["total_count"] == total
    assert len(given) == 1000
