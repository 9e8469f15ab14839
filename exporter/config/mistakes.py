"""Mistakes in a configuration: their text, pydantic's errors in plain words, and the rules over several settings.

The rules check the values as written: validators of models would run only when every single value is right.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.config.catalog import model_of
from exporter.config.settings import Discover, Shard, WrittenUser

Loc = tuple[str | int, ...]  # a location in nested values: keys and list indices, as in pydantic's errors
Problem = tuple[Loc, str]  # a location and what is wrong there, before the source of the value is known
Located = tuple[Loc, "str | Mistake"]  # the same, or a mistake in a file that the location names
Model = TypeVar("Model", bound=BaseModel)
Values = Mapping[str, object]


class Mistake(NamedTuple):
    """One mistake: the file, variable or flag, the path within it (empty for all of it), and reason with remedy.

    The reason never holds a value, which might be a secret or a person's name.
    """

    source: str
    path: str
    reason: str

    def __str__(self) -> str:
        # A key or file name with a line break must not look like a second mistake.
        return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in joined(*self))


class ConfigError(Exception):
    """A rejected configuration; the text lists every mistake, one per line."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(dict.fromkeys(mistakes))  # projects that share a broken file report it once
        super().__init__("\n".join(map(str, self.mistakes)))


def ignore(_: Mistake) -> None:
    """Do nothing about what is valid but doubtful."""


def joined(*parts: str) -> str:
    """Return the parts that are not empty, as they are written in a mistake."""
    return ": ".join(filter(None, parts))


def dotted(loc: Loc) -> str:
    """Return a location as people write it: `projects[0].auth.token_file`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def unknown(word: str, known: Iterable[str], otherwise: str, prefix: str = "") -> str:
    """Return the reason to reject an unknown name: with the closest known name, or else with `otherwise`."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"is unknown; did you mean {prefix}{close[0]}?" if close else f"is unknown; {otherwise}"


_REASONS = {
    "missing": "is required",
    "invalid_key": "must be text: put the key in quotes",
    "string_type": "must be text: put a value that looks like a number or a date in quotes",
    "path_type": "must be the path of a file, as text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
    "literal_error": "must be {expected}",
    "model_type": "must be a mapping of settings",
    "dict_type": "must be a mapping of user names to bcrypt hashes",
    "tuple_type": "must be a list",
    "greater_than_equal": "must be a number of at least {ge:.12g}",
    "less_than_equal": "must be a number of at most {le:.12g}",
    "value_error": "{error}",
}
_REASONS_BY_KEY = {
    ("tuple_type", "users"): "must be a list; `discover: [{all: true}]` watches all users",
    ("tuple_type", "discover"): "must be a list such as [{group: Sales}] or [{all: true}]",
    ("tuple_type", "exclude"): 'must be a list such as ["svc-*"]',
    ("dict_type", "labels"): "must be a mapping of label names to values, such as {site: munich}",
}
_NO_PROJECTS = "is required: name projects in the file that --config.file names, or in WORKSPACE_EXPORTER_PROJECTS"
_CONSEQUENCE = "default_factory_not_called"  # of a mistake in the setting that the default depends on

# For each way to authenticate the settings that it needs, and those that it may have. Each may come from a file.
_AUTH_METHODS = (
    (("token",), ()),
    (("access_key", "secret_key"), ("security_token",)),
    (("username", "domain", "password"), ()),
)


def validate(model: type[Model], values: Values) -> tuple[Model | None, dict[Loc, str]]:
    """Return the model made from the values, or None, and the problems by location.

    A location ends before the keys of a user, which may be names in the wrong place.
    """
    try:
        return model.model_validate(values), {}
    except ValidationError as error:
        return None, dict(_explain(each, model) for each in error.errors() if each["type"] != _CONSEQUENCE)


def _explain(details: ErrorDetails, model: type[BaseModel]) -> Problem:
    loc, kind = details["loc"], details["type"]
    if loc[-1:] == ("[key]",):
        loc, kind = loc[:-1], "invalid_key" if kind == "string_type" else kind
    if kind == "extra_forbidden":
        return _unknown_key(loc, model)
    if kind == "missing" and loc == ("projects",):
        return loc, _NO_PROJECTS
    if details["input"] is None and kind != "missing":
        return loc, "must not be empty: give a value or leave it out"
    if reason := _REASONS_BY_KEY.get((kind, str(loc[-1]))):
        return loc, reason
    if kind == "model_type" and loc[2:3] == ("discover",):
        return loc, "must be a mapping such as {group: Sales} or {all: true}"
    reason = _REASONS.get(kind, "is not valid").format_map(details.get("ctx", {}))
    return loc, reason.replace("'", "") if kind == "literal_error" else reason


def _unknown_key(loc: Loc, model: type[BaseModel]) -> Problem:
    *section, key = loc
    for part in section:
        if isinstance(part, str):
            model = model_of(model.model_fields[part]) or model
    if model is WrittenUser:
        return tuple(section), "has an unknown key: a user is a name or {name: …, id: …, domain: …}"
    known = [field.alias or name for name, field in model.model_fields.items()]
    return loc, unknown(str(key), known, f"known here: {', '.join(known)}")


def broken_rules(values: Values, wrong: set[Loc]) -> Iterator[Problem]:
    """Yield the problems over several settings; `wrong` has every location that contains a mistake."""
    metrics = _section(values, "metrics")
    yield from _given_twice(("metrics",), metrics)
    if metrics.get("user_label") == "hash" and not _given(metrics, "hash_key"):
        yield ("metrics", "user_label"), "needs hash_key or hash_key_file to be set for hash"
    if ("shard",) not in wrong:
        shard = Shard.model_validate(_section(values, "shard"))
        if shard.index >= shard.total:
            yield ("shard", "index"), f"must be less than total, {shard.total}: shards are counted from 0"
    named: dict[str, Loc] = {}
    for index, project in projects_in(values):
        loc: Loc = ("projects", index)
        yield from _project(loc, project)
        yield from _discover((*loc, "discover"), project.get("discover"), wrong)
        yield from _auth((*loc, "auth"), _section(project, "auth"))
        key = "name" if "name" in project else "project_id"
        if (*loc, key) not in wrong and (first := named.setdefault(project[key].strip(), loc)) != loc:
            yield (*loc, "name"), f"is also the name of {dotted(first)}; give each project its own"


def projects_in(values: Values) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield index and values of each entry of `projects` that is a mapping."""
    projects = values.get("projects")
    for index, project in enumerate(projects if isinstance(projects, list) else []):
        if isinstance(project, Mapping):
            yield index, project


def _project(loc: Loc, project: Values) -> Iterator[Problem]:
    if not ("users" in project or _given(project, "users") or project.get("discover")):
        yield (*loc, "users"), "is required: name the users here or in users_file, or find them with discover"
    if not _given(project, "region") and needs_region(project):
        yield (*loc, "region"), f"is required, unless endpoints has all of {', '.join(_hosts(project))}"


def needs_region(project: Values) -> bool:
    """Return whether a host that a project uses is derived from its region."""
    endpoints = project.get("endpoints", {})
    return isinstance(endpoints, Mapping) and not all(_given(endpoints, name) for name in _hosts(project))


def _hosts(project: Values) -> list[str]:
    return ["sessions", "users", *(["iam"] if _given(_section(project, "auth"), "username") else [])]


def _discover(loc: Loc, entries: object, wrong: set[Loc]) -> Iterator[Problem]:
    for position, entry in enumerate(entries if isinstance(entries, list) else []):
        if (here := (*loc, position)) in wrong:
            continue
        filters = [name for name in entry if name != "all" and entry[name] is not None]
        if entry.get("all") and filters:
            yield here, "combines all with a filter; keep one of them"
        elif not entry.get("all") and not filters:
            yield here, f"names no users: give one of {', '.join(Discover.model_fields)}"


def _auth(loc: Loc, auth: Values) -> Iterator[Problem]:
    yield from _given_twice(loc, auth)
    used = [needed for needed, further in _AUTH_METHODS if any(_given(auth, name) for name in needed + further)]
    if len(used) > 1:
        yield loc, "has several ways to authenticate; keep one of token, access_key and username"
        return
    for needed in used:
        missing = [name for name in needed if not _given(auth, name)]
        yield from (((*loc, name), f"is required: {', '.join(needed)} go together") for name in missing)


def _given_twice(loc: Loc, section: Values) -> Iterator[Problem]:
    for name, value in section.items():
        if value is not None and section.get(f"{name}_file") is not None:
            yield (*loc, f"{name}_file"), f"contradicts {name}: keep one of them"


def _section(values: Values, name: str) -> Values:
    section = values.get(name)
    return section if isinstance(section, Mapping) else {}


def _given(section: Values, name: str) -> bool:
    return any(section.get(each) is not None for each in (name, f"{name}_file"))
