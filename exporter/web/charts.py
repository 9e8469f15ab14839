"""The last hour as small SVG charts, without script and without inline styles. Pure.

A minute without a known value is a gap. The style sheet has the colours, by class.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape

from exporter.fleet import CHARTED_STATES, INIT_FAIL, MINUTES, Point, Recent
from exporter.web.formats import lasting

_SLOT, _HEIGHT, _BAR, _LEAST = 10, 100, 8, 3  # units of the drawing: a minute, its height, a bar, and the lowest bar
_LATELY, _BEFORE = 5, 15  # minutes that are compared for the trend
_CHANGE = 0.1  # of the highest value, from which on it is a trend

Values = Sequence[float | None]  # one for each of the last MINUTES minutes


def charts(recent: Recent) -> str:
    """Return the charts of a project; nothing before its first observation."""
    if not recent.points:
        return ""
    sessions = {state: _values(recent, partial(_sessions, number)) for number, state in enumerate(CHARTED_STATES)}
    shown = {state: values for state, values in sessions.items() if any(values) or state in CHARTED_STATES[:1]}
    starts = _values(recent, lambda point: point.starts)
    failures = _values(recent, lambda point: point.failures)
    age = _values(recent, lambda point: point.age)
    figures = (
        _figure("Sessions", shown, _lines, _number),
        _figure("Session starts per minute", {"starts": starts, "failed": failures}, _bars, _number),
        _figure("Detection age", {"age of the data": age}, _lines, lasting),
    )
    return f'<div class="charts">\n{"".join(figures)}</div>'


def _sessions(number: int, point: Point) -> int | None:
    """Return the sessions in the state with this number."""
    return None if point.sessions is None else point.sessions[number]


def _values(recent: Recent, value: Callable[[Point], float | None]) -> Values:
    """Return a value of each of the last minutes, None where it is unknown or there is no point."""
    by_minute = {point.minute: value(point) for point in recent.points}
    last = recent.points[-1].minute
    return [by_minute.get(minute) for minute in range(last - MINUTES + 1, last + 1)]


def _figure(
    title: str,
    series: Mapping[str, Values],
    draw: Callable[[str, Values, float], str],
    written: Callable[[float], str],
) -> str:
    known = [value for values in series.values() for value in values if value is not None]
    top = max(known, default=0.0)
    paths = "".join(draw(_style(name), values, top or 1.0) for name, values in series.items())
    known_now = any(values[-1] is not None for values in series.values())
    legend = "".join(
        f'<span><span class="key {_style(name)}"></span> {escape(name)}'
        f"{f' {_now(values, written)}' if known_now else ''}</span>\n"
        for name, values in series.items()
    )
    text = "; ".join(f"{name} {_in_words(values, written)}" for name, values in series.items())
    minutes = sum(any(values[slot] is not None for values in series.values()) for slot in range(MINUTES))
    highest = f"highest {written(top)}{'' if known_now else ', now unknown'}" if known else "unknown"
    gaps = "" if minutes == MINUTES else f" Known for {minutes} of {MINUTES} minutes."
    return f"""<figure>
<figcaption><strong>{title}</strong>, {highest}
<span class="legend">{legend}</span></figcaption>
<svg role="img" aria-label="{escape(f"{title}, last hour: {text}.{gaps}")}" \
viewBox="0 0 {MINUTES * _SLOT} {_HEIGHT}" preserveAspectRatio="none">\
<path class="axis" d="M0 {_HEIGHT}H{MINUTES * _SLOT}"/>{paths}</svg>
<p class="axis" aria-hidden="true"><span>1 hour ago</span><span>now</span></p>
</figure>
"""


def _style(name: str) -> str:
    """Return the class of a series in the style sheet."""
    return "initfail" if name in {"failed", INIT_FAIL} else name.split(maxsplit=1)[0].lower()


def _lines(style: str, values: Values, top: float) -> str:
    """Return a line with a gap wherever a value is unknown. A single value is a dot."""
    path, drawn = [], False
    for slot, value in enumerate(values):
        if value is not None:
            path.append(f"{'L' if drawn else 'M'}{slot * _SLOT + _SLOT // 2} {_HEIGHT - _height(value, top)}")
            path.append("" if drawn else "h0")
        drawn = value is not None
    return f'<path class="line {style}" d="{"".join(path)}"/>'


def _bars(style: str, values: Values, top: float) -> str:
    """Return a bar for each value above zero, in a single path."""
    path = []
    for slot, value in enumerate(values):
        if value:
            height = max(_height(value, top), _LEAST)
            path.append(f"M{slot * _SLOT + 1} {_HEIGHT}v-{height}h{_BAR}v{height}z")
    return f'<path class="bar {style}" d="{"".join(path)}"/>'


def _height(value: float, top: float) -> int:
    return round(value / top * _HEIGHT)


def _number(value: float) -> str:
    return f"{value:g}" if value < 1e6 else f"{value:.3g}"  # noqa: PLR2004 - digits that fit


def _now(values: Values, written: Callable[[float], str]) -> str:
    return "unknown" if values[-1] is None else written(values[-1])


def _in_words(values: Values, written: Callable[[float], str]) -> str:
    """Return the current value, the highest one and the trend."""
    known = [value for value in values if value is not None]
    if not known:
        return "unknown"
    return f"{_now(values, written)} now, at most {written(max(known))}, {_trend(values)}"


def _trend(values: Values) -> str:
    means = list(map(_mean, (values[-_LATELY:], values[-_LATELY - _BEFORE : -_LATELY])))
    if means[0] is None or means[1] is None:
        return "trend unknown"
    highest = max(value for value in values if value is not None)
    change = means[0] - means[1]
    if abs(change) <= _CHANGE * highest:
        return "steady"
    return "rising" if change > 0 else "falling"


def _mean(values: Values) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def hour(recent: Recent) -> tuple[int, int, int]:
    """Return the starts and failures of the last hour, and of how many minutes they are known."""
    known = [point for point in recent.points if point.starts is not None]
    return sum(point.starts or 0 for point in known), sum(point.failures or 0 for point in known), len(known)
