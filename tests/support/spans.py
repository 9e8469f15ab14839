"""How many calls fall into a span of time."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def busiest(times: Iterable[float], seconds: float) -> int:
    """Return the most times in any span of this length. The start of a span belongs to it, its end does not."""
    ordered = sorted(times)
    return max(bisect_left(ordered, start + seconds) - index for index, start in enumerate(ordered))
