"""The charts of the last hour: what they draw, and what they say to those who do not see them."""

from __future__ import annotations

import re

import pytest
from support.pages import first_cycle, html_of, points, status

from exporter.fleet import Point, Recent
from exporter.web.charts import charts

SLOT = 10  # units of the drawing for a minute


def alternatives(recent: Recent) -> list[str]:
    return re.findall(r'<svg role="img" aria-label="([^"]*)"', charts(recent))


def path(recent: Recent, style: str) -> str:
    found = re.search(rf'<path class="{style}" d="([^"]*)"', charts(recent))
    assert found
    return found.group(1)


def hour(*values: int | None) -> Recent:
    """The last minutes with so many active sessions, starts and seconds of age, and half as many failures."""
    known = [
        Point(100 + minute, (value, 0, 0, 0, 0, 0), value, value // 2, float(value))
        for minute, value in enumerate(values, start=-len(values) + 1)
        if value is not None
    ]
    return Recent(points=(*known, Point(100)) if values[-1] is None else tuple(known))


def test_each_chart_says_its_current_value_its_highest_and_its_trend() -> None:
    values = [10] * 45 + [40] * 10 + [20] * 5
    sessions, starts, age = alternatives(hour(*values))
    assert sessions == "Sessions, last hour: Active 20 now, at most 40, falling."
    assert starts == (
        "Session starts per minute, last hour: starts 20 now, at most 40, falling; failed 10 now, at most 20, falling."
    )
    assert age == "Detection age, last hour: age of the data 20 s now, at most 40 s, falling."


@pytest.mark.parametrize(
    ("values", "trend"),
    [
        ([10] * 60, "steady"),
        ([10] * 55 + [20] * 5, "rising"),
        ([100] * 55 + [95] * 5, "steady"),
        ([7] * 3, "trend unknown"),
        ([0] * 60, "steady"),
    ],
)
def test_a_trend_compares_five_minutes_with_the_fifteen_before(values: list[int], trend: str) -> None:
    assert alternatives(hour(*values))[0].removesuffix(".").split(", ")[-1].startswith(trend)


def test_what_is_unknown_is_said_and_is_a_gap() -> None:
    recent = hour(*[10] * 20, None, 10, None)
    assert alternatives(recent)[0] == (
        "Sessions, last hour: Active unknown now, at most 10, steady. Known for 21 of 60 minutes."
    )
    line = path(recent, "line active")
    assert line.count("M") == 2
    assert line.count("L") == 19
    assert "h0" in line, "a single minute is a dot"
    assert "now unknown" in charts(recent)


def test_a_gap_is_as_wide_as_the_time_without_observations() -> None:
    recent = Recent(points=(Point(41, (5, 0, 0, 0, 0, 0)), Point(100, (5, 0, 0, 0, 0, 0))))
    assert path(recent, "line active") == "M5 0h0M595 0h0"


def test_a_failed_start_has_a_bar_however_many_starts_there_are() -> None:
    recent = Recent(points=(Point(99, None, 5000, 1, None), Point(100, None, 0, 0, None)))
    assert path(recent, "bar starts") == "M581 100v-100h8v100z"
    assert path(recent, "bar initfail") == "M581 100v-3h8v3z"


def test_only_states_with_sessions_are_drawn() -> None:
    (sessions, *_) = alternatives(Recent(points=(Point(100, (3, 0, 0, 0, 2, 1)),)))
    assert re.findall(r"(\w+) \d+ now", sessions) == ["Active", "InitFail", "other"]


def test_before_the_first_observation_there_are_no_charts() -> None:
    assert charts(Recent()) == ""
    assert "<svg" not in html_of(first_cycle())
    assert html_of(status()).count("<svg") == 3


def test_charts_have_no_inline_style_and_stay_small() -> None:
    drawn = charts(Recent(points=points(60, failing=30)))
    assert "style=" not in drawn
    assert len(drawn) < 8_000
