"""Rules over several settings of a section, and the one error that tells what breaks them."""

from pydantic import BaseModel

from exporter.config.mistakes import Loc

Reason = tuple[Loc, str]
"""The setting to change, from the section that the rule is about, and why."""


class ContradictionError(ValueError):
    """Settings that are right one by one but not together."""

    def __init__(self, *reasons: Reason) -> None:
        self.reasons = reasons
        super().__init__("; ".join(reason for _, reason in reasons))


def refuse(*reasons: Reason) -> None:
    """Raise a ContradictionError if there are any reasons."""
    if reasons:
        raise ContradictionError(*reasons)


def secret_names(section: type[BaseModel]) -> list[str]:
    """Return the settings whose value may stand in a file instead."""
    fields = section.model_fields
    return [name for name in fields if f"{name}_file" in fields]


def given(section: BaseModel, name: str) -> bool:
    """Tell whether a setting has a value, here or in a file."""
    return any(getattr(section, each, None) is not None for each in (name, f"{name}_file"))


def told_twice(section: BaseModel) -> list[Reason]:
    """Return the reasons against settings that have a value both here and in a file."""
    return [
        ((f"{name}_file",), f"contradicts {name}: keep one of them")
        for name in secret_names(type(section))
        if getattr(section, name) is not None and getattr(section, f"{name}_file") is not None
    ]
