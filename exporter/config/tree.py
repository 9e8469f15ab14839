"""The settings as a list: every field with its path, for flags, environment, reference and suggestions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from exporter.config.durations import format_duration, is_duration
from exporter.config.mistakes import Loc
from exporter.config.settings import Settings
from exporter.config.values import WrittenAs


@dataclass(frozen=True)
class Leaf:
    """One setting that is no section; `path` is dotted, with `[]` behind a list (`projects[].auth.token`)."""

    path: str
    field: FieldInfo

    @property
    def is_list(self) -> bool:
        """Whether it holds several values."""
        return get_origin(self.field.annotation) is tuple

    @property
    def meaning(self) -> str:
        """What it does, in a sentence."""
        return self.field.description or ""

    @property
    def default(self) -> str:
        """Its default as one would write it; empty where there is none or it depends on others."""
        value = self.field.default
        match value:
            case bool():
                return str(value).lower()
            case float() if is_duration(self.field):
                return format_duration(value)
            case float():
                return f"{value:g}"
            case int() | str():
                return str(value)
            case _:
                return ""


def leaves(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[Leaf]:
    """Yield every setting in the order of declaration, a list before the settings of its items."""
    for name, field in model.model_fields.items():
        leaf = Leaf(prefix + name, field)
        inner = _model_of(field)
        if inner is None:
            yield leaf
        elif leaf.is_list:
            yield leaf
            yield from leaves(inner, f"{leaf.path}[].")
        else:
            yield from leaves(inner, f"{leaf.path}.")


def outside_lists() -> dict[str, Leaf]:
    """Return the settings that a single text can name, by path: all but those of list items."""
    return {leaf.path: leaf for leaf in leaves() if "[]" not in leaf.path}


def model_at(loc: Loc, root: type[BaseModel] = Settings) -> type[BaseModel]:
    """Return the model of the section at a location that pydantic gave."""
    model = root
    for part in loc:
        if isinstance(part, str):
            model = _model_of(model.model_fields[part]) or model
    return model


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    candidates = [field.annotation]
    for each in get_args(field.annotation):
        candidates += [each, *(way.model for way in get_args(each) if isinstance(way, WrittenAs))]
    return next((each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)), None)
