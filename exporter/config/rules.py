"""Rules over several settings, checked on the values as they were written.

As validators of the models they would run only once every single value is right, and mistakes come one by one.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from exporter.config.layers import Merged
from exporter.config.mistakes import Loc, Told, dotted
from exporter.config.settings import Auth, Metrics, Section, Shard, User

Values = Mapping[str, object]


class _Way(NamedTuple):
    """The settings that one way to authenticate needs, and may have; each may stand in a file."""

    needs: tuple[str, ...]
    may: tuple[str, ...] = ()


_WAYS = (
    _Way(("token",)),
    _Way(("access_key", "secret_key"), may=("security_token",)),
    _Way(("username", "domain", "password")),
)


def broken(merged: Merged, wrong: set[Loc]) -> Iterator[Told]:
    """Yield what breaks a rule.

    Names and ids are compared only where nothing else is wrong: `wrong` has every location with a mistake in it.
    """
    projects = merged.values.get("projects")
    numbered = list(enumerate(projects)) if isinstance(projects, list) else []
    yield from _under(("metrics",), _metrics(_section(merged.values, "metrics")))
    if not wrong & {("shard",), ("shard", "index"), ("shard", "total")}:
        yield from _under(("shard",), _shard(_section(merged.values, "shard")))
    yield from _project_names(numbered, wrong)
    for index, project in numbered:
        if isinstance(project, Mapping):
            loc = ("projects", index)
            yield from _under(loc, _project(project))
            yield from _under((*loc, "auth"), _auth(_section(project, "auth")))
            yield from _users(merged, (*loc, "users"), project.get("users"), wrong)


def _metrics(metrics: Values) -> Iterator[Told]:
    yield from _told_twice(Metrics, metrics)
    if metrics.get("user_label") == "hash" and not _given(metrics, "hash_key"):
        yield ("user_label",), "needs hash_key or hash_key_file to be set for hash"


def _shard(shard: Values) -> Iterator[Told]:
    checked = Shard.model_validate(shard)
    if checked.index >= checked.total:
        yield ("index",), f"must be less than total, {checked.total}: shards are counted from 0"


def _project(project: Values) -> Iterator[Told]:
    if "users" not in project and not _given(project, "users"):
        yield ("users",), "is required: name the users here or in users_file"
    needed = ["sessions", "users", *(["iam"] if _given(_section(project, "auth"), "username") else [])]
    endpoints = project.get("endpoints", {})
    if (
        not _given(project, "region")
        and isinstance(endpoints, Mapping)
        and not all(_given(endpoints, name) for name in needed)
    ):
        yield ("region",), f"is required, unless endpoints has all of {', '.join(needed)}"


def _auth(auth: Values) -> Iterator[Told]:
    yield from _told_twice(Auth, auth)
    used = [way for way in _WAYS if any(_given(auth, name) for name in (*way.needs, *way.may))]
    if len(used) > 1:
        yield (), "has several ways to authenticate; keep one of token, access_key and username"
        return
    for way in used:
        missing = [name for name in way.needs if not _given(auth, name)]
        yield from (((name,), f"is required: {', '.join(way.needs)} go together") for name in missing)


def _told_twice(model: type[Section], section: Values) -> Iterator[Told]:
    for name in model.model_fields:
        if section.get(name) is not None and section.get(f"{name}_file") is not None:
            yield (f"{name}_file",), f"contradicts {name}: keep one of them"


def _project_names(numbered: list[tuple[int, object]], wrong: set[Loc]) -> Iterator[Told]:
    first: dict[object, Loc] = {}
    for index, project in numbered:
        if isinstance(project, Mapping):
            loc: Loc = ("projects", index)
            key = "name" if "name" in project else "project_id"
            if (*loc, key) not in wrong:
                before = first.setdefault(project[key].strip(), loc)
                if before != loc:
                    yield (*loc, "name"), f"is also the name of {dotted(before)}; give each project its own"


def _users(merged: Merged, loc: Loc, users: object, wrong: set[Loc]) -> Iterator[Told]:
    names: dict[str, int] = {}  # each with its first position; there may be very many
    ids: dict[str, int] = {}
    for position, entry in enumerate(users if isinstance(users, list) else []):
        here = (*loc, position)
        if here not in wrong:
            name, user_id = _user(entry)
            same_name = names.setdefault(name, position)
            same_id = ids.setdefault(user_id, position) if user_id else position
            if same_name != position:
                yield here, f"is the same user as {merged.place((*loc, same_name))}; keep one of them"
            elif same_id != position:
                yield here, f"has the same id as {merged.place((*loc, same_id))}; give each its own"


def _user(entry: Any) -> tuple[str, str | None]:  # noqa: ANN401 - it is known to be one of the three ways to write a user
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


def _under(loc: Loc, mistakes: Iterable[Told]) -> Iterator[Told]:
    return (((*loc, *inner), reason) for inner, reason in mistakes)
