"""The rules and alerts in deploy/ as plain data, also with scaled timings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
ALERTMANAGER = ROOT / "deploy" / "alertmanager"
RUNBOOK = ROOT / "deploy" / "RUNBOOK.md"
RULES = tuple(sorted((PROMETHEUS / "rules").glob("*.yml")))
RULE_TESTS = tuple(sorted((PROMETHEUS / "tests").glob("*.yml")))

_FIRING = re.compile(r'ALERTS\{alertname="(\w+)", alertstate="firing"\}')
ANY_FIRING = 'ALERTS{alertstate="firing"}'
"""Part of a query that looks at all alerts at once."""
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"(\d+)(ms|[smhdw])")
_DURATION = r"(?:\d+(?:ms|[smhdw]))+"
_IN_EXPRESSIONS = re.compile(rf"(?<=\[){_DURATION}(?=[\]:])|(?<=:){_DURATION}(?=\])|(?<=offset ){_DURATION}")
_TIMINGS = frozenset(
    {"interval", "for", "keep_firing_for", "scrape_interval", "scrape_timeout", "evaluation_interval"}
    | {"group_wait", "group_interval", "repeat_interval"}
)


def document(path: Path) -> Any:
    """The YAML of a file, as plain data."""
    return YAML(typ="safe", pure=True).load(path)


def write(path: Path, value: Any) -> None:
    """Write plain data as YAML."""
    YAML(typ="safe", pure=True).dump(value, path)


def rules(kind: str) -> Iterator[dict[str, Any]]:
    """Every rule of a kind: ``alert`` or ``record``."""
    for path in RULES:
        for group in document(path)["groups"]:
            yield from (rule for rule in group["rules"] if kind in rule)


def scaled(value: Any, speed: float) -> Any:
    """The same configuration with all timings, and the ranges in all expressions, ``speed`` times as short."""
    match value:
        case dict():
            return {key: faster(text, speed) if key in _TIMINGS else scaled(text, speed) for key, text in value.items()}
        case list():
            return [scaled(each, speed) for each in value]
        case str():
            return _IN_EXPRESSIONS.sub(lambda found: faster(found[0], speed), value)
        case _:
            return value


def faster(duration: str, speed: float) -> str:
    """A Prometheus duration, ``speed`` times as short, at least a millisecond."""
    return f"{max(round(milliseconds(duration) / speed), 1)}ms"


def milliseconds(duration: str) -> int:
    """Return the milliseconds of a Prometheus duration."""
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(duration))


@dataclass(frozen=True)
class Tried:
    """A scene of the rule tests in which an alert is looked at."""

    alert: str
    scene: str
    fires: bool
    """Whether it fires at any of the times at which it is looked at."""


def tried() -> Iterator[Tried]:
    """Every alert in every scene in which it is looked at."""
    for path in RULE_TESTS:
        for scene in document(path)["tests"]:
            yield from tried_in(scene)


def tried_in(scene: dict[str, Any]) -> Iterator[Tried]:
    """Every alert that this scene looks at."""
    looks: dict[str, bool] = {}
    for look in scene.get("alert_rule_test", ()):
        looks[look["alertname"]] = looks.get(look["alertname"], False) or bool(look.get("exp_alerts"))
    for query in scene.get("promql_expr_test", ()):
        if query.get("exp_samples") and (found := _FIRING.search(query["expr"])):
            looks[found[1]] = True
        if ANY_FIRING in query["expr"] and not query.get("exp_samples"):
            looks |= {rule["alert"]: False for rule in rules("alert")}
    yield from (Tried(alert, scene["name"], fires) for alert, fires in looks.items())


def alerts_table() -> str:
    """Return a Markdown table of every alert and its severities."""
    severities: dict[str, list[str]] = {}
    for rule in rules("alert"):
        severities.setdefault(rule["alert"], []).append(rule["labels"]["severity"])
    rows = (f"| [{name}](#{name.lower()}) | {', '.join(each)} |\n" for name, each in severities.items())
    return "| alert | severity |\n|---|---|\n" + "".join(rows)


def tried_table() -> str:
    """Return a Markdown table of every alert: the scenes in which it fires, and in which it stays silent."""
    scenes = list(tried())
    names = dict.fromkeys(rule["alert"] for rule in rules("alert"))
    rows = (f"| {name} | {_scenes(scenes, name, True)} | {_scenes(scenes, name, False)} |\n" for name in names)
    return "| alert | fires | stays silent |\n|---|---|---|\n" + "".join(rows)


def _scenes(scenes: list[Tried], alert: str, fires: bool) -> str:
    return "; ".join(each.scene for each in scenes if each.alert == alert and each.fires == fires)
