"""All settings by path, with their names as variables and flags."""

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from exporter.config.settings import Settings, User, WrittenUser
from exporter.config.values import Proxy, Secret, format_duration, is_duration

_YAML_LIST = re.compile(r"\s*(?:\[.*\]|- .*)\s*", re.DOTALL)
PREFIX, DELIMITER = "WORKSPACE_EXPORTER_", "__"
_ALIASES = {"web.config_file": ("--web.config.file",)}  # as Prometheus's exporters name it
CONFIG_FILE = "config.file"  # the path of the only option that is not a setting: the file with the settings


@dataclass(frozen=True)
class Setting:
    """One setting; `path` is dotted, with `[]` after a list (`projects[].auth.token`)."""

    path: str
    field: FieldInfo

    @property
    def is_list(self) -> bool:
        """Whether it is a list of sections."""
        return get_origin(self.field.annotation) is tuple and model_of(self.field) is not None

    @property
    def is_repeatable(self) -> bool:
        """Whether it is one plain value or a list of them."""
        return get_origin(self.field.annotation) is tuple and not self.is_list

    def takes_yaml(self, text: str) -> bool:
        """Return whether its text in a variable or flag is YAML, as lists are. One plain value is not."""
        return self.is_list or (self.is_repeatable and bool(_YAML_LIST.fullmatch(text)))

    @property
    def is_secret(self) -> bool:
        """Whether it is a secret, which has no flag: `ps` shows flags to everybody."""
        return Secret in get_args(self.field.annotation)

    @property
    def meaning(self) -> str:
        """Its description."""
        return self.field.description or ""

    @property
    def default(self) -> str:
        """Its default as one would write it; empty if there is none or it depends on others."""
        value = self.field.default
        if isinstance(value, tuple):
            return ", ".join(value)
        if isinstance(value, float):
            return format_duration(value) if is_duration(self.field) else f"{value:g}"
        if isinstance(value, bool):
            return str(value).lower()
        return str(value) if isinstance(value, int | str) else ""


def all_settings(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[Setting]:
    """Yield every setting in the order of declaration, a list before the settings of its items.

    A section that occurs again within a list, as `projects[].poll`, is one setting there.
    """
    sections = [model_of(field) for field in Settings.model_fields.values()]
    for name, field in model.model_fields.items():
        setting = Setting(prefix + name, field)
        inner = model_of(field)
        again = bool(prefix) and inner in sections
        if inner is None or again or setting.is_list:
            yield setting
        if inner and not again:
            yield from all_settings(inner, f"{setting.path}{'[]' if setting.is_list else ''}.")


@cache
def settings_outside_lists() -> dict[str, Setting]:
    """Return the settings that have a variable, by path: all but those of list items."""
    return {setting.path: setting for setting in all_settings() if "[]" not in setting.path}


def model_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a section, or of the items of a list."""
    candidates = [field.annotation, *get_args(field.annotation)]
    if User in candidates:
        return WrittenUser
    return next((each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)), None)


def variable(path: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + path.replace(".", DELIMITER).upper()


def flag(path: str) -> str:
    """Return the flag of a setting."""
    return f"--{path.replace('_', '-')}"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--config.file` and a flag for every setting with plain values, except for secrets."""
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    add(flag(CONFIG_FILE), dest=CONFIG_FILE, metavar="FILE", help="YAML file with settings.")
    for setting in settings_outside_lists().values():
        if not (setting.is_list or setting.is_secret):
            text = f"{setting.meaning} (default: {setting.default})" if setting.default else setting.meaning
            how: dict[str, Any] = {"metavar": _metavar(setting)}
            if setting.is_repeatable:
                text += " Repeat the flag for several."
                how["action"] = "append"
            elif setting.field.annotation is bool:
                how = {"action": argparse.BooleanOptionalAction}  # rejects a metavar from Python 3.14 on
            elif Proxy in get_args(setting.field.annotation):
                text += " As a flag, without user and password."
                how["type"] = partial(_without_password, setting)
            text = text.replace("`", "").replace("%", "%%")
            add(flag(setting.path), *_ALIASES.get(setting.path, ()), dest=setting.path, help=text, **how)


def _without_password(setting: Setting, url: str) -> str:
    if "@" in url:
        places = f"the configuration file or in {variable(setting.path)}"
        raise argparse.ArgumentTypeError(f"must not hold a user or password, which `ps` would show; set it in {places}")
    return url


def without_flag(name: str) -> str | None:
    """Return why a setting has no flag and what to use instead, or None if that is not the flag of such a setting."""
    setting = next((each for path, each in settings_outside_lists().items() if flag(path) == name), None)
    if setting is None or not (setting.is_list or setting.is_secret):
        return None
    if setting.is_list:
        return f"is not a flag; set it in the configuration file or in {variable(setting.path)}"
    return f"is not a flag, since `ps` would show the secret; use {name}-file or {variable(setting.path)}"


def given_flags(namespace: argparse.Namespace) -> dict[str, str]:
    """Return the text of each flag that was given, by path."""
    known = {CONFIG_FILE, *settings_outside_lists()}
    given = {path: value for path, value in vars(namespace).items() if path in known}
    return {path: value if isinstance(value, str) else json.dumps(value) for path, value in given.items()}


def _metavar(setting: Setting) -> str:
    if get_origin(setting.field.annotation) is Literal:
        return "|".join(get_args(setting.field.annotation))
    if is_duration(setting.field):
        return "DURATION"
    name = setting.path.rpartition(".")[2].upper()
    return "FILE" if name.endswith("_FILE") else name
