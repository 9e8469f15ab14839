"""pydantic's errors in plain words, without the values that caused them."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from exporter.config.mistakes import Loc, Told, unknown
from exporter.config.settings import Settings, WrittenUser
from exporter.config.tree import model_at

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_REASONS: Mapping[str, Callable[[Mapping[str, object]], str]] = {
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
    "tuple_type": lambda _: "must be a list",
    "greater_than": lambda context: f"must be greater than {context['gt']}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "value_error": lambda context: str(context["error"]),
}
_PROJECTS = ("projects",)
_NO_PROJECTS = "is required: name projects in the file that --config.file names, or in WORKSPACE_EXPORTER_PROJECTS"
# Told where the cause is: a default that depends on a setting with a mistake of its own.
_SILENT = {"default_factory_not_called"}


def explain(error: ValidationError, root: type[BaseModel] = Settings) -> Iterator[Told]:
    """Return each mistake's location and reason, in what was to become the root model.

    A location ends before the keys of a user: they may be names in the wrong place.
    """
    return (_explain(details, root) for details in error.errors(include_url=False) if details["type"] not in _SILENT)


def _explain(details: "ErrorDetails", root: type[BaseModel]) -> Told:
    loc = details["loc"]
    if details["type"] == "extra_forbidden":
        return _unknown_key(loc, root)
    if details["type"] == "missing" and loc == _PROJECTS:
        return loc, _NO_PROJECTS
    if details["input"] is None and details["type"] != "missing":
        return loc, "must not be empty: give a value or leave it out"
    reason = _REASONS.get(details["type"])
    return loc, reason(details.get("ctx", {})) if reason else "is not valid"


def _unknown_key(loc: Loc, root: type[BaseModel]) -> Told:
    *section, key = loc
    model = model_at(tuple(section), root)
    if model is WrittenUser:
        return tuple(section), "has an unknown key: a user is a name or {name: …, id: …}"
    known = [field.alias or name for name, field in model.model_fields.items()]
    return loc, unknown(str(key), known, f"known here: {', '.join(known)}")
