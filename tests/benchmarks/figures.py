"""What benchmarks find, as a table for people and as JSON. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PLAIN_FROM = 100  # larger values are shown without decimals
_HEAD = ("benchmark", "what", "measured", "target", "met")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; with a target where one is set, as the least or the most that it should be.

    ``size`` says of how many users or samples it is, and ``of`` which of the two.
    """

    benchmark: str
    what: str
    value: float
    unit: str = ""
    size: int | None = None
    of: str = "users"
    at_least: float | None = None
    at_most: float | None = None

    @property
    def title(self) -> str:
        """What was measured, and of how many."""
        return self.what if self.size is None else f"{self.size:,} {self.of}, {self.what}"

    @property
    def met(self) -> bool | None:
        """Whether the value is as good as its target; None if there is none."""
        if self.at_least is None and self.at_most is None:
            return None
        enough = self.at_least is None or self.value >= self.at_least
        return enough and (self.at_most is None or self.value <= self.at_most)

    @property
    def target(self) -> str:
        """The target in words, or an empty text."""
        bounds = (("≥", self.at_least), ("≤", self.at_most))
        return " ".join(f"{sign} {_told(bound, self.unit)}" for sign, bound in bounds if bound is not None)

    def as_json(self) -> dict[str, object]:
        """All of it, with whether the target is met."""
        return {**asdict(self), "met": self.met}


def table(figures: Iterable[Figure]) -> str:
    """One line a figure."""
    rows = [_HEAD, *(_row(figure) for figure in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(_line(row, widths) for row in rows)


def _row(figure: Figure) -> tuple[str, ...]:
    met = {None: "", True: "yes", False: "NO"}[figure.met]
    return (figure.benchmark, figure.title, _told(figure.value, figure.unit), figure.target, met)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, what, value, target, met = row
    return (
        f"{name:<{widths[0]}}  {what:<{widths[1]}}  {value:>{widths[2]}}  {target:>{widths[3]}}  {met:<{widths[4]}}"
    ).rstrip()


def _told(value: float, unit: str) -> str:
    size = abs(value)
    text = f"{value:,.0f}" if size >= _PLAIN_FROM or float(value).is_integer() else f"{value:.3g}"
    return f"{text} {unit}".rstrip()
