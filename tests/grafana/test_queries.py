"""Every panel has data on a day with everything that the dashboards are there to show, and the data are right."""

from __future__ import annotations

import json
import math
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from dashboards.queries import appearances, increase
from support import simulated_day
from support.dashboards import NAMES, Query, fill, load, queries, used, variables
from support.exporters import get
from support.prometheus import prometheus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

END = simulated_day.END
FOREVER = "--storage.tsdb.retention.time=100y"

Series = list[dict[str, Any]]


@dataclass(frozen=True)
class Day:
    """A database with the day in it."""

    directory: Path
    program: str
    problems: set[simulated_day.Problem]

    def served(self) -> AbstractAsyncContextManager[str]:
        """The address of a Prometheus that has it."""
        return prometheus(self.program, self.directory, "", FOREVER)


@pytest.fixture(scope="module")
def day(tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Day:
    program, promtool = tool("prometheus"), tool("promtool")
    directory = tmp_path_factory.mktemp("day")
    problems = simulated_day.record(directory / "day.txt", simulated_day.LATE)
    blocks = [promtool, "tsdb", "create-blocks-from", "openmetrics", f"{directory}/day.txt", f"{directory}/data"]
    subprocess.run(blocks, check=True, capture_output=True)  # noqa: S603 - the program that the test found
    return Day(directory, program, problems)


async def ask(server: str, path: str, **parameters: object) -> Any:
    _, text, _ = await get(f"{server}/api/v1/{path}?{urlencode(parameters)}")
    answer = json.loads(text)
    assert answer["status"] == "success", f"{answer.get('error')}: {parameters}"
    return answer["data"]


async def run(server: str, query: Query, chosen: Mapping[str, str], at: float = END) -> Series:
    """What Grafana would get for a query at the end of the day, or at another time."""
    expression = query.filled(chosen)
    if query.step is None:
        result: Series = (await ask(server, "query", query=expression, time=at))["result"]
    else:
        begin = at - query.hours * 3600
        answer = await ask(server, "query_range", query=expression, start=begin, end=at, step=query.step)
        result = answer["result"]
    return result


def has_a_number(result: Series) -> bool:
    values = [value for series in result for _, value in series.get("values") or [series["value"]]]
    return any(math.isfinite(float(value)) for value in values)


async def values_of(server: str, variable: Mapping[str, Any], chosen: Mapping[str, str]) -> list[str]:
    """What there is to choose from for a variable."""
    match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
    assert match
    begin = simulated_day.LATE
    found: list[str] = await ask(
        server, f"label/{match[2]}/values", **{"match[]": fill(match[1], chosen)}, start=begin, end=END
    )
    return found


def escaped(value: str) -> str:
    """A value as Grafana's Prometheus data source puts it into a regular expression within quotes."""
    return re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", value)


async def all_of(server: str, name: str) -> dict[str, str]:
    """What Grafana fills in for the variables of a dashboard while everything is chosen."""
    chosen: dict[str, str] = {}
    for variable in variables(load(name)).values():
        if variable["type"] == "textbox":
            chosen[variable["name"]] = variable["query"]
        elif variable["type"] == "query":
            values = await values_of(server, variable, chosen)
            assert values, variable["name"]
            chosen[variable["name"]] = variable.get("allValue") or f"({'|'.join(map(escaped, values))})"
    return chosen


MOMENTS = [END, *map(simulated_day.at, ("14:30", "13:00", "13:14"))]
"""Amid an incident, when all is well, while an exporter is down, and when it has just come back."""

RARE = {
    "wall.json: Locked users A",
    "wall.json: Failing users B",
    "wall.json: Coverage A",
    "wall.json: Failing server groups A",
    "sessions.json: Failing users B",
    "sessions.json: Coverage A",
    "sessions.json: Stuck and abandoned A",
    "wall.json: Firing alerts D",
    "users.json: Locked A",
    "users.json: Unknown to the cloud A",
    "users.json: Expired A",
    "exporter.json: Projects E",
    "exporter.json: Failed requests per minute, by code B",
}
"""What does not happen on this day: many users are locked, or have no fresh answer; a group loses its servers; sessions
hang; metrics about users are off; Prometheus has no rules; there is a day before; users are discovered; no request has
ever failed."""


@pytest.mark.parametrize("name", NAMES)
async def test_every_query_of_every_panel_has_data(name: str, day: Day) -> None:
    async with day.served() as server:
        chosen = await all_of(server, name)
        missing = {query.where: query for query in queries(name) if query.where not in RARE}
        for at in MOMENTS:
            found = [where for where, query in missing.items() if has_a_number(await run(server, query, chosen, at))]
            for where in found:
                del missing[where]
    assert list(missing) == []


@pytest.mark.parametrize("name", NAMES)
async def test_every_query_keeps_to_the_chosen_project(name: str, day: Day) -> None:
    async with day.served() as server:
        chosen = {**await all_of(server, name), "project": "paris"}
        for query in queries(name):
            if "$project" in query.expression:
                found = {series["metric"].get("project", "paris") for series in await run(server, query, chosen)}
                assert found <= {"paris"}, query.where
        assert "project" in used("".join(query.expression for query in queries(name)))


async def test_what_there_is_to_choose_from(day: Day) -> None:
    exporters = variables(load("exporter.json"))
    sessions = variables(load("sessions.json"))
    async with day.served() as server:
        assert await values_of(server, sessions["project"], {}) == ["berlin", "lisbon", "paris"]
        versions = await values_of(server, sessions["client_version"], {"project": ".*"})
        instances = await values_of(server, exporters["instance"], {"exporter_version": ".*"})
    assert len(versions) > 1, "a rollout is under way"
    assert instances == [f"exporter-{number}:10099" for number in range(4)]


async def test_the_help_desk_s_table_names_exactly_those_with_something_wrong(day: Day) -> None:
    (table,) = (query for query in queries("users.json") if "Users with a problem" in query.where)
    async with day.served() as server:
        chosen = await all_of(server, "users.json")
        found = [series["metric"] for series in await run(server, table, chosen)]
        searched = await run(server, table, {**chosen, "user": "STRANG"})
    assert {(user["project"], user["user_name"], user["problem"]) for user in found} == day.problems
    assert {problem for _, _, problem in day.problems} == {
        "missing", "locked", "disabled", "expired", "soon", "failed"
    }  # fmt: skip
    assert {series["metric"]["user_name"] for series in searched} == {simulated_day.STRANGER}


async def test_the_first_failure_of_a_user_counts(day: Day) -> None:
    """The series of a user begins with the first failure, which increase() alone would not see."""
    expressions = {
        "all": increase("session_init_failures_total", window="30m"),
        "by user": f"sum ({appearances('session_init_failures_by_user_total', 'user_name', '30m')})",
        "plainly": increase("session_init_failures_by_user_total", window="30m"),
    }
    async with day.served() as server:
        counted = {
            what: float(result[0]["value"][1])
            for what, expression in expressions.items()
            if (result := await run(server, Query(what, expression, 1, None), {"project": ".*"}))
        }
    assert counted["by user"] == pytest.approx(counted["all"], abs=1)
    assert counted["plainly"] < 0.8 * counted["all"]


async def test_a_replaced_exporter_does_not_double_its_project(day: Day) -> None:
    """Both are known for a while; gauges count once."""
    (users,) = (
        query for query in queries("users.json") if "Watched users" in query.where and query.where.endswith(" A")
    )
    replaced = simulated_day.REPLACED
    configured = sum(watched.users + 1 for watched in simulated_day.PROJECTS.values())
    async with day.served() as server:
        around = {"query": users.filled({"project": ".*"}), "start": replaced - 600, "end": replaced + 600, "step": 30}
        (series,) = (await ask(server, "query_range", **around))["result"]
    assert {float(value) for _, value in series["values"]} == {configured}


async def test_the_oldest_version_is_so_by_its_numbers(day: Day) -> None:
    """24.9 is older than 24.10, though it comes after it as a text."""
    (oldest,) = (query for query in queries("sessions.json") if "Client versions A" in query.where)
    versions = ["24.10.2", "24.9.13.5", "9.1", "24.9.2-beta", "24.10"]
    metric = re.escape("huaweicloud_workspace_sessions_by_version")
    async with day.served() as server:
        chosen = await all_of(server, "sessions.json")
        inner = " or ".join(f'label_replace(vector(1), "client_version", "{version}", "", "")' for version in versions)
        expression = re.sub(
            rf"sum by \(client_version\) \(max by .*?{metric}.*?\)\)", f"({inner})", oldest.filled(chosen)
        )
        result = (await ask(server, "query", query=expression, time=END))["result"]
    ordered = sorted((series["metric"]["order"], series["metric"]["client_version"]) for series in result)
    assert [version for _, version in ordered] == ["9.1", "24.9.2-beta", "24.9.13.5", "24.10", "24.10.2"]
