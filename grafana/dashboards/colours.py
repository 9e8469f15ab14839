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
"""The normal state in a timeline, which must not draw attention."""

STATES = {"InitFail": BAD, "AppcInit": SKY, "Active": GOOD, "Disconnected": NEUTRAL, "SignedOut": UNKNOWN}
"""The colour of each session state, in display order. InitFail comes first, so that it is always visible."""

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
"""The colour of each kind of response from the cloud, by regular expression of its code."""

PALETTE = {GOOD, WARNING, BAD, UNKNOWN, NEUTRAL, SKY, PURPLE, PLUM}


def neutral() -> ThresholdsConfig:
    """Return thresholds for a number that is neither good nor bad."""
    return _steps({None: NEUTRAL})


def above(warning: float, bad: float, base: str = GOOD) -> ThresholdsConfig:
    """Return thresholds for a number that is worse the higher it is."""
    return _steps({None: base, warning: WARNING, bad: BAD})


def below(bad: float, warning: float) -> ThresholdsConfig:
    """Return thresholds for a number that is worse the lower it is."""
    return _steps({None: BAD, bad: WARNING, warning: GOOD})


def some(colour: str) -> ThresholdsConfig:
    """Return thresholds that give 0 grey, and more this colour."""
    return _steps({None: UNKNOWN, 0.5: colour})


def only(colour: str) -> ThresholdsConfig:
    """Return thresholds with one colour for all numbers."""
    return _steps({None: colour})


def calm() -> ThresholdsConfig:
    """Return thresholds without a background. An override colours what is wrong."""
    return only("transparent")


def backlog() -> ThresholdsConfig:
    """Return thresholds that give 0 green, and more no background."""
    return _steps({None: GOOD, 0.5: "transparent"})


def _steps(steps: Mapping[float | None, str]) -> ThresholdsConfig:
    return (
        ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=colour) for value, colour in steps.items()])
    )


def fixed(colour: str) -> list[DynamicConfigValue]:
    """Return the properties of a field that always has this colour."""
    return [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})]


def words(texts: Mapping[str, tuple[str, str]]) -> ValueMap:
    """Return a mapping of values to texts and colours."""
    return ValueMap(
        {
            value: ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(texts.items())
        }
    )


def ranges(*parts: tuple[float, str, str]) -> list[ValueMapping]:
    """Return mappings of ranges to texts and colours, by ascending lower bounds.

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
    """Return the upper end of a range. Grafana's ranges include both ends."""
    return _NO_BOUND if bound is None else bound - 1e-9


def absent(text: str = "unknown") -> SpecialValueMap:
    """Return a mapping of no value to a grey text."""
    result = ValueMappingResult(text=text, color=UNKNOWN, index=99)
    return SpecialValueMap(DashboardSpecialValueMapOptions(match=SpecialValueMatch.NULL_AND_NAN, result=result))
