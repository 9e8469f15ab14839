"""How far this machine's clock and the cloud's are apart, and what that does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.config import format_duration
from exporter.doctor.findings import CLOCK, Finding, fail, ok, skip, warn

if TYPE_CHECKING:
    from collections.abc import Callable

TOLERANCE = 15 * 60.0
"""Seconds that the cloud forgives in the time of a signature."""

NOTEWORTHY = 60.0
"""Seconds that are worth a warning: what drifts goes on drifting."""

_REMEDY = "set the clock, and have NTP keep it (chrony or systemd-timesyncd)"


def judge(skew: float | None, *, signing: bool) -> Finding:
    """What a skew means, in seconds that the cloud is ahead; ``signing`` where requests are signed with the time."""
    if skew is None:
        return skip(CLOCK, "not compared: no answer of the cloud tells the time")
    apart = format_duration(float(round(abs(skew)) or 1))
    if abs(skew) <= NOTEWORTHY:
        return ok(CLOCK, f"this machine's clock and the cloud's agree to within {apart}")
    text = f"this machine's clock is {apart} {'behind' if skew > 0 else 'ahead of'} the cloud's"
    if abs(skew) <= TOLERANCE:
        return warn(CLOCK, f"{text}; beyond {format_duration(TOLERANCE)} signatures are refused", _REMEDY)
    if signing:
        return fail(
            CLOCK,
            f"{text}; signatures are refused beyond {format_duration(TOLERANCE)}, "
            "so that what follows is asked with the cloud's time",
            _REMEDY,
        )
    return warn(CLOCK, f"{text}; tokens work all the same, but are renewed at the wrong time", _REMEDY)


@dataclass
class CorrectedClock:
    """Our clock, put right by what the cloud said where it would have signatures refused.

    So a wrong clock neither costs a refused signature, of which a few lock the key, nor hides what else is wrong.
    """

    now: Callable[[], float]
    offset: float = 0.0

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self.now() + self.offset

    def correct(self, skew: float | None) -> None:
        """Take over the cloud's time if ours is too far off."""
        self.offset = skew if skew is not None and abs(skew) > TOLERANCE else 0.0
