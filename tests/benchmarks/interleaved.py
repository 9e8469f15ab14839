"""Alternatives measured in turns (A B A B …), so that a slow moment of the machine meets all of them."""

from __future__ import annotations

import gc
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.plan import Tell


def medians(contenders: Mapping[str, Callable[[], float]], rounds: int, tell: Tell) -> dict[str, float]:
    """The median of what each contender measures in so many rounds, after one that does not count."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, measure in contenders.items():
            gc.collect()
            value = measure()
            if number:
                found[name].append(value)
        tell(f"round {number} of {rounds}")
    return {name: statistics.median(values) for name, values in found.items()}
