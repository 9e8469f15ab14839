"""Texts from environment and flags: named by path, nested as the file is."""

import re
from collections.abc import Callable, Mapping

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from exporter.config import document
from exporter.config.layers import Layer, merge
from exporter.config.mistakes import Mistake, unknown
from exporter.config.settings import Settings
from exporter.config.tree import outside_lists
from exporter.config.values import Text

PREFIX = "WORKSPACE_EXPORTER_"
DELIMITER = "__"
CONFIG_FILE = "config.file"
"""The path of the one option that is no setting: it says where the settings are."""

# Kubernetes tells every pod of the Services in its namespace with variables named after them; those of a Service called
# workspace-exporter come under our prefix without anybody's doing.
_KUBERNETES = re.compile(
    PREFIX + r"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


class _Environment(Settings, BaseSettings):
    """The same settings, as the environment writes them."""

    # Strict would make pydantic-settings convert by JSON, in which `true` passes for the number 1; our types convert.
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter=DELIMITER, strict=False)


class _Variable(EnvSettingsSource):
    """One variable, nested by pydantic-settings."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(_Environment)
        self.env_vars = {name.lower(): Text(text)}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: str) -> object:  # noqa: ARG002 - the base class passes them
        """Read a list as YAML, of which JSON is a part, with the same strictness as the file."""
        return document.parse(value)


def variable(path: str) -> str:
    """Return the environment variable of a setting's path."""
    return PREFIX + path.replace(".", DELIMITER).upper()


def flag(path: str) -> str:
    """Return the flag of a setting's path."""
    return f"--{path.replace('_', '-')}"


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Return what the environment sets; an empty variable counts as not set, as deployments pass them on."""
    paths = {variable(path): path for path in _paths()}
    texts: dict[str, str] = {}
    mistakes: list[Mistake] = []
    for name, text in environ.items():
        if name in paths and text:
            texts[paths[name]] = text
        elif name.startswith(PREFIX) and text and not _KUBERNETES.fullmatch(name):
            path = name.removeprefix(PREFIX).replace(DELIMITER, ".").lower()
            mistakes.append(Mistake(f"environment {name}", "", _unknown(path, variable)))
    return _layer("environment", variable, texts, mistakes)


def flag_layer(flags: Mapping[str, str]) -> Layer:
    """Return what the flags set, given by path (`web.listen_address`)."""
    texts = {path: text for path, text in flags.items() if path in _paths()}
    mistakes = [Mistake(f"flag {flag(path)}", "", _unknown(path, flag)) for path in flags if path not in texts]
    return _layer("flag", flag, texts, mistakes)


def _paths() -> list[str]:
    return [*outside_lists(), CONFIG_FILE]


def _unknown(path: str, spell: Callable[[str], str]) -> str:
    # Compared by path: what all variables or flags have in common would make any two of them look close.
    return unknown(path, _paths(), "the README lists all settings", spell)


def _layer(source: str, spell: Callable[[str], str], texts: Mapping[str, str], mistakes: list[Mistake]) -> Layer:
    parts = []
    for path, text in texts.items():
        if path != CONFIG_FILE:  # `load` has read it
            try:
                parts.append(Layer(source, _Variable(variable(path), text)()))
            except SettingsError as error:  # its cause is the parser's refusal
                mistakes.append(Mistake(f"{source} {spell(path)}", "", str(error.__cause__)))
    values = merge(*parts).values
    return Layer(source, values, tuple(mistakes), spelling=lambda loc: spell(".".join(str(part) for part in loc)))
