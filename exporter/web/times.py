"""Times and durations as people say them. Times are in seconds since 1970 and told in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_SHORT = 10.0  # seconds; under this, tenths matter


def clock(moment: float) -> str:
    """``21:03:05``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S")


def date_and_time(moment: float) -> str:
    """``2026-01-02 21:03:05 UTC``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def lasting(seconds: float) -> str:
    """``3.2 s``, ``59 s``, ``5 min``, ``1 h 30 min``: the two largest units."""
    if seconds < _SHORT:
        return f"{max(seconds, 0.0):.1f} s"
    rest, parts = round(seconds), []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def ago(seconds: float) -> str:
    """``just now``, ``59 s ago``."""
    return f"{lasting(seconds)} ago" if seconds >= 1 else "just now"
