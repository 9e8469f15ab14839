"""Flags are the settings with dots and hyphens."""

import argparse

import pytest

from exporter.config import add_flags, given_flags
from exporter.config.catalog import Setting, flag, settings_outside_lists


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(allow_abbrev=False)
    add_flags(made)
    return made


def test_given_flags_are_returned_by_path() -> None:
    arguments = ["--config.file", "w.yml", "--web.listen-address=[::1]:2", "--poll.interval", "30s"]
    assert given_flags(parser().parse_args(arguments)) == {
        "config.file": "w.yml",
        "web.listen_address": "[::1]:2",
        "poll.interval": "30s",
    }
    assert given_flags(parser().parse_args([])) == {}


def test_a_switch_has_a_positive_and_a_negative_flag() -> None:
    assert given_flags(parser().parse_args(["--web.enable-lifecycle"])) == {"web.enable_lifecycle": "true"}
    assert given_flags(parser().parse_args(["--no-web.enable-lifecycle"])) == {"web.enable_lifecycle": "false"}


def test_other_arguments_are_not_settings() -> None:
    mixed = parser()
    mixed.add_argument("--version", action="store_true")
    assert given_flags(mixed.parse_args(["--version"])) == {}


@pytest.mark.parametrize(
    "setting", [each for each in settings_outside_lists().values() if not each.is_list], ids=lambda each: each.path
)
def test_every_setting_with_one_value_has_a_flag_with_meaning_and_default(setting: Setting) -> None:
    [action] = [action for action in parser()._actions if action.dest == setting.path]  # noqa: SLF001 - argparse has no other list
    assert flag(setting.path) in action.option_strings
    assert action.help is not None
    assert setting.meaning.replace("`", "") in action.help
    assert setting.default in action.help
