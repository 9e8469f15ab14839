"""The reference lists every setting, once."""

import re

import pytest

from exporter.config import environment_layer, reference_table
from exporter.config.environment import variable
from exporter.config.tree import Leaf, leaves, outside_lists

ROWS = [re.split(r"(?<!\\) ?\| ?", row)[1:4] for row in reference_table().splitlines()[2:]]


def test_every_setting_has_one_row() -> None:
    assert [name.strip("`") for name, _, _ in ROWS] == [leaf.path for leaf in leaves()]


@pytest.mark.parametrize("leaf", list(leaves()), ids=lambda leaf: leaf.path)
def test_every_setting_says_what_it_means(leaf: Leaf) -> None:
    assert leaf.meaning.endswith((".", "`"))


@pytest.mark.parametrize("path", outside_lists())
def test_every_setting_outside_lists_has_a_variable(path: str) -> None:
    assert environment_layer({variable(path): "[1]"}).mistakes == ()


def test_defaults_are_written_as_one_would_write_them() -> None:
    defaults = {name.strip("`"): default.strip("`") for name, default, _ in ROWS}
    assert defaults["poll.interval"] == "1m"
    assert defaults["poll.bulk_lookback"] == "1d"
    assert defaults["poll.rate_limit"] == "180"
    assert defaults["web.enable_lifecycle"] == "false"
    assert defaults["web.listen_address"] == ":10099"
    assert defaults["poll.stale_after"] == ""
    assert defaults["projects"] == "required"
