"""What is wrong with values: pydantic's errors in plain words, and the rules over several settings.

The rules check the values as written. As validators of the models they would run only when every single value is
right, and users would have to correct mistakes one by one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.config.catalog import model_at
from exporter.config.errors import Loc, Problem, dotted, joined, unknown
from exporter.config.layers import Merged
from exporter.config.settings import Auth, Metrics, Section, Shard, User, WrittenUser

Model = TypeVar("Model", bound=BaseModel)
Values = Mapping[str, object]

_REASONS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is required",
    "invalid_key": lambda _: "must be text: put the key in quotes",
    "string_type": lambda _: "must be text: put a value that looks like a number or a date in quotes",
    "path_type": lambda _: "must be the path of a file, as text",
    "int_type": lambda _: "must be a whole number",
    "float_type": lambda _: "must be a number",
    "bool_type": lambda _: "must be true or false",
    "finite_number": lambda _: "must be a finite number",
    "literal_error": lambda context: "must be " + str(context["expected"]).replace("'", ""),
    "model_type": lambda _: "must be a mapping of settings",
    "dict_type": lambda _: "must be a mapping of user names to bcrypt hashes",
    "tuple_type": lambda _: "must be a list",
    "greater_than_equal": lambda context: f"must be a number of at least {context['ge']:.12g}",
    "less_than_equal": lambda context: f"must be a number of at most {context['le']:.12g}",
    "value_error": lambda context: str(context["error"]),
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
        errors = error.errors(include_url=False)
        return None, dict(_explain(each, model) for each in errors if each["type"] != _CONSEQUENCE)


def _explain(details: ErrorDetails, model: type[BaseModel]) -> Problem:
    loc, kind = details["loc"], details["type"]
    if kind == "extra_forbidden":
        return _unknown_key(loc, model)
    if kind == "missing" and loc == ("projects",):
        return loc, _NO_PROJECTS
    if details["input"] is None and kind != "missing":
        return loc, "must not be empty: give a value or leave it out"
    return loc, _REASONS[kind](details.get("ctx", {})) if kind in _REASONS else "is not valid"


def _unknown_key(loc: Loc, root: type[BaseModel]) -> Problem:
    *section, key = loc
    model = model_at(tuple(section), root)
    if model is WrittenUser:
        return tuple(section), "has an unknown key: a user is a name or {name: …, id: …}"
    known = [field.alias or name for name, field in model.model_fields.items()]
    return loc, unknown(str(key), known, f"known here: {', '.join(known)}")


def broken_rules(merged: Merged, wrong: set[Loc]) -> Iterator[Problem]:
    """Yield the problems over several settings; `wrong` has every location that contains a mistake.

    Names and ids are compared only if they are right by themselves.
    """
    projects = merged.values.get("projects")
    numbered = list(enumerate(projects)) if isinstance(projects, list) else []
    yield from _under(("metrics",), _metrics(_section(merged.values, "metrics")))
    if not wrong & {("shard",), ("shard", "index"), ("shard", "total")}:
        shard = Shard.model_validate(_section(merged.values, "shard"))
        if shard.index >= shard.total:
            yield ("shard", "index"), f"must be less than total, {shard.total}: shards are counted from 0"
    yield from _project_names(numbered, wrong)
    for index, project in numbered:
        if isinstance(project, Mapping):
            loc = ("projects", index)
            yield from _under(loc, _project(project))
            yield from _under((*loc, "auth"), _auth(_section(project, "auth")))
            yield from _users(merged, (*loc, "users"), project.get("users"), wrong)


def _metrics(metrics: Values) -> Iterator[Problem]:
    yield from _given_twice(Metrics, metrics)
    if metrics.get("user_label") == "hash" and not _given(metrics, "hash_key"):
        yield ("user_label",), "needs hash_key or hash_key_file to be set for hash"


def _project(project: Values) -> Iterator[Problem]:
    if "users" not in project and not _given(project, "users"):
        yield ("users",), "is required: name the users here or in users_file"
    if _given(project, "region"):
        return
    endpoints = project.get("endpoints", {})
    needed = ["sessions", "users", *(["iam"] if _given(_section(project, "auth"), "username") else [])]
    if isinstance(endpoints, Mapping) and not all(_given(endpoints, name) for name in needed):
        yield ("region",), f"is required, unless endpoints has all of {', '.join(needed)}"


def _auth(auth: Values) -> Iterator[Problem]:
    yield from _given_twice(Auth, auth)
    used = [needed for needed, further in _AUTH_METHODS if any(_given(auth, name) for name in needed + further)]
    if len(used) > 1:
        yield (), "has several ways to authenticate; keep one of token, access_key and username"
        return
    for needed in used:
        missing = [name for name in needed if not _given(auth, name)]
        yield from (((name,), f"is required: {', '.join(needed)} go together") for name in missing)


def _given_twice(model: type[Section], section: Values) -> Iterator[Problem]:
    for name in model.model_fields:
        if section.get(name) is not None and section.get(f"{name}_file") is not None:
            yield (f"{name}_file",), f"contradicts {name}: keep one of them"


def _project_names(numbered: list[tuple[int, object]], wrong: set[Loc]) -> Iterator[Problem]:
    first: dict[object, Loc] = {}
    for index, project in numbered:
        loc: Loc = ("projects", index)
        if isinstance(project, Mapping):
            key = "name" if "name" in project else "project_id"
            if (*loc, key) not in wrong:
                before = first.setdefault(project[key].strip(), loc)
                if before != loc:
                    yield (*loc, "name"), f"is also the name of {dotted(before)}; give each project its own"


def _users(merged: Merged, loc: Loc, users: object, wrong: set[Loc]) -> Iterator[Problem]:
    names: dict[str, int] = {}  # with the first position of each; there may be 100,000
    ids: dict[str, int] = {}
    for position, entry in enumerate(users if isinstance(users, list) else []):
        here = (*loc, position)
        if here not in wrong:
            name, user_id = _user(entry)
            same_name = names.setdefault(name, position)
            same_id = ids.setdefault(user_id, position) if user_id else position
            if same_name != position:
                yield here, f"is the same user as {joined(*merged.place((*loc, same_name)))}; keep one of them"
            elif same_id != position:
                yield here, f"has the same id as {joined(*merged.place((*loc, same_id)))}; give each its own"


def _user(entry: Any) -> tuple[str, str | None]:  # noqa: ANN401 - a valid entry: one of the three ways to write a user
    match entry:
        case str():
            return entry.strip(), None
        case User(name, user_id):
            return name.strip(), user_id and user_id.strip()
        case _:
            return entry["name"].strip(), (entry.get("id") or "").strip()


def _section(values: Values, name: str) -> Values:
    section = values.get(name)
    return section if isinstance(section, Mapping) else {}


def _given(section: Values, name: str) -> bool:
    return any(section.get(each) is not None for each in (name, f"{name}_file"))


def _under(loc: Loc, problems: Iterable[Problem]) -> Iterator[Problem]:
    return (((*loc, *inner), reason) for inner, reason in problems)
