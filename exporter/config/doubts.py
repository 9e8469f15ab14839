"""What is valid in a configuration but probably not meant: placeholders, unknown regions, filters that match nobody."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from exporter.config.mistakes import Loc, Problem, Values, needs_region, projects_in

# Regions that the official SDK knows for Workspace.
REGIONS = (
    *("af-north-1", "af-south-1", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "cn-east-3", "cn-east-5"),
    *("cn-north-4", "cn-north-9", "cn-north-11", "cn-south-1", "cn-southwest-2", "eu-west-101", "la-north-2"),
    *("la-south-2", "me-east-1", "sa-brazil-1", "tr-west-1"),
)
_DOCUMENTED = {"platform_type": ("AD", "LOCAL", "UOS"), "active_type": ("USER_ACTIVATE", "ADMIN_ACTIVATE")}

# `${SK}`, `$(SK)`, `{{ sk }}` and `<your-key>` anywhere, `$SK` only as a whole part, because passwords may have a `$`.
_PLACEHOLDER = re.compile(
    r"\$\{[^{}]*\}|\$\([^()]*\)|\{\{.*?\}\}|<[A-Za-z][A-Za-z0-9_. -]*>"
    r"|(?:^\s*|[/:@,=])\$[A-Z_][A-Z0-9_]*(?=\s*$|[/:@,])"
    r"|^\s*(?:%[A-Za-z_][A-Za-z0-9_]*%|(?i:(?:change|replace)[-_ ]?(?:me|this|it)|your[-_ ].*))\s*$"
)
_IS_PLACEHOLDER = "looks like a placeholder: the exporter expands no variables, so write the value itself"
_PATTERN = re.compile(r"[*?]")
_REGULAR_EXPRESSION = re.compile(r"\^|.*(\.[*+]|\$$|\\|\()")


def doubts(values: Values, wrong: set[Loc]) -> Iterator[Problem]:
    """Yield what is doubtful in a configuration; `wrong` has every location that contains a mistake."""
    yield from _placeholders(values, ())
    for index, project in projects_in(values):
        here: Loc = ("projects", index)
        if (*here, "region") not in wrong:
            yield from _region((*here, "region"), project)
        if (*here, "discover") not in wrong:
            yield from _discover((*here, "discover"), project.get("discover") or ())
        if (*here, "exclude") not in wrong:
            yield from _exclude((*here, "exclude"), project.get("exclude") or ())


def placeholder(text: str) -> str | None:
    """Return why a text is doubtful if it is a placeholder that nothing has replaced."""
    return _IS_PLACEHOLDER if _PLACEHOLDER.search(text) else None


def _placeholders(value: object, loc: Loc) -> Iterator[Problem]:
    match value:
        case str() | Path():
            if reason := placeholder(str(value)):
                yield loc, reason
        case Mapping():
            user = loc[2:3] == ("users",) and len(loc) == 4  # noqa: PLR2004 - the keys of a user may be names
            for key, inner in value.items():
                yield from _placeholders(inner, loc if user else (*loc, key))
        case list() | tuple():
            for position, inner in enumerate(value):
                yield from _placeholders(inner, (*loc, position))


def _region(loc: Loc, project: Values) -> Iterator[Problem]:
    region = project.get("region")
    if isinstance(region, str) and region not in REGIONS and needs_region(project):
        close = get_close_matches(region, REGIONS, n=1)
        known = f"did you mean {close[0]}?" if close else f"known are {', '.join(REGIONS)}"
        yield loc, f"is not a region in which the official SDK knows Workspace; {known}"


def _discover(loc: Loc, entries: object) -> Iterator[Problem]:
    assert isinstance(entries, list | tuple)
    for position, entry in enumerate(entries):
        here = (*loc, position)
        for name, documented in _DOCUMENTED.items():
            if entry.get(name) is not None and entry[name].strip() not in documented:
                yield (*here, name), f"is not a documented value: {', '.join(documented)}"
        if _PATTERN.search(entry.get("group") or ""):
            yield (*here, "group"), "looks like a pattern; the cloud compares the whole name of the group"
        if len(entries) > 1 and entry.get("all"):
            yield here, "already includes the users of all other entries; keep it alone"
        elif entry in entries[:position]:
            yield here, "repeats an earlier entry; keep one of them"


def _exclude(loc: Loc, patterns: object) -> Iterator[Problem]:
    assert isinstance(patterns, list | tuple)
    for position, pattern in enumerate(patterns):
        if not pattern.strip().strip("*"):
            yield (*loc, position), "excludes every user"
        elif _REGULAR_EXPRESSION.match(pattern):
            yield (*loc, position), "looks like a regular expression; a shell pattern such as svc-* is expected"
