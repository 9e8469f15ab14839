"""Flags are the settings with dots and hyphens."""

import argparse

import pytest

from exporter.config import add_flags, given_flags
from exporter.config.environment import flag
from exporter.config.tree import Leaf, outside_lists


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(allow_abbrev=False)
    add_flags(made)
    return made


def test_only_given_flags_count_by_path() -> None:
    arguments = ["--config.file", "w.yml", "--web.listen-address=[::1]:2", "--poll.interval", "30s"]
    assert given_flags(parser().parse_args(arguments)) == {
        "config.file": "w.yml",
        "web.listen_address": "[::1]:2",
        "poll.interval": "30s",
    }
    assert given_flags(parser().parse_args([])) == {}


def test_a_switch_is_turned_with_and_without_no() -> None:
    assert given_flags(parser().parse_args(["--web.enable-lifecycle"])) == {"web.enable_lifecycle": "true"}
    assert given_flags(parser().parse_args(["--no-web.enable-lifecycle"])) == {"web.enable_lifecycle": "false"}


def test_other_arguments_are_not_taken_for_settings() -> None:
    mixed = parser()
    mixed.add_argument("--version", action="store_true")
    assert given_flags(mixed.parse_args(["--version"])) == {}


@pytest.mark.parametrize(
    "leaf", [leaf for leaf in outside_lists().values() if not leaf.is_list], ids=lambda leaf: leaf.path
)
def test_every_setting_of_one_value_has_a_flag_with_its_meaning_and_default(leaf: Leaf) -> None:
    [action] = [action for action in parser()._actions if action.dest == leaf.path]  # noqa: SLF001 - argparse has no other list
    assert flag(leaf.path) in action.option_strings
    assert action.help is not None
    assert leaf.meaning.replace("`", "") in action.help
    assert leaf.default in action.help
