"""METRICS.md accounts for every field of the two reference pages.

``reference/`` has the names and types of the fields, in the order of the pages.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from exporter.cloud import models
from exporter.metrics.families import DESCRIPTIONS, PROJECT_DESCRIPTIONS

REFERENCE = Path(__file__).with_name("reference")
METRICS = (Path(__file__).parents[2] / "METRICS.md").read_text("utf-8")
MODELS: dict[str, type[msgspec.Struct]] = {"AppSession": models.AppSession, "UserDetail": models.UserDetail}
NUMBER_OF_FIELDS = {"AppSession": 28, "UserDetail": 23}
every_model = pytest.mark.parametrize("name", MODELS)


class Row(NamedTuple):
    """A field in METRICS.md."""

    field: str
    type: str
    metrics: list[str]
    note: str


def reference(name: str) -> list[tuple[str, str]]:
    """Return name and type of each field in the reference."""
    lines = (REFERENCE / f"{name}.txt").read_text("utf-8").splitlines()
    fields = [line.partition(" ") for line in lines if not line.startswith("#")]
    return [(field, kind) for field, _, kind in fields]


def rows(name: str) -> list[Row]:
    """Return the rows of the table of this object."""
    (section,) = re.findall(rf"^## Fields of {name}\n(.*?)(?=^## |\Z)", METRICS, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*)\| ([^|]*)\|$", section, re.MULTILINE)
    return [Row(field, kind, re.findall(r"`(\w+)`", metrics), note.strip()) for field, kind, metrics, note in lines]


@every_model
def test_the_table_has_every_field_of_the_reference_with_its_type(name: str) -> None:
    assert [(row.field, row.type) for row in rows(name)] == reference(name)
    assert len(reference(name)) == NUMBER_OF_FIELDS[name]


@every_model
def test_a_field_has_metrics_or_a_reason_why_not(name: str) -> None:
    assert [row.field for row in rows(name) if not (row.metrics or row.note)] == []


@every_model
def test_every_metric_that_the_table_names_exists(name: str) -> None:
    known = {description.name for description in DESCRIPTIONS}
    named = {metric for row in rows(name) for metric in row.metrics}
    assert named - known == set()


@every_model
def test_exactly_the_fields_with_a_metric_are_read(name: str) -> None:
    read = set(MODELS[name].__struct_fields__) & {field for field, _ in reference(name)}
    assert {row.field for row in rows(name) if row.metrics} == read


@every_model
def test_no_personal_field_is_the_name_of_a_label(name: str) -> None:
    """Among the fields without a metric, only the user's name becomes a label, as in the configuration."""
    labels = {label for description in PROJECT_DESCRIPTIONS for label in description.labels}
    assert {row.field for row in rows(name) if not row.metrics} & labels <= {"user_name"}
