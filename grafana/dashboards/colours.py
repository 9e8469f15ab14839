"""The colours, and what each of them means. Every term has one colour on all dashboards.

Based on the palette of Okabe and Ito, which people with any kind of colour vision can tell apart. Each colour has a
contrast of at least 3:1 with white text on it, and as text on a panel in the light and the dark theme.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import (
    DashboardRangeMapOptions,
    DashboardSpecialValueMapOptions,
    DynamicConfigValue,
    RangeMap,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grafana_foundation_sdk.models.dashboard import ValueMapping

GOOD = "#009E73"
WARNING = "#DF7A00"
BAD = "#CC1530"
UNKNOWN = "#8A8A8A"
NEUTRAL = "#0072B2"
SKY = "#2E9BD6"
PURPLE = "#CC79A7"
PLUM = "#9C4F96"
QUIET = "rgba(138, 138, 138, 0.18)"
"""For what is as it should be and must not draw the eye: the base of a timeline."""

STATES = {"InitFail": BAD, "AppcInit": SKY, "Active": GOOD, "Disconnected": NEUTRAL, "SignedOut": UNKNOWN}
"""The colour of each session state, in the order in which they are shown: InitFail first, so that it is always seen."""

ACCOUNTS = {
    "locked": WARNING,
    "missing": PLUM,
    "expired": PURPLE,
    "soon": SKY,
    "disabled": UNKNOWN,
    "failed": STATES["InitFail"],
}
"""The colour of each kind of problem with an account or its sessions."""

SEVERITIES = {"critical": BAD, "warning": WARNING, "info": SKY}
"""The colour of each severity of an alert."""

CODES = {"2..": GOOD, "429": WARNING, "4(0.|1.|2[0-8]|[3-9].)": PURPLE, "5..": BAD, "[a-z].*": UNKNOWN}
"""By regular expression, the colour of each kind of answer from the cloud."""

PALETTE = {GOOD, WARNING, BAD, UNKNOWN, NEUTRAL, SKY, PURPLE, PLUM}


def neutral() -> ThresholdsConfig:
    """No number is better than another."""
    return _steps({None: NEUTRAL})


def above(warning: float, bad: float, base: str = GOOD) -> ThresholdsConfig:
    """The higher the worse."""
    return _steps({None: base, warning: WARNING, bad: BAD})


def below(bad: float, warning: float) -> ThresholdsConfig:
    """The lower the worse: bad under the first bound, worth a look under the second."""
    return _steps({None: BAD, bad: WARNING, warning: GOOD})


def apart(warning: float, bad: float) -> ThresholdsConfig:
    """The further from 0, in either direction, the worse."""
    return _steps({None: BAD, -bad: WARNING, -warning: GOOD, warning: WARNING, bad: BAD})


def some(colour: str) -> ThresholdsConfig:
    """Any at all has this colour, none is grey."""
    return _steps({None: UNKNOWN, 0.5: colour})


def only(colour: str) -> ThresholdsConfig:
    """Always the same colour, with a meaning."""
    return _steps({None: colour})


def calm() -> ThresholdsConfig:
    """No background, unless an override says that something is wrong."""
    return only("transparent")


def backlog() -> ThresholdsConfig:
    """None is good; some are known and no news, and have no background."""
    return _steps({None: GOOD, 0.5: "transparent"})


def _steps(steps: Mapping[float | None, str]) -> ThresholdsConfig:
    return (
        ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=colour) for value, colour in steps.items()])
    )


def fixed(colour: str) -> list[DynamicConfigValue]:
    """The properties of a field that always has this colour."""
    return [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})]


def dashed(colour: str) -> list[DynamicConfigValue]:
    """The properties of a line that is a bound, and no measurement."""
    dashes = DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [10, 10]})
    return [*fixed(colour), dashes, DynamicConfigValue("custom.fillOpacity", 0)]


def words(texts: Mapping[str, tuple[str, str]]) -> ValueMap:
    """A text and a colour in place of each value."""
    return ValueMap(
        {
            value: ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(texts.items())
        }
    )


def ranges(*parts: tuple[float, str, str]) -> list[ValueMapping]:
    """A text and a colour from each of these lower bounds on, in ascending order; the last has no upper bound.

    For state timelines: with thresholds, Grafana shows those in place of the texts.
    """
    bounds: Sequence[float | None] = [bound for bound, _, _ in parts[1:]]
    return [
        RangeMap(
            DashboardRangeMapOptions(
                from_val=begin, to=_just_below(end), result=ValueMappingResult(text=text, color=colour, index=index)
            )
        )
        for index, ((begin, text, colour), end) in enumerate(zip(parts, [*bounds, None], strict=True))
    ]


_NO_BOUND = 1e12
"""Grafana reads an upper bound of null as 0."""


def _just_below(bound: float | None) -> float:
    """Grafana's ranges include both ends; the first that matches counts."""
    return _NO_BOUND if bound is None else bound - 1e-9


def absent(text: str = "unknown") -> SpecialValueMap:
    """A grey text in place of no value."""
    result = ValueMappingResult(text=text, color=UNKNOWN, index=99)
    return SpecialValueMap(DashboardSpecialValueMapOptions(match=SpecialValueMatch.NULL_AND_NAN, result=result))
