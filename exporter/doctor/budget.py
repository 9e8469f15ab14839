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
    """What one round of an operation takes: ``calls`` every ``interval`` seconds, of ``limit`` calls a minute."""

    calls: int
    interval: float
    limit: float

    @property
    def wanted(self) -> float:
        """Calls a minute that keep to the interval."""
        return self.calls * 60 / self.interval

    @property
    def made(self) -> float:
        """Calls a minute that are really made."""
        return min(self.wanted, self.limit)

    @property
    def lasts(self) -> float:
        """Seconds that a round takes at the limit, whatever the interval is."""
        return self.calls * 60 / self.limit


@dataclass(frozen=True)
class Subject:
    """What a round is about, in words."""

    operation: str
    entries: str
    """What is asked for, and how much of it."""
    setting: str
    """The name of the interval."""
    less: str
    """What there is to do for fewer calls."""


def judge(subject: Subject, demand: Demand, others: float) -> Finding:
    """Whether an operation's calls fit; ``others`` are calls a minute.

    They are those of the other projects with the same credentials, hence of the same account.
    """
    every = f"{subject.entries} every {format_duration(demand.interval)}"
    text = f"{subject.operation}: {every} are {_number(demand.wanted)} calls a minute"
    if demand.wanted > demand.limit:
        return warn(
            CALL_BUDGET,
            f"{text}; poll.rate_limit allows {_number(demand.limit)}, so that it is every {_lasting(demand)}",
            f"set {subject.setting} to {format_duration(_rounded(demand.lasts))}, or {subject.less}; raise "
            f"poll.rate_limit only if nothing else uses the account's {_number(QUOTA)} calls a minute",
        )
    if demand.made + others > QUOTA:
        return _too_many_together(text, demand, others, f"lengthen {subject.setting}, or lower poll.rate_limit")
    return ok(CALL_BUDGET, f"{text}, {_number(demand.limit)} are allowed by poll.rate_limit")


def judge_in_turn(subject: Subject, demand: Demand, others: float, reason: str) -> Finding:
    """The same of a round that need not keep to its interval, since bulk collection does, for this reason."""
    text = f"{subject.operation}: {subject.entries} in turn are {_number(demand.made)} calls a minute, a round"
    text = f"{text} takes {_lasting(demand)}; bulk: {reason}"
    if demand.made + others > QUOTA:
        return _too_many_together(text, demand, others, "lower poll.rate_limit")
    return ok(CALL_BUDGET, text)


def _too_many_together(text: str, demand: Demand, others: float, remedy: str) -> Finding:
    together = f"{text}, {_number(demand.made + others)} with the other projects of these credentials"
    quota = f"the cloud's documented quota is {_number(QUOTA)} for an account"
    return warn(CALL_BUDGET, f"{together}; {quota}", f"{remedy}, so that they fit together")


def _lasting(demand: Demand) -> str:
    return format_duration(max(float(math.ceil(demand.lasts)), demand.interval))


def _rounded(seconds: float) -> float:
    return math.ceil(seconds / _ROUND_TO) * _ROUND_TO


def _number(calls: float) -> str:
    return f"{calls:.1f}".removesuffix(".0")
