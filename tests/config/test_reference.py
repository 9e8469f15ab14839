"""The reference lists every setting, once."""

import re

import pytest
from support.readme import settings_table

from exporter.config.catalog import Setting, all_settings, settings_outside_lists, variable
from exporter.config.load import environment_layer

ROWS = [re.split(r"(?<!\\) ?\| ?", row)[1:4] for row in settings_table().splitlines()[2:]]


def test_every_setting_has_one_row() -> None:
    assert [name.strip("`") for name, _, _ in ROWS] == [setting.path for setting in all_settings()]


@pytest.mark.parametrize("setting", list(all_settings()), ids=lambda setting: setting.path)
def test_every_setting_has_a_description(setting: Setting) -> None:
    assert setting.meaning.endswith((".", "`"))


@pytest.mark.parametrize("path", settings_outside_lists())
def test_every_setting_outside_lists_has_a_variable(path: str) -> None:
    assert environment_layer({variable(path): "[1]"}).mistakes == ()


def test_defaults_are_written_as_in_the_file() -> None:
    defaults = {name.strip("`"): default.strip("`") for name, default, _ in ROWS}
    assert defaults["poll.interval"] == "1m"
    assert defaults["poll.bulk_lookback"] == "1d"
    assert defaults["poll.rate_limit"] == "180"
    assert defaults["web.enable_lifecycle"] == "false"
    assert defaults["web.enable_config"] == "false"
    assert defaults["web.refresh_interval"] == "30s"
    assert defaults["web.listen_address"] == ":10099"
    assert defaults["poll.stale_after"] == ""
    assert defaults["projects"] == "required"
