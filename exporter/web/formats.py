"""Numbers, durations and times for people, and the HTML elements that show several of them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_SHORT = 10.0  # seconds below which tenths are shown


def facts(style: str, named: Iterable[tuple[str, str]]) -> str:
    """Return a list of facts by name, with this class in the style sheet."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in named)
    return f'<dl class="{style}">{items}</dl>' if style else f"<dl>{items}</dl>"


def bar(element: str, value: int, most: int) -> str:
    """Return a bar that is filled in proportion. A meter is green only if it is full."""
    full = max(most, 1)
    green = f' low="{full}" optimum="{full}"' if element == "meter" else ""
    return f'<{element} value="{value}" max="{full}"{green}>{value} of {most}</{element}>'


def date_and_time(moment: float) -> str:
    """Return ``2026-01-02 21:03:05 UTC`` for seconds since 1970."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def lasting(seconds: float) -> str:
    """Return ``3.2 s``, ``59 s``, ``5 min`` or ``1 h 30 min``: the two largest units."""
    if seconds < _SHORT:
        return f"{max(seconds, 0.0):.1f} s"
    rest, parts = round(seconds), []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def ago(seconds: float) -> str:
    """Return ``just now`` or ``59 s ago``."""
    return f"{lasting(seconds)} ago" if seconds >= 1 else "just now"


def lately(minutes: int) -> str:
    """Return ``in the last 5 minutes``."""
    return "in the last minute" if minutes == 1 else f"in the last {minutes} minutes"


def percent(part: int, whole: int) -> str:
    """Return ``1.3 %``. Only all is 100.0 %, and only none is 0.0 %."""
    share = part / whole * 100
    if 0 < part < whole:
        share = min(max(share, 0.1), 99.9)
    return f"{share:.1f} %"


def share(part: int, whole: int) -> str:
    """Return ``3 (1.3 %)``; ``3`` if that is no part of the whole."""
    return f"{part} ({percent(part, whole)})" if whole and part <= whole else str(part)


def amount(number: float) -> str:
    """Return ``0.25``, ``7.5`` or ``1200``."""
    return f"{number:.2g}" if number < _SHORT else f"{number:.0f}"
