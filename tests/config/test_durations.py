"""Durations are Prometheus durations or plain seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from exporter.config import format_duration, parse_duration
from exporter.config.settings import Interval


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("1h30m", 5400),
        ("5ms", 0.005),
        ("5m", 300),
        ("1y2w3d4h5m6s7ms", 31_536_000 + 2 * 604_800 + 3 * 86_400 + 4 * 3600 + 5 * 60 + 6.007),
        ("90", 90),
        ("0", 0),
        ("0s", 0),
        ("0.5", 0.5),
        ("1e3", 1000),
    ],
)
def test_prometheus_durations_and_plain_seconds_are_parsed(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-15)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "text",
    ["", "-5s", "-5", "1m1h", "1m1m", "1.5m", "5 m", " 5m", "5M", "s", "inf", "nan", "1e999", "٣s"],
)
def test_any_other_text_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration such as 30s"):
        parse_duration(text)


@given(st.floats(min_value=0, allow_infinity=False))
def test_formatting_and_parsing_returns_the_same_seconds(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(min_value=1, max_value=10**14))
def test_whole_milliseconds_are_written_with_units(milliseconds: int) -> None:
    text = format_duration(milliseconds / 1000)
    assert text.endswith(("y", "w", "d", "h", "m", "s"))
    assert parse_duration(text) == milliseconds / 1000


def test_the_shortest_text_is_written() -> None:
    assert [format_duration(seconds) for seconds in (60, 90.0, 86_400, 0.25, 0)] == ["1m", "1m30s", "1d", "250ms", "0s"]


@pytest.mark.bad_input
@pytest.mark.parametrize("value", [True, None, [], 0, -1, float("nan"), float("inf"), 10**400])
def test_a_field_rejects_values_that_are_no_positive_time(value: object) -> None:
    with pytest.raises(ValidationError, match="must be a duration"):
        TypeAdapter(Interval).validate_python(value)


@pytest.mark.parametrize("value", [60, 60.0, "60", "60s", "1m"])
def test_a_field_holds_float_seconds(value: object) -> None:
    seconds = TypeAdapter(Interval).validate_python(value)
    assert seconds == 60.0
    assert isinstance(seconds, float)
