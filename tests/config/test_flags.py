"""Flags are the settings with dots and hyphens."""

import argparse

import pytest

from exporter.config import ConfigError, Layer, Settings, add_flags, build, flag_layer, given_flags
from exporter.config.catalog import Setting, flag, settings_outside_lists
from exporter.config.load import environment_layer


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(allow_abbrev=False)
    add_flags(made)
    return made


def test_given_flags_are_returned_by_path() -> None:
    arguments = ["--config.file", "w.yml", "--web.listen-address=[::1]:2", "--poll.interval", "30s"]
    assert given_flags(parser().parse_args(arguments)) == {
        "config.file": "w.yml",
        "web.listen_address": '["[::1]:2"]',
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


def test_the_flag_of_a_setting_with_several_values_is_repeatable() -> None:
    given = given_flags(parser().parse_args(["--web.listen-address", ":1", "--web.listen-address=[::1]:2"]))
    assert settings_from(flag_layer(given)).web.listen_address == (":1", "[::1]:2")


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        (":1", (":1",)),
        ("[::1]:2", ("[::1]:2",)),
        ("[fe80::1%eth0]:2", ("[fe80::1%eth0]:2",)),
        ('["127.0.0.1:1", "[::1]:2"]', ("127.0.0.1:1", "[::1]:2")),
        (" [127.0.0.1:1, ':2'] ", ("127.0.0.1:1", ":2")),
        ('- ":1"\n- a:2\n', (":1", "a:2")),
    ],
)
def test_a_variable_holds_one_address_or_a_yaml_list(text: str, addresses: tuple[str, ...]) -> None:
    layer = environment_layer({"WORKSPACE_EXPORTER_WEB__LISTEN_ADDRESS": text})
    assert settings_from(layer).web.listen_address == addresses


@pytest.mark.bad_input
@pytest.mark.parametrize("text", ["[::1]", "[a:1", ":1,:2", "[[a]]", "- ", "[]"])
def test_a_variable_that_is_neither_is_a_mistake(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^environment WORKSPACE_EXPORTER_WEB__LISTEN_ADDRESS: "):
        settings_from(environment_layer({"WORKSPACE_EXPORTER_WEB__LISTEN_ADDRESS": text}))


def settings_from(layer: Layer) -> Settings:
    project = {"project_id": "p", "region": "eu-west-101", "users": ["anna"]}
    return build(layer, Layer("test", {"projects": [project]}))


def test_no_secret_has_a_flag() -> None:
    """`ps` shows flags to everybody."""
    secrets = [each for each in settings_outside_lists().values() if each.is_secret]
    assert [each.path for each in secrets] == ["metrics.hash_key"]
    text = parser().format_help()
    assert "--metrics.hash-key-file" in text
    assert "--metrics.hash-key " not in text


def test_no_password_of_a_proxy_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert given_flags(parser().parse_args(["--http.proxy=http://proxy:1"])) == {"http.proxy": "http://proxy:1"}
    for url in ("http://svc:s3cret@proxy:1", "svc:s3cret@proxy:1", "http://s3cret@proxy"):
        with pytest.raises(SystemExit):
            parser().parse_args(["--http.proxy", url])
        told = capsys.readouterr().err
        assert "--http.proxy: must not hold a user or password" in told
        assert "WORKSPACE_EXPORTER_HTTP__PROXY" in told
        assert "s3cret" not in told


def test_the_web_file_s_flag_has_the_name_of_prometheus_s_exporters_too() -> None:
    assert given_flags(parser().parse_args(["--web.config.file", "w.yml"])) == {"web.config_file": "w.yml"}


@pytest.mark.parametrize(
    "setting",
    [each for each in settings_outside_lists().values() if not (each.is_list or each.is_secret)],
    ids=lambda each: each.path,
)
def test_every_other_setting_has_a_flag_with_meaning_and_default(setting: Setting) -> None:
    [action] = [action for action in parser()._actions if action.dest == setting.path]  # noqa: SLF001 - argparse has no other list
    assert flag(setting.path) in action.option_strings
    assert action.help is not None
    assert setting.meaning.replace("`", "") in action.help
    assert setting.default in action.help
