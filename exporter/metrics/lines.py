"""Samples as lines of the exposition formats, which are the same in both. Pure.

prometheus_client's own rendering takes ten times as long, which is what a publish of many users would wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_PLAIN_BELOW = 1_000_000  # larger whole numbers get an exponent


def line_of(name: str, labels: Sequence[str]) -> Callable[[Sequence[str], float], str]:
    """How a sample of this name is written: its label values, in the order of ``labels``, and its value."""
    order = sorted(range(len(labels)), key=lambda position: labels[position])
    if not order:
        return lambda _, value: f"{name} {number(value)}\n"
    pairs = ",".join(f'{labels[position]}="{{{position}}}"' for position in order)
    write = f"{name}{{{{{pairs}}}}} {{{len(labels)}}}\n".format
    return lambda values, value: write(*map(escaped, values), number(value))


def lines_of(name: str, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], float]]) -> str:
    """The lines of all samples of one name."""
    line = line_of(name, labels)
    return "".join([line(values, value) for values, value in samples])


def escaped(value: str) -> str:
    """A label's value as it stands between quotes."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


def number(value: float) -> str:
    """A value as Go writes it."""
    if isinstance(value, int) and -_PLAIN_BELOW < value < _PLAIN_BELOW:
        return f"{value:d}.0"
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call] # the library's lack
    return text
