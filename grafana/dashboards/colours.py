"""What colours mean: the palette of Okabe and Ito, which people with any kind of colour vision tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    DynamicConfigValue,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

GREEN = "#009E73"
BLUE = "#0072B2"
SKY = "#56B4E9"
ORANGE = "#E69F00"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#999999"

STATES = {"Active": GREEN, "Disconnected": BLUE, "AppcInit": SKY, "SignedOut": GREY, "InitFail": VERMILION}
"""The colour of each session state, the same in every panel."""

CODES = {"2..": GREEN, "429": ORANGE, "4(0.|1.|2[0-8]|[3-9].)": PURPLE, "5..": VERMILION, "[a-z].*": GREY}
"""By regular expression, the colour of each kind of answer from the cloud."""


def neutral() -> ThresholdsConfig:
    """No number is better than another."""
    return _steps({None: BLUE})


def above(warning: float, bad: float) -> ThresholdsConfig:
    """The higher the worse."""
    return _steps({None: GREEN, warning: ORANGE, bad: VERMILION})


def below(bad: float, warning: float) -> ThresholdsConfig:
    """The lower the worse: bad under the first bound, worth a look under the second."""
    return _steps({None: VERMILION, bad: ORANGE, warning: GREEN})


def apart(warning: float, bad: float) -> ThresholdsConfig:
    """The further from 0, in either direction, the worse."""
    return _steps({None: VERMILION, -bad: ORANGE, -warning: GREEN, warning: ORANGE, bad: VERMILION})


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


def shaded(thresholds: ThresholdsConfig, unit: str = "short") -> list[DynamicConfigValue]:
    """The properties of a table's column whose cells have the thresholds' colours."""
    return [
        DynamicConfigValue("unit", unit),
        DynamicConfigValue("thresholds", thresholds.build()),
        DynamicConfigValue("custom.cellOptions", {"type": "color-background", "mode": "basic"}),
    ]


def words(texts: Mapping[str, tuple[str, str]]) -> ValueMap:
    """A text and a colour in place of each value."""
    return ValueMap(
        {
            value: ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(texts.items())
        }
    )


def absent(text: str) -> SpecialValueMap:
    """A text in place of no value."""
    result = ValueMappingResult(text=text, color=GREY, index=0)
    return SpecialValueMap(DashboardSpecialValueMapOptions(match=SpecialValueMatch.NULL_AND_NAN, result=result))
