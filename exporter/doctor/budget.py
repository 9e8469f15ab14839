"""How many calls the configuration asks for, against what may be called."""

from __future__ import annotations

import math
from dataclasses import dataclass

from exporter.cloud.client import QUOTA
from exporter.config import format_duration
from exporter.doctor.findings import CALL_BUDGET, Finding, ok, warn

_ROUND_TO = 10.0  # seconds of an interval that is recommended


@dataclass(frozen=True)
class Demand:
    """What polling one operation takes: ``interval`` in seconds, ``limit`` in calls a minute."""

    users: int
    interval: float
    limit: float

    @property
    def wanted(self) -> float:
        """Calls a minute that keep to the interval."""
        return self.users * 60 / self.interval

    @property
    def made(self) -> float:
        """Calls a minute that are really made."""
        return min(self.wanted, self.limit)

    @property
    def lasts(self) -> float:
        """Seconds that a round takes at the limit, whatever the interval is."""
        return self.users * 60 / self.limit


def judge(operation: str, setting: str, demand: Demand, others: float) -> Finding:
    """Whether an operation's calls fit; ``setting`` names the interval, ``others`` are calls a minute.

    They are those of the other projects with the same credentials, hence of the same account.
    """
    every = f"{demand.users} user{'' if demand.users == 1 else 's'} every {format_duration(demand.interval)}"
    text = f"{operation}: {every} are {_number(demand.wanted)} calls a minute"
    if demand.wanted > demand.limit:
        return warn(
            CALL_BUDGET,
            f"{text}; poll.rate_limit allows {_number(demand.limit)}, "
            f"so that it is every {format_duration(float(math.ceil(demand.lasts)))}",
            f"set {setting} to {format_duration(_rounded(demand.lasts))}, or watch fewer users; raise poll.rate_limit "
            f"only if nothing else uses the account's {_number(QUOTA)} calls a minute",
        )
    if demand.made + others > QUOTA:
        together = f"{text}, {_number(demand.made + others)} with the other projects of these credentials"
        return warn(
            CALL_BUDGET,
            f"{together}; the cloud's documented quota is {_number(QUOTA)} for an account",
            f"lengthen {setting}, or lower poll.rate_limit, so that they fit together",
        )
    return ok(CALL_BUDGET, f"{text}, {_number(demand.limit)} are allowed by poll.rate_limit")


def _rounded(seconds: float) -> float:
    return math.ceil(seconds / _ROUND_TO) * _ROUND_TO


def _number(calls: float) -> str:
    return f"{calls:.1f}".removesuffix(".0")
