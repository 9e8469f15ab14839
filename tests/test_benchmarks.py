"""Each benchmark runs at a tiny size and yields its figures. What they come to, no test looks at."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from benchmarks import calls, client, command, detection, footprint, freshness, growth, scrape, start, starts
from benchmarks.crowd import Crowd, Failure, user_id, user_name
from benchmarks.figures import Figure, table
from benchmarks.interleaved import medians
from benchmarks.plan import Plan

from exporter.simulator import Simulator, SimulatorOptions
from exporter.simulator.population import all_sessions

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.plan import Tell

TINY = Plan(
    users=(20,),
    fleets=(20,),
    samples=(60,),
    rounds=1,
    calls=20,
    changes_for=120.0,
    days=0.04,
    detected_for=8.0,
    scrapes=4,
    turns=1,
    starts=1,
    seconds=0.2,
    doubled=(10, 20),
)


def whats(found: list[Figure]) -> set[str]:
    return {figure.what for figure in found}


def test_calls_of_a_refresh_are_those_that_the_simulator_counts() -> None:
    """Users are queried one by one, after a lookup of their ids. The SDK needs one request per user and operation."""
    found = {figure.what: figure.value for figure in calls.run(TINY, print)}
    assert 45 <= found["per_user"] <= 49, "with the scans and listings that belong to no user"
    assert found["one a user and operation / per_user"] == pytest.approx(40 / found["per_user"])


def test_freshness_is_at_most_an_interval_and_a_publish_with_few_users() -> None:
    """Every failure is seen, no call is refused."""
    found = {figure.what: figure.value for figure in freshness.run(TINY, print) if figure.what.startswith("per_user")}
    assert found["per_user: calls refused with 429"] == 0
    assert 0 < found["per_user: InitFail to /metrics, p50"] < found["per_user: InitFail to /metrics, max"] < 65
    assert "per_user: failures never seen" not in found


def test_all_starts_are_counted() -> None:
    """All starts and failures are counted, with faults and without."""
    found = {figure.what: figure.value for figure in starts.run(TINY, print)}
    assert {value for what, value in found.items() if what.endswith("counted")} == {100.0}
    assert sum("true starts" in what for what in found) == len(starts.FAULTS)


def test_detection_counts_requests_by_scan() -> None:
    """Scans send their requests, and none is rejected."""
    found = {figure.what: figure.value for figure in detection.run(TINY, print)}
    assert found["requests rejected with 429"] == 0
    assert found["per_user all: InitFail to /metrics: failures never seen"] == 0
    assert found["ListSessions, failures"] > 0


def test_the_client_is_compared_with_aiohttp_the_sdk_and_the_floor() -> None:
    """Each contender's time is there, and each ratio."""
    found = {figure.what: figure for figure in client.run(TINY, print)}
    for contender in ("raw HTTP over asyncio streams", "bare aiohttp", "exporter, token", "exporter, signed"):
        assert 1 < found[f"http: {contender}"].value < 1e6
    assert found["http: exporter, signed / official SDK"].at_most == client.MOST_OF_SDK


def test_scrapes_are_compared_with_prometheus_client_while_both_poll() -> None:
    """Both are scraped, compressed and not, and have about as many samples."""
    found = {figure.what: figure.value for figure in scrape.run(TINY, print)}
    lengths = [found[f"identity, {name}: length"] for name in ("exporter", "prometheus_client")]
    assert min(lengths) > 0.3 * max(lengths)
    assert found["gzip, exporter: length"] < found["identity, exporter: length"]
    assert "gzip: p99 of first byte, exporter / prometheus_client" in found
    assert found["publish, all users changed / nothing changed"] > 0


def test_the_footprint_is_that_of_a_process_of_its_own() -> None:
    """Memory, processor time and stalls are there for both kinds of metrics."""
    found = {figure.what: figure.value for figure in footprint.run(TINY, print)}
    for per_user in ("none", "all"):
        assert 10 < found[f"per_user {per_user}: resident memory"] < 1000
        assert found[f"per_user {per_user}: calls a second at full speed"] > 1
        assert found[f"per_user {per_user}: longest stall of the loop at full speed"] > 0


def test_the_start_is_timed_to_the_listening_socket() -> None:
    """It takes longer than the interpreter alone, and the dearest imports are named."""
    found = {figure.what: figure.value for figure in start.run(TINY, print)}
    assert found["the interpreter alone"] < found["from exec to listening"]
    assert any(what.startswith("import of aiohttp") for what in found)


def test_growth_is_a_ratio_of_every_figure_with_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure that grows in proportion to the users has 2."""

    def measured(plan: Plan, _: object) -> list[Figure]:
        return [Figure("calls", "calls", 3.0 * users, "", users) for users in plan.users]

    for benchmark in (calls, freshness, scrape, footprint):
        monkeypatch.setattr(benchmark, "run", measured)
    found = list(growth.run(TINY, print))
    assert len(found) == 4
    assert {figure.value for figure in found} == {2.0}


def test_a_benchmark_that_fails_keeps_what_it_found_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The command reports only: it ends with 0, and table and JSON have what there was."""

    def failing(_: Plan, tell: Tell) -> list[Figure]:
        tell("on the way")
        raise OSError("no such thing")

    def one(_: Plan, __: Tell) -> list[Figure]:
        return [Figure("start", "all of it", 700.0, "ms", at_most=600.0)]

    monkeypatch.setattr(calls, "run", failing)
    monkeypatch.setattr(start, "run", one)
    assert command.main(["calls", "start", "--quick", "--json", str(tmp_path / "figures.json")]) == 0
    said = capsys.readouterr().out
    assert "calls: on the way" in said
    assert "calls: FAILED: OSError: no such thing" in said
    assert "cores: " in said
    report = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert [(figure["what"], figure["met"]) for figure in report["figures"]] == [("all of it", False)]
    assert report["machine"]["python"].startswith("CPython")


def test_alternatives_take_turns_and_the_first_turn_does_not_count() -> None:
    """A B A B …, and the median of what was measured."""
    turns: list[str] = []
    values = {"a": iter([9.0, 1.0, 5.0, 3.0]), "b": iter([9.0, 2.0, 2.0, 8.0])}

    def turn(name: str) -> float:
        turns.append(name)
        return next(values[name])

    assert medians({"a": lambda: turn("a"), "b": lambda: turn("b")}, 3, print) == {"a": 3.0, "b": 2.0}
    assert turns == ["a", "b"] * 4


def test_a_table_says_what_is_met_and_what_is_not() -> None:
    """A line a figure, with its target in the same unit."""
    figures = [
        Figure("x", "fast", 5.0, "ms", 100, at_most=10.0),
        Figure("x", "rare", 12.0, "", at_least=300.0),
        Figure("x", "plain", 0.12345, "s"),
    ]
    lines = [line.split() for line in table(figures).splitlines()[2:]]
    assert lines == [
        ["x", "100", "users,", "fast", "5", "ms", "≤", "10", "ms", "yes"],
        ["x", "rare", "12", "≥", "300", "NO"],
        ["x", "plain", "0.123", "s"],
    ]


@pytest.mark.parametrize(("users", "sessions"), [(10, 3), (10, 20), (7, 7), (30, 9)])
def test_a_crowd_is_the_same_user_by_user_and_listed(users: int, sessions: int) -> None:
    """As many sessions as queried for, whichever way they are counted, and failures at their times."""
    failures = [Failure(1_000.0, 1, "WKS.1"), Failure(2_000.0, 1, "WKS.2")]
    crowd = Crowd(users, sessions, 500.0, failures)
    for now, failed in ((600.0, 0), (985.0, 0), (1_000.0, 1), (2_000.0, 2)):
        one_by_one = {str(session.id): session for session in all_sessions(crowd, now)}
        listed = {entry.id: entry.record() for entry in crowd.entries(now)}
        assert one_by_one == listed
        assert sum(session.session_state == "InitFail" for session in listed.values()) == failed
        assert len([ident for ident in listed if not ident.startswith("f")]) == sessions
    starts = [entry.start_time for entry in crowd.entries(3_000.0)]
    assert starts == sorted(starts, reverse=True)
    truth = Simulator(SimulatorOptions(), population=crowd).users()
    assert [(user.user_name, user.id) for user in truth] == [(user_name(n), user_id(n)) for n in range(users)]
    assert [crowd.user(user_id(number), 0.0) for number in (0, users)] == [truth[0], None]
    assert [crowd.knows(name, 0.0) for name in (user_name(0), user_name(users), "stranger")] == [True, False, False]
