"""The Makefile and its help."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Makefile").read_text("utf-8")
PHONY = re.search(r"^\.PHONY: (.*)", TEXT, re.MULTILINE)
PUBLIC = re.findall(r"^([a-z][a-z-]*):(?!=)", TEXT, re.MULTILINE)
"""Targets that people call by name; those for files start with a variable."""


@pytest.fixture(scope="module")
def shown() -> str:
    """What `make help` prints."""
    done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    return done.stdout


def test_every_public_target_is_phony() -> None:
    assert PHONY
    assert PHONY[1].split() == PUBLIC


def test_help_shows_every_public_target_with_a_text_in_the_order_of_the_file(shown: str) -> None:
    assert re.findall(r"^  ([a-z-]+) +\S", shown, re.MULTILINE) == PUBLIC


def test_help_has_a_title_above_each_group_of_targets(shown: str) -> None:
    titles = re.findall(r"^(\S.*):$", shown, re.MULTILINE)
    assert titles == re.findall(r"^##@ (.*)", TEXT, re.MULTILINE)
    assert re.search(r"\A\S.*:$", shown.partition("\n")[0])
    assert not re.search(r":\n(?!  )", shown)
