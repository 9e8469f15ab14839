"""ListSessions and ListUsers take a short way through many users, which must lead to the same answers."""

import json
from urllib.parse import quote

import pytest

from exporter.simulator import DEMO_PROJECT_ID, DEMO_TOKEN, Request, Simulator, SimulatorOptions, StaticPopulation
from exporter.simulator.office import Office
from exporter.simulator.operations import containing
from exporter.simulator.population import Listing, all_entries, all_sessions

START = 1_800_000_000.0
HOUR = 3600.0


@pytest.mark.parametrize("hours", [0, 0.1, 5, 10, 24, 29, 50])
def test_the_office_s_short_way_lists_what_its_users_have(hours: float) -> None:
    """Whatever was asked before, entries are the sessions of all users, record for record."""
    office = Office(5, 150, START)
    assert isinstance(office, Listing)
    for now in (START + 26 * HOUR, START + hours * HOUR):
        entries = {entry.id: entry for entry in all_entries(office, now)}
        sessions = {str(session.id): session for session in all_sessions(office, now)}
        assert sessions
        assert {ident: entry.record() for ident, entry in entries.items()} == sessions
        for ident, entry in entries.items():
            shown = sessions[ident]
            assert (entry.start_time, entry.session_state) == (shown.start_time, shown.session_state)


def test_pages_put_together_are_the_whole_listing_newest_first() -> None:
    """Nobody is left out or comes twice, and the order is that of the start."""
    simulator = Simulator(SimulatorOptions(users=150), clock=lambda: START)
    window = "query_begin_time=2020-01-01T00:00:00.000Z&query_end_time=2030-01-01T00:00:00.000Z"
    items = []
    for offset in range(0, 200, 30):
        target = f"/v1/{DEMO_PROJECT_ID}/session/list-sessions?{window}&limit=30&offset={offset}"
        items += json.loads(simulator.handle(Request("GET", target, {"X-Auth-Token": DEMO_TOKEN})).body)["items"]
    assert sorted(item["id"] for item in items) == sorted(str(session.id) for session in simulator.sessions())
    starts = [item["start_time"] for item in items]
    assert starts == sorted(starts, reverse=True)


@pytest.mark.parametrize("parts", [["ann"], ["a", "n"], ["hanna", "zoe"], ["a\nz"], ["annanna"], ["zoe", "zoe"], []])
def test_names_are_found_as_one_by_one(parts: list[str]) -> None:
    """A part is found anywhere in a name, in no two names together, and each name once, in order."""
    names = ["anna", "hanna", "zoe", "nan", "ann\u2028a", "a+b", "a"]
    assert list(containing(names, parts)) == [name for name in names if any(part in name for part in parts)]


def test_a_changed_static_population_is_listed_as_it_is_now() -> None:
    """Nothing is remembered of a population that may change at one time of the clock."""
    users: dict[str, object] = {}
    simulator = Simulator(clock=lambda: START, population=StaticPopulation(users))  # type: ignore[arg-type] # empty
    target = f"/v2/{DEMO_PROJECT_ID}/users?user_names={quote('a')}"
    request = Request("GET", target, {"X-Auth-Token": DEMO_TOKEN})
    assert json.loads(simulator.handle(request).body)["total_count"] == 0
    users["anna"] = None
    assert json.loads(simulator.handle(request).body)["total_count"] == 1
