"""From flags, environment and file to settings, with every mistake reported at once with its source."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from exporter.config.catalog import CONFIG_FILE, DELIMITER, PREFIX, flag, settings_outside_lists, variable
from exporter.config.doubts import doubts, placeholder
from exporter.config.files import check_certificates, named_files, parse_yaml, read_mapping, read_text, resolve_files
from exporter.config.mistakes import (
    ConfigError,
    Loc,
    Located,
    Mistake,
    broken_rules,
    dotted,
    ignore,
    joined,
    projects_in,
    unknown,
    validate,
)
from exporter.config.settings import Settings
from exporter.config.users import read_list
from exporter.config.values import Text, one_line
from exporter.config.web_file import read_web_file

_SDK_PREFIX = "HUAWEICLOUD_"  # of the variables that the SDK's credential chain reads

# Kubernetes sets variables for each Service of a namespace. Those of a Service workspace-exporter, or of one such as
# workspace-exporter-metrics, have our prefix. A `…_PORT` could be a mistaken setting; of a Service it holds an address.
_SERVICE_LINK = re.compile(
    PREFIX + r"(?:[A-Z0-9_]+_)??"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://\S+:[0-9]+")


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


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Return the settings from the environment; an empty variable counts as unset, as deployments pass them on."""
    given = {name: text for name, text in environ.items() if name.startswith(PREFIX) and text}
    own = {name: text for name, text in given.items() if not _is_service_link(name, text)}
    return _text_layer("environment", variable, own)


def _is_service_link(name: str, text: str) -> bool:
    """Return whether Kubernetes has set a variable for a Service."""
    if name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(text):
        return True
    return _SERVICE_LINK.fullmatch(name) is not None


def flag_layer(flags: Mapping[str, str]) -> Layer:
    """Return the settings from flags, given by path (`web.listen_address`)."""
    return _text_layer("flag", flag, {flag(path): text for path, text in flags.items()})


def _text_layer(source: str, spell: Callable[[str], str], texts: Mapping[str, str]) -> Layer:
    settings = settings_outside_lists()
    prefix = spell("")  # left out of comparisons, where it would make any two names look close
    paths = {spell(path).removeprefix(prefix): path for path in (*settings, CONFIG_FILE)}
    values: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    for name, text in texts.items():
        short = name.removeprefix(prefix)
        path = paths.get(short)
        if path is None:
            reason = unknown(short, paths, "CONFIGURATION.md lists all settings", prefix)
            mistakes.append(Mistake(f"{source} {name}", "", reason))
        elif path != CONFIG_FILE:  # which `load` has read
            try:  # YAML includes JSON
                values[variable(path).lower()] = parse_yaml(text) if settings[path].takes_yaml(text) else Text(text)
            except ValueError as error:
                mistakes.append(Mistake(f"{source} {name}", "", str(error)))
    nested = EnvSettingsSource(_Variables)
    nested.env_vars = values
    return Layer(source, nested(), tuple(mistakes), spelling=lambda loc: spell(".".join(map(str, loc))))


def file_layer(path: Path) -> Layer:
    """Return the settings from a YAML file."""
    try:
        return Layer(str(path), read_mapping(path, " with the key projects"), directory=path.parent)
    except ValueError as error:
        return Layer(str(path), {}, (Mistake(str(path), "", str(error)),))


class Merged:
    """The values of layers, highest priority first, merged key by key, with the layer that set each location."""

    def __init__(self, *layers: Layer) -> None:
        self.values: dict[str, Any] = {}
        # What no layer sets is missing in the lowest.
        self.origins: dict[Loc, Layer] = {(): layers[-1] if layers else Layer("configuration", {})}
        for layer in reversed(layers):
            try:
                values = resolve_files(layer.values, layer.directory)
            except OSError as error:
                reason = f"has a relative path, and the working directory cannot be used ({error.strerror})"
                raise ConfigError([Mistake(layer.source, "", reason)]) from None
            self._overlay(self.values, values, (), layer)

    def _overlay(self, below: dict[str, object], above: Mapping[str, object], loc: Loc, layer: Layer) -> None:
        for key, value in above.items():
            here = (*loc, key)
            if not isinstance(value, dict):
                below[key], self.origins[here] = value, layer
                continue
            if key not in below:
                below[key], self.origins[here] = {}, layer
            # A value that should be a mapping stays, so that the mistake shows.
            if isinstance(section := below[key], dict):
                self._overlay(section, value, here, layer)

    def place(self, loc: Loc) -> tuple[str, str]:
        """Return the source of a value and the path within it, or for a missing value where it belongs."""
        length = next(length for length in range(len(loc), -1, -1) if loc[:length] in self.origins)
        layer = self.origins[loc[:length]]
        spelled = layer.spelling(loc[:length] or loc)
        return f"{layer.source} {spelled}".strip(), "" if spelled and length in {0, len(loc)} else dotted(loc)

    def placed(self, found: Iterable[Located]) -> list[Mistake]:
        """Return what was found with its place, in the order of keys and entries."""
        ordered = sorted(found, key=lambda each: self._position(each[0]))
        return [each if isinstance(each, Mistake) else Mistake(*self.place(loc), each) for loc, each in ordered]

    def _position(self, loc: Loc) -> list[int]:
        """Return a sort key: locations in the order of keys and entries, missing ones first."""
        position: list[int] = []
        values: Any = self.values
        for part in loc:
            if isinstance(values, dict):
                position.append(list(values).index(part) if part in values else -1)
                values = values.get(part)
            elif isinstance(values, list) and isinstance(part, int):
                position.append(part)
                values = values[part]
        return position


def load(
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    *,
    default_project_id: str | None = None,
    warn: Callable[[Mistake], None] = ignore,
) -> Settings:
    """Return the settings from flags (by path), environment, the file that one of them names, and defaults.

    Users files are read, other files are only checked. `warn` gets everything that is valid but doubtful.
    Raise ConfigError with every mistake.
    """
    file = flags.get(CONFIG_FILE) or environ.get(variable(CONFIG_FILE))
    lowest = file_layer(Path(file)) if file else Layer("configuration", {})
    for name, text in environ.items():
        if name.startswith(_SDK_PREFIX) and (reason := placeholder(text)):
            warn(Mistake(f"environment {name}", "", reason))
    return build(
        flag_layer(flags), environment_layer(environ), lowest, default_project_id=default_project_id, warn=warn
    )


def build(*layers: Layer, default_project_id: str | None = None, warn: Callable[[Mistake], None] = ignore) -> Settings:
    """Return the settings of layers, highest priority first; raise ConfigError with every mistake, theirs included."""
    merged = Merged(*layers)
    if default_project_id is not None:
        _fill_project_ids(merged, default_project_id)
    unread = [mistake for layer in layers for mistake in layer.mistakes]
    in_files, doubtful = _check_files(merged)
    settings, wrong = validate(Settings, merged.values)
    if unread and "projects" not in merged.values:
        wrong.pop(("projects",), None)  # the projects may be in what could not be read
    # A value with a mistake of its own is neither compared with others nor is its file reported.
    containing = {loc[:length] for loc in wrong for length in range(len(loc) + 1)}
    lists = {
        index: read_list(("projects", index), project, containing, lambda loc: joined(*merged.place(loc)))
        for index, project in projects_in(merged.values)
    }
    in_lists = [problem for each in lists.values() for problem in each.problems]
    rules = broken_rules(merged.values, containing)
    further = [(loc, mistake) for loc, mistake in (*rules, *in_lists, *in_files) if loc not in wrong]
    mistakes = unread + merged.placed([*wrong.items(), *further])
    doubtful += [*doubts(merged.values, containing), *(doubt for each in lists.values() for doubt in each.doubts)]
    for doubt in dict.fromkeys(merged.placed(doubtful)):  # projects that share a file report it once
        warn(doubt)
    if settings is None or mistakes:
        raise ConfigError(mistakes)
    projects = [project.with_file(lists[i].of_file, lists[i].version) for i, project in enumerate(settings.projects)]
    return settings.model_copy(update={"projects": tuple(projects)})


def _check_files(merged: Merged) -> tuple[list[Located], list[Located]]:
    """Check all files that settings name, except for users files; return what is wrong and what is doubtful."""
    problems: list[Located] = []
    doubtful: list[Located] = []
    for loc, path in named_files(merged.values):
        try:
            match loc:
                case (*_, "ca_file"):
                    check_certificates(path)
                case ("projects", _, "users_file"):
                    pass
                case ("web", "config_file"):
                    read_text(path)  # an unreadable file is a mistake of whoever names it
                    read_web_file(path)
                case _:
                    if placeholder(one_line(read_text(path))):
                        doubtful.append((loc, f"the file {path} holds a placeholder; write the value itself"))
        except ConfigError as error:
            problems += [(loc, mistake) for mistake in error.mistakes]
        except ValueError as error:
            problems.append((loc, f"the file {path} {error}"))
    return problems, doubtful


def _fill_project_ids(merged: Merged, project_id: str) -> None:
    projects = merged.values.get("projects")
    for index, project in enumerate(projects if isinstance(projects, list) else []):
        if isinstance(project, dict) and "project_id" not in project:
            project["project_id"] = project_id
            merged.origins["projects", index, "project_id"] = Layer("the environment's project id", {})
