"""Prometheus durations (`1h30m`) to seconds and back."""

import math
import re
from typing import Annotated, get_args

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

_MILLISECONDS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
# Each unit at most once and in this order, as Prometheus has it; 15 digits are more than any clock holds.
_COMPOUND = re.compile("".join(f"(?:([0-9]{{1,15}}){unit})?" for unit in _MILLISECONDS))
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?")
_EXPECTED = "must be a duration greater than zero such as 30s, 5m or 1h30m, or a number of seconds"
# Above this, floats no longer tell milliseconds apart.
_EXACT_BELOW = 1e12


def parse_duration(text: str) -> float:
    """Return the seconds of a Prometheus duration or of a plain number.

    Raises:
        ValueError: when the text is neither, or not greater than zero and finite.
    """
    if _PLAIN.fullmatch(text):
        return _positive(float(text))
    match = _COMPOUND.fullmatch(text)
    if match is None:
        raise ValueError(_EXPECTED)
    # Whole milliseconds add up exactly; fractions of seconds would not.
    counts = zip(match.groups(default="0"), _MILLISECONDS.values(), strict=True)
    return _positive(sum(int(count) * size for count, size in counts) / 1000)


def format_duration(seconds: float) -> str:
    """Return the shortest text that `parse_duration` turns into exactly these seconds."""
    rest = round(seconds * 1000) if seconds < _EXACT_BELOW else 0
    if rest == 0 or rest / 1000 != seconds:
        return repr(seconds)
    parts = []
    for unit, size in _MILLISECONDS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _positive(seconds: float) -> float:
    if seconds > 0 and math.isfinite(seconds):
        return seconds
    raise ValueError(_EXPECTED)


def _seconds(value: object) -> float:
    match value:
        case str():
            return parse_duration(value)
        case bool():  # YAML's `true` would count as one second
            raise ValueError(_EXPECTED)
        case int() | float():
            try:
                return _positive(float(value))
            except OverflowError:
                raise ValueError(_EXPECTED) from None
        case _:
            raise ValueError(_EXPECTED)


_SECONDS = BeforeValidator(_seconds)
Duration = Annotated[float, _SECONDS]
"""A field in seconds that is written as a Prometheus duration or a plain number."""


def is_duration(field: FieldInfo) -> bool:
    """Tell whether a model's field is a Duration, optional or not."""
    return _SECONDS in field.metadata or Duration in get_args(field.annotation)
