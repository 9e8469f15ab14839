"""The sources of settings: flags, environment and file, merged without losing which source set a value."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from exporter.config.catalog import CONFIG_FILE, DELIMITER, PREFIX, flag, settings_outside_lists, variable
from exporter.config.errors import ConfigError, Loc, Mistake, UnusableError, dotted, unknown
from exporter.config.files import parse_yaml, read_mapping, with_absolute_files
from exporter.config.settings import Settings
from exporter.config.values import Text

# Kubernetes sets variables for each Service of a namespace, and those of a Service workspace-exporter have our prefix.
_KUBERNETES = re.compile(
    PREFIX + r"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


@dataclass(frozen=True)
class Layer:
    """The nested values of one source."""

    source: str
    values: Mapping[str, object]
    mistakes: tuple[Mistake, ...] = ()  # what could not be read
    directory: Path = Path()  # where relative paths start
    spelling: Callable[[Loc], str] = lambda _: ""  # the source's name for a location, if the path is not enough


class _Variables(Settings, BaseSettings):
    """The settings by variable; never instantiated, since validation follows the merge."""

    # Strict would convert texts by JSON, in which `true` passes for the number 1.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=DELIMITER, enable_decoding=False, strict=False, defer_build=True
    )


def _nested(values: Mapping[str, Any]) -> dict[str, object]:
    """Return values by variable, nested as in the file."""
    source = EnvSettingsSource(_Variables)
    source.env_vars = {name.lower(): value for name, value in values.items()}
    return source()


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Return the settings from the environment; an empty variable counts as unset, as deployments pass them on."""
    given = {name: text for name, text in environ.items() if name.startswith(PREFIX) and text}
    return _text_layer(
        "environment", variable, {name: text for name, text in given.items() if not _KUBERNETES.fullmatch(name)}
    )


def flag_layer(flags: Mapping[str, str]) -> Layer:
    """Return the settings from flags, given by path (`web.listen_address`)."""
    return _text_layer("flag", flag, {flag(path): text for path, text in flags.items()})


def _text_layer(source: str, spell: Callable[[str], str], texts: Mapping[str, str]) -> Layer:
    settings = settings_outside_lists()
    prefix = spell("")  # left out of comparisons, where it would make any two names look close
    paths = {spell(path).removeprefix(prefix): path for path in (*settings, CONFIG_FILE)}
    values: dict[str, object] = {}
    mistakes = []
    for name, text in texts.items():
        path = paths.get(name.removeprefix(prefix))
        if path is None:
            reason = unknown(name.removeprefix(prefix), paths, "the README lists all settings", prefix)
            mistakes.append(Mistake(f"{source} {name}", "", reason))
        elif path != CONFIG_FILE:  # which `load` has read
            try:
                values[variable(path)] = _parse_list(text) if settings[path].is_list else Text(text)
            except UnusableError as error:
                mistakes.append(Mistake(f"{source} {name}", "", str(error)))
    return Layer(source, _nested(values), tuple(mistakes), spelling=lambda loc: spell(".".join(map(str, loc))))


def _parse_list(text: str) -> object:
    """Return a list that is written as YAML, which includes JSON, as strictly as in the file."""
    value = parse_yaml(text)
    if value is None:
        raise UnusableError("must not be empty: give a value or leave it out")
    return value


def file_layer(path: Path) -> Layer:
    """Return the settings from a YAML file."""
    try:
        return Layer(str(path), read_mapping(path, " with the key projects"), directory=path.parent)
    except UnusableError as error:
        return Layer(str(path), {}, (Mistake(str(path), "", str(error)),))


Listed = tuple[Path, int, Sequence[int]]
"""A file that extends a list: with the first position from it, and the line number of each entry."""


@dataclass
class Merged:
    """The values of several layers, with the layer that set each location."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Loc, Layer] = field(default_factory=dict)
    listed: dict[Loc, Listed] = field(default_factory=dict)  # by the location of the list

    def place(self, loc: Loc) -> tuple[str, str]:
        """Return the source of a value and the path within it, or for a missing value where it belongs."""
        for length in range(len(loc), 0, -1):
            match loc[:length], self.listed.get(loc[: length - 1]):
                case (*_, int(position)), (path, first, numbers) if position >= first:
                    return f"{path}:{numbers[position - first]}", dotted(loc[length:])
            if loc[:length] in self.origins:
                break
        else:
            length = 0
        layer = self.origins[loc[:length]]
        spelled = layer.spelling(loc[:length] or loc)
        return f"{layer.source} {spelled}".strip(), "" if spelled and length in {0, len(loc)} else dotted(loc)

    def position(self, loc: Loc) -> tuple[int, ...]:
        """Return a sort key: locations in the order of keys and entries, missing ones first."""
        position: list[int] = []
        values: object = self.values
        for part in loc:
            match values, part:
                case dict(), _:
                    position.append(list(values).index(part) if part in values else -1)
                    values = values.get(part)
                case list(), int():
                    position.append(part)
                    values = values[part]
        return tuple(position)


def merge(*layers: Layer) -> Merged:
    """Merge layers, highest priority first: mappings key by key, everything else as a whole."""
    # What no layer sets is missing in the lowest.
    merged = Merged(origins={(): layers[-1] if layers else Layer("configuration", {})})
    for layer in reversed(layers):
        try:
            values = with_absolute_files(layer.values, layer.directory)
        except OSError as error:
            reason = f"has a relative path, and the working directory cannot be used ({error.strerror})"
            raise ConfigError([Mistake(layer.source, "", reason)]) from None
        _overlay(merged.values, values, (), layer, merged.origins)
    return merged


def _overlay(
    below: dict[str, object], above: Mapping[str, object], loc: Loc, layer: Layer, origins: dict[Loc, Layer]
) -> None:
    for key, value in above.items():
        here = (*loc, key)
        if not isinstance(value, Mapping):
            below[key], origins[here] = value, layer
            continue
        if key not in below:
            below[key], origins[here] = {}, layer
        # A value that should be a mapping stays, so that the mistake shows.
        if isinstance(section := below[key], dict):
            _overlay(section, value, here, layer, origins)
