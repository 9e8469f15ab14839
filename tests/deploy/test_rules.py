"""The rules are what Prometheus takes, do what their tests say, and lead to the runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.commands import said
from support.deployment import (
    PROMETHEUS,
    ROOT,
    RULES,
    RUNBOOK,
    document,
    milliseconds,
    rules,
    scaled,
    tried,
    write,
)
from support.links import grafana, repository
from support.readme import with_tables
from support.rule_scenes import Scene, needed, scenes

import exporter
from exporter.fleet.spike import SHARE, WINDOW, minimum_users
from exporter.metrics.exposition import PREFIX
from exporter.metrics.families import DESCRIPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ALERTS = list(rules("alert"))
RECORDS = list(rules("record"))
NAMES = sorted({alert["alert"] for alert in ALERTS})
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK.read_text("utf-8"), re.DOTALL | re.MULTILINE))
QUIET = (
    "a restart of the exporter",
    "a reload",
    "a project added",
    "a thousand users discovered",
    "one bad poll",
    "a user who fails alone",
    "no data",
)
"""Scenes in which no alert may fire."""
PARTS = ("Meaning", "Check", "Fix", "Resolves")
QUERIES = re.findall(r"`([^`]*\{(?:project|job)=[^`]*)`", RUNBOOK.read_text("utf-8"))

METRICS = {description.full_name for description in DESCRIPTIONS} | {
    description.full_name + suffix
    for description in DESCRIPTIONS
    if description.kind == "histogram"
    for suffix in ("_bucket", "_count", "_sum")
}


async def test_prometheus_takes_the_configuration_and_the_rules(tool: Callable[[str], str]) -> None:
    code, text = await said(
        tool("promtool"), "check", "config", "--lint=all", "--lint-fatal", str(PROMETHEUS / "prometheus.yml")
    )
    assert (code, text.count("rules found")) == (0, len(RULES)), text


def test_no_line_of_the_rules_is_wider_than_a_screen_except_for_the_addresses_of_the_runbook() -> None:
    lines = [line for path in RULES for line in path.read_text("utf-8").splitlines()]
    assert [line for line in lines if len(line) > 120 and not re.match(r" +runbook_url: \S+$", line)] == []


@pytest.mark.parametrize("scene", scenes(), ids=lambda scene: scene.name)
async def test_each_alert_fires_in_time_with_its_words_or_stays_silent(
    tool: Callable[[str], str], tmp_path: Path, scene: Scene
) -> None:
    code, text = await said(tool("promtool"), "test", "rules", str(scene.write(tmp_path)))
    assert code == 0, text


def test_a_scene_is_tried_with_all_rules_that_its_alerts_depend_on_and_no_others() -> None:
    rules: dict[str, Any] = {
        "groups": [
            {
                "name": "all",
                "rules": [
                    {"record": "level:a:sum", "expr": "sum(a)"},
                    {"record": "level:b:sum", "expr": "sum(b) > level:a:sum"},
                    {"record": "level:c:sum", "expr": "sum(c)"},
                    {"alert": "Wanted", "expr": "d > 1", "annotations": {"description": "level:b:sum{project=%q}"}},
                    {"alert": "Other", "expr": "level:c:sum"},
                ],
            },
            {"name": "none", "rules": [{"record": "level:e:sum", "expr": "sum(e)"}]},
        ]
    }
    (kept,) = needed([rules], {"Wanted"})
    assert kept == {"groups": [{"name": "all", "rules": [rules["groups"][0]["rules"][n] for n in (0, 1, 3)]}]}


def test_each_alert_is_tried_to_fire_and_to_stay_silent() -> None:
    scenes = list(tried())
    assert sorted({scene.alert for scene in scenes if scene.fires}) == NAMES
    assert sorted({scene.alert for scene in scenes if not scene.fires}) == NAMES
    for scene in QUIET:
        assert sorted(each.alert for each in scenes if each.scene == scene and not each.fires) == NAMES


@pytest.mark.parametrize("document", [RUNBOOK, PROMETHEUS / "tests/SCENES.md"], ids=lambda document: document.name)
def test_the_alerts_and_their_scenes_are_listed(document: Path) -> None:
    """Run `make readme` where this fails."""
    assert with_tables(document.read_text("utf-8"), document.name) == document.read_text("utf-8")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_each_alert_says_how_grave_it_is_what_happens_with_numbers_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    annotations = alert["annotations"]
    assert annotations.keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    assert "\n" not in annotations["summary"]
    assert re.search(r"\$value|\| value|\d", annotations["description"])
    assert annotations["runbook_url"] == f"{repository().address}/blob/main/deploy/RUNBOOK.md#{alert['alert'].lower()}"
    assert annotations["dashboard_url"].startswith(f"{grafana()}/d/huaweicloud-workspace-{alert['labels']['area']}?")
    assert alert["labels"]["area"] in {"sessions", "users", "exporter"}
    assert alert["alert"] in SECTIONS


def test_the_runbook_has_a_whole_section_for_each_alert_and_for_no_other() -> None:
    assert sorted(name for name in SECTIONS if name.startswith("Workspace")) == NAMES
    for name in NAMES:
        assert re.findall(r"^- \*\*(\w+):\*\*\s", SECTIONS[name], re.MULTILINE) == list(PARTS), name


def test_the_guide_names_each_alert() -> None:
    readme = (ROOT / "deploy/README.md").read_text("utf-8")
    assert sorted(set(re.findall(r"`(Workspace\w+)`", readme))) == NAMES


def expressions() -> Iterator[str]:
    """Every expression of the rules, those in the words of the alerts included, and every query of the runbook."""
    for rule in (*ALERTS, *RECORDS):
        yield rule["expr"]
        yield from re.findall(r"(?:printf|:=) \"(.*?[^\\])\"", rule.get("annotations", {}).get("description", ""))
    yield from QUERIES


def test_every_metric_in_an_expression_is_the_exporter_s_or_a_rule_s() -> None:
    known = METRICS | {record["record"] for record in RECORDS}
    used = {name for text in expressions() for name in re.findall(rf"[a-z_]+:\w+:\w+|\b{PREFIX}\w+", text)}
    assert used - known == set()
    assert {record["record"] for record in RECORDS} <= used


def test_every_recorded_name_is_level_metric_and_operations() -> None:
    """The level names labels that are there, beside the job that an instance has."""
    for record in RECORDS:
        level, metric, operation = record["record"].split(":")
        assert metric.startswith((PREFIX, "workspace_"))
        assert re.fullmatch(r"[a-z0-9_]+", operation)
        assert re.fullmatch(
            r"(instance_)?project(_(failed_code|app_server_group_id|operation|user_name|version))?", level
        ), level


def looks_back(expression: str) -> list[int]:
    """Return how far back, in milliseconds, each selector of an expression looks: its range and its offset."""
    selectors = re.findall(r"(?:\[([\da-z]+)(?::\w+)?\])?(?:\)*)(?: offset ([\da-z]+))?", expression)
    return [milliseconds(span) + milliseconds(offset) for span, offset in selectors if span or offset]


def test_only_the_error_budget_looks_back_more_than_three_days() -> None:
    assert looks_back("a[5m] + b offset 1d2h - max_over_time(c[2h:1m] offset 2d)") == [300_000, 93_600_000, 180_000_000]
    assert {rule["record"] for rule in RECORDS if max(looks_back(rule["expr"]), default=0) > 3 * 86_400_000} == {
        "project:huaweicloud_workspace_session_init_failures_per_session_starts:ratio_rate30d"
    }
    assert max(span for rule in ALERTS for span in looks_back(rule["expr"])) <= 3 * 86_400_000


async def test_the_spike_s_rule_and_code_agree_on_the_minimum_share_and_window(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    (spike,) = (alert for alert in ALERTS if alert["alert"] == "WorkspaceInitFailSpike")
    share = re.search(r"ratio_rate(\w+), 1e-6\) >= ([\d.]+)", spike["expr"])
    assert share
    assert (milliseconds(share[1]), float(share[2])) == (WINDOW * 1000, SHARE)
    assert f"count{share[1]} >= project:workspace_failing_users:minimum" in spike["expr"]
    fleets = [1, 2, 3, 4, 60, 225, 226, 900, 2499, 2500, 3000, 10_000, 100_000]
    write(
        tmp_path / "rules.yml",
        needed([document(path) for path in RULES], {"project:workspace_failing_users:minimum"})[1],
    )
    test = {
        "input_series": [
            {"series": f'huaweicloud_workspace_users{{project="{users}"}}', "values": str(users)} for users in fleets
        ],
        "promql_expr_test": [
            {
                "expr": f'round(project:workspace_failing_users:minimum{{project="{users}"}}, 1e-6)',
                "eval_time": "0m",
                "exp_samples": [{"labels": f'{{project="{users}"}}', "value": round(minimum_users(users), 6)}],
            }
            for users in fleets
        ],
    }
    write(tmp_path / "test.yml", {"rule_files": ["rules.yml"], "tests": [test]})
    code, text = await said(tool("promtool"), "test", "rules", str(tmp_path / "test.yml"))
    assert code == 0, text


async def test_one_line_changes_the_objective_of_a_project(tool: Callable[[str], str], tmp_path: Path) -> None:
    name = "project:huaweicloud_workspace_session_start_objective:ratio"
    (objective,) = (record["expr"] for record in RECORDS if record["record"] == name)
    changed = {"groups": [{"name": "objective", "rules": [{"record": name, "expr": objective.replace("# ", "", 1)}]}]}
    write(tmp_path / "rules.yml", changed)
    series = [
        {"series": f'huaweicloud_workspace_session_starts_total{{project="{project}"}}', "values": "1"}
        for project in ("berlin", "paris")
    ]
    samples = [
        {"labels": f'{name}{{project="{project}"}}', "value": value}
        for project, value in (("berlin", 0.995), ("paris", 0.99))
    ]
    look = {"expr": name, "eval_time": "0m", "exp_samples": samples}
    test = {"rule_files": ["rules.yml"], "tests": [{"input_series": series, "promql_expr_test": [look]}]}
    write(tmp_path / "test.yml", test)
    code, text = await said(tool("promtool"), "test", "rules", str(tmp_path / "test.yml"))
    assert code == 0, text


async def test_the_examples_for_slo_tools_have_queries_of_metrics_that_there_are(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    sloth, pyrra = (document(PROMETHEUS / "slo" / name) for name in ("sloth.yml", "pyrra.yml"))
    assert (sloth["version"], pyrra["apiVersion"]) == ("prometheus/v1", "pyrra.dev/v1alpha1")
    assert pyrra["kind"] == "ServiceLevelObjective"
    (slo,) = sloth["slos"]
    assert slo.keys() == {"name", "objective", "description", "sli", "alerting"}
    assert slo["alerting"].keys() == {"name", "labels", "annotations", "page_alert", "ticket_alert"}
    events, ratio = slo["sli"]["events"], pyrra["spec"]["indicator"]["ratio"]
    assert events.keys() == {"error_query", "total_query"}
    assert pyrra["spec"].keys() == {"target", "window", "description", "indicator"}
    assert (ratio.keys(), ratio["grouping"]) == ({"errors", "total", "grouping"}, ["project"])
    assert float(pyrra["spec"]["target"]) == slo["objective"] == 99
    queries = [query.replace("{{.window}}", "5m") for query in events.values()]
    queries += [ratio[part]["metric"] for part in ("errors", "total")]
    assert {name for query in queries for name in re.findall(rf"{PREFIX}\w+", query)} == {
        f"{PREFIX}session_init_failures_total",
        f"{PREFIX}session_starts_total",
    }
    rules = [{"record": f"slo_{number}", "expr": query} for number, query in enumerate(queries)]
    write(tmp_path / "queries.yml", {"groups": [{"name": "slo", "rules": rules}]})
    code, text = await said(tool("promtool"), "check", "rules", str(tmp_path / "queries.yml"))
    assert code == 0, text


async def test_prometheus_understands_every_query_of_the_runbook(tool: Callable[[str], str], tmp_path: Path) -> None:
    queries = [{"record": f"runbook_{number}", "expr": query} for number, query in enumerate(QUERIES)]
    write(tmp_path / "queries.yml", {"groups": [{"name": "runbook", "rules": queries}]})
    code, text = await said(tool("promtool"), "check", "rules", str(tmp_path / "queries.yml"))
    assert (code, len(queries) >= len(NAMES)) == (0, True), text


def test_every_event_of_the_log_that_the_runbook_names_is_one_that_the_code_writes() -> None:
    package = Path(exporter.__file__).parent
    code = "".join(path.read_text("utf-8") for path in package.rglob("*.py"))
    written = set(re.findall(r"\._?(?:debug|info|warning|error|exception|log_source)\(\s*\"(\w+)\"", code))
    named = set(re.findall(r"`([a-z]+_[a-z]+|reloaded|stopped)`", RUNBOOK.read_text("utf-8")))
    others = {"request_id", "no_credentials", "invalid_response", "connection_error", "tls_error"}
    assert {"requests_failing", "reload_rejected"} <= named - others <= written


def test_scaling_changes_timings_and_nothing_else() -> None:
    """The whole chain is tested with scaled rules: they have to be these."""
    timing = re.compile(r"(?<=\[)\w+(?=[\]:])|(?<=:)\w+(?=\])|(?<=offset )\w+")
    for path in RULES:
        before, after = document(path), scaled(document(path), 40)
        for old_group, new_group in zip(before["groups"], after["groups"], strict=True):
            for old, new in zip(old_group["rules"], new_group["rules"], strict=True):
                assert timing.sub("", old["expr"]) == timing.sub("", new["expr"])
                assert old.keys() == new.keys()
                assert len(timing.findall(old["expr"])) == len(re.findall(r"\b\d+ms\b", new["expr"]))
                assert old.get("labels") == new.get("labels")
    assert scaled({"for": "10m", "expr": "x[1h30m] offset 7d"}, 40) == {
        "for": "15000ms",
        "expr": "x[135000ms] offset 15120000ms",
    }
    assert scaled("sum(a:b:c)[1h:1m]", 40) == "sum(a:b:c)[90000ms:1500ms]"
