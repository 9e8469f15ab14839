"""pydantic's errors in plain words, without the values that caused them."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError

from exporter.config.mistakes import Loc, did_you_mean
from exporter.config.rules import ContradictionError
from exporter.config.settings import User
from exporter.config.tree import model_at

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_REASONS: Mapping[str, Callable[[Mapping[str, object]], str]] = {
    "missing": lambda _: "is required",
    "invalid_key": lambda _: "must be text: put the key in quotes",
    "string_type": lambda _: "must be text: put a value that looks like a number or a date in quotes",
    "path_type": lambda _: "must be the path of a file, as text",
    "int_type": lambda _: "must be a whole number, without quotes",
    "float_type": lambda _: "must be a number, without quotes",
    "bool_type": lambda _: "must be true or false, without quotes",
    "finite_number": lambda _: "must be a finite number",
    "literal_error": lambda context: "must be " + str(context["expected"]).replace("'", ""),
    "model_type": lambda _: "must be a mapping of settings",
    "tuple_type": lambda _: "must be a list",
    "greater_than": lambda context: f"must be greater than {context['gt']}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "value_error": lambda context: str(context["error"]),
}
_PROJECTS = ("projects",)
_NO_PROJECTS = "is required: name projects in the file that --config.file names, or in WORKSPACE_EXPORTER_PROJECTS"
# Told where the cause is: a default that depends on a setting with a mistake of its own.
_SILENT = {"default_factory_not_called"}


def explain(error: ValidationError) -> Iterator[tuple[Loc, str]]:
    """Yield each mistake's location and reason.

    A location ends before the keys of a user: they may be names in the wrong place.
    """
    for details in error.errors(include_url=False):
        if details["type"] not in _SILENT:
            yield from _explain(details)


def _explain(details: "ErrorDetails") -> Iterator[tuple[Loc, str]]:
    loc, context = details["loc"], details.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, ContradictionError):
        yield from ((loc + inner, reason) for inner, reason in cause.reasons)
    elif details["type"] == "extra_forbidden":
        yield _unknown_key(loc)
    elif details["type"] == "missing" and loc == _PROJECTS:
        yield loc, _NO_PROJECTS
    elif details["input"] is None and details["type"] != "missing":
        yield loc, "must not be empty: give a value or leave it out"
    else:
        reason = _REASONS.get(details["type"])
        yield loc, reason(context) if reason else "is not valid"


def _unknown_key(loc: Loc) -> tuple[Loc, str]:
    *section, key = loc
    model = model_at(tuple(section))
    if model is User:
        return tuple(section), "has an unknown key: a user is a name or {name: …, id: …}"
    return loc, did_you_mean(str(key), model.model_fields)
