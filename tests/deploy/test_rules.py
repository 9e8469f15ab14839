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
    rules,
    scaled,
    tried,
    write,
)
from support.readme import with_tables
from support.rule_scenes import Scene, needed, scenes

import exporter
from exporter.metrics.exposition import PREFIX
from exporter.metrics.families import DESCRIPTIONS, LATENCY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ALERTS = list(rules("alert"))
RECORDS = list(rules("record"))
NAMES = sorted({alert["alert"] for alert in ALERTS})
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK.read_text("utf-8"), re.DOTALL | re.MULTILINE))
PARTS = ("Means", "Affected", "Check", "Do", "Ends")
QUERIES = re.findall(r"```promql\n(.*?)```", RUNBOOK.read_text("utf-8"), re.DOTALL)

METRICS = {description.full_name for description in DESCRIPTIONS} | {
    LATENCY.full_name + suffix for suffix in ("_bucket", "_count", "_sum")
}


async def test_prometheus_takes_the_configuration_and_the_rules(tool: Callable[[str], str]) -> None:
    code, text = await said(
        tool("promtool"), "check", "config", "--lint=all", "--lint-fatal", str(PROMETHEUS / "prometheus.yml")
    )
    assert (code, text.count("rules found")) == (0, len(RULES)), text


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
    for scene in ("a restart of the exporter", "a project added", "one bad poll", "a user who fails alone", "no data"):
        assert sorted(each.alert for each in scenes if each.scene == scene and not each.fires) == NAMES


def test_the_runbook_lists_what_is_tried() -> None:
    """Run `make readme` where this fails."""
    assert with_tables(RUNBOOK.read_text("utf-8"), RUNBOOK.name) == RUNBOOK.read_text("utf-8")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_each_alert_says_how_grave_it_is_what_happens_with_numbers_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["labels"]["area"] in {"sessions", "users", "exporter"}
    annotations = alert["annotations"]
    assert annotations.keys() == {"summary", "description", "runbook_url"}
    assert "\n" not in annotations["summary"]
    assert re.search(r"\$value|\| value|\d", annotations["description"])
    assert (
        annotations["runbook_url"] == f"{{{{ $externalLabels.repository }}}}deploy/RUNBOOK.md#{alert['alert'].lower()}"
    )
    assert alert["alert"] in SECTIONS


def test_the_runbook_has_a_whole_section_for_each_alert_and_for_no_other() -> None:
    assert sorted(name for name in SECTIONS if name.startswith("Workspace")) == NAMES
    for name in NAMES:
        assert re.findall(r"^\*\*(\w+)\.\*\* ", SECTIONS[name], re.MULTILINE) == list(PARTS), name


def test_the_readme_names_each_alert() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert sorted(set(re.findall(r"`(Workspace\w+)`", readme))) == NAMES


def expressions() -> Iterator[str]:
    """Every expression of the rules, those in the words of the alerts included, and every query of the runbook."""
    for rule in (*ALERTS, *RECORDS):
        yield rule["expr"]
        yield from re.findall(r"printf \"(.*?[^\\])\"", rule.get("annotations", {}).get("description", ""))
    yield from QUERIES


def test_every_metric_in_an_expression_is_the_exporter_s_or_a_rule_s() -> None:
    known = METRICS | {record["record"] for record in RECORDS}
    used = {name for text in expressions() for name in re.findall(rf"[a-z_]*:?\b{PREFIX}[\w:]+", text)}
    assert used - known == set()
    assert {record["record"] for record in RECORDS} <= used


def test_every_recorded_name_is_level_metric_and_operations() -> None:
    """The level names labels that are there, beside the job that an instance has."""
    for record in RECORDS:
        level, metric, operation = record["record"].split(":")
        assert metric.startswith(PREFIX)
        assert re.fullmatch(r"[a-z0-9_]+", operation)
        assert re.fullmatch(
            r"(instance_)?project(_(session_state|failed_code|app_server_group_id|operation|component_version))?", level
        ), level


async def test_prometheus_understands_every_query_of_the_runbook(tool: Callable[[str], str], tmp_path: Path) -> None:
    queries = [{"record": f"runbook_{number}", "expr": query} for number, query in enumerate(QUERIES)]
    write(tmp_path / "queries.yml", {"groups": [{"name": "runbook", "rules": queries}]})
    code, text = await said(tool("promtool"), "check", "rules", str(tmp_path / "queries.yml"))
    assert (code, len(queries) > len(NAMES)) == (0, True), text


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
