"""The scenes of the rule tests, one at a time, each with only the rules that its alerts depend on.

promtool evaluates every rule of a file at every step. Most of them have nothing to do with what a scene looks at.
Each scene runs twice: as it is written, and with an extra label on every series of a project.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from support.deployment import RULE_TESTS, document, tried_in, write

_YAML = YAML(pure=True)
"""Keeps values such as 0x40, forty times 0, which are numbers in YAML."""


@dataclass(frozen=True)
class Scene:
    """A test of a file in deploy/prometheus/tests."""

    name: str
    rule_files: tuple[Path, ...]
    group_eval_order: list[str]
    """promtool evaluates groups in a random order otherwise, though some depend on others."""
    evaluation_interval: str
    test: dict[str, Any]

    def write(self, directory: Path) -> Path:
        """Write the scene and its rules as files for promtool. Return the one to test."""
        names = [f"rules{number}.yml" for number in range(len(self.rule_files))]
        for name, rules in zip(
            names, needed([document(path) for path in self.rule_files], self._looked_at), strict=True
        ):
            write(directory / name, rules)
        path = directory / "scene.yml"
        tests = [self.test, {**with_extra_label(self.test), "name": f"{self.name}, with an extra label"}]
        scene = {
            "rule_files": names,
            "group_eval_order": self.group_eval_order,
            "evaluation_interval": self.evaluation_interval,
            "tests": tests,
        }
        _YAML.dump(scene, path)
        return path

    @property
    def _looked_at(self) -> set[str]:
        """The names of the alerts and metrics that it checks."""
        queries = " ".join(query["expr"] for query in self.test.get("promql_expr_test", ()))
        return {tried.alert for tried in tried_in(self.test)} | _names(queries)


def scenes() -> list[Scene]:
    """Every scene of the rule tests."""
    return [
        Scene(
            name=test["name"],
            rule_files=tuple(path.parent / name for name in tests["rule_files"]),
            group_eval_order=tests["group_eval_order"],
            evaluation_interval=tests["evaluation_interval"],
            test=test,
        )
        for path in RULE_TESTS
        for tests in [_YAML.load(path)]
        for test in tests["tests"]
    ]


def with_extra_label(test: dict[str, Any]) -> dict[str, Any]:
    """Return the test with a label such as `projects[].labels` adds, on every series with a project."""
    series = [
        {**each, "series": each["series"].replace("project=", 'site="munich", project=')}
        for each in test["input_series"]
    ]
    return {**test, "input_series": series}


def needed(rule_files: list[Any], names: set[str]) -> list[dict[str, Any]]:
    """Return these rule files without the rules that nothing of these names depends on."""
    groups = [group for rules in rule_files for group in rules["groups"]]
    texts = {_name(rule): _texts(groups, _name(rule)) for group in groups for rule in group["rules"]}
    found: set[str] = set()
    left = names & texts.keys()
    while left:
        found |= left
        left = set().union(*(_names(texts[name]) for name in left)) & texts.keys() - found
    return [
        {
            "groups": [
                {**group, "rules": kept}
                for group in rules["groups"]
                if (kept := [rule for rule in group["rules"] if _name(rule) in found])
            ]
        }
        for rules in rule_files
    ]


def _texts(groups: list[Any], name: str) -> str:
    """Everything that the rules of this name say. An alert may have one for each severity."""
    return repr([rule for group in groups for rule in group["rules"] if _name(rule) == name])


def _name(rule: dict[str, Any]) -> str:
    name: str = rule["alert"] if "alert" in rule else rule["record"]
    return name


def _names(text: str) -> set[str]:
    return set(re.findall(r"[\w:]+", text))
