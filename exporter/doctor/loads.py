"""The load of an operation on its rate limit, and the words for whether it fits. Pure."""

import math
from dataclasses import dataclass

from exporter.cloud.client import QUOTA
from exporter.config import format_duration
from exporter.doctor.findings import REQUEST_BUDGET, Finding, ok, warn
from exporter.polling.scans import SHARE_OF_FAILURES
from exporter.polling.source import cycle_seconds

_ROUND_TO = 10.0  # seconds of a recommended interval


@dataclass(frozen=True)
class Load:
    """One polling cycle of an operation: ``requests`` every ``interval`` seconds, which ``setting`` names."""

    operation: str
    requests: int
    entries: str
    setting: str
    interval: float
    fewer: str = "watch fewer users"  # what to do for fewer requests
    failure_scans: float = 0.0  # requests per minute that go ahead of the cycle, with at most a third of the rate

    @property
    def of_cycle(self) -> float:
        """Requests per minute that keep to the interval."""
        return self.requests * 60 / self.interval

    @property
    def demand(self) -> float:
        """Requests per minute in total."""
        return self.of_cycle + self.failure_scans


@dataclass(frozen=True)
class Share:
    """A project's part of an operation's rate limit, in requests per minute."""

    rate: float
    limit: float
    projects: int = 1  # how many projects of this process use the limit
    account: float = 0.0  # requests of all configured projects with these credentials and host, in other shards, too

    def __str__(self) -> str:
        allowed = f"{_number(self.rate)} allowed by poll.rate_limit"
        if self.projects <= 1:
            return allowed
        return f"{allowed} ({_number(self.limit)} shared by {self.projects} projects with equal credentials)"


def judge(load: Load, share: Share, bulk: str | None = None) -> Finding:
    """Return whether an operation fits; ``bulk`` is the reason why its cycles may be longer than the interval."""
    ahead = min(load.failure_scans, share.rate * SHARE_OF_FAILURES)
    every = f"{load.entries} every {format_duration(load.interval)}"
    if ahead:
        every += f", and failed ones every {format_duration(round(60 / ahead, 1))},"
    needed = _number(load.of_cycle + ahead)
    requests = "1 request" if needed == "1" else f"{needed} requests"
    text = f"{load.operation}: {every} are {requests} per minute, {share}"
    cycle, remedies = cycle_seconds(load.interval, load.requests, share.rate - ahead), []
    if cycle > load.interval:
        text += f"; a cycle takes {format_duration(float(math.ceil(cycle)))}"
    if bulk:
        text += f"; sessions also come from bulk collection ({bulk})"
    elif cycle > load.interval:
        rounded = format_duration(math.ceil(cycle / _ROUND_TO) * _ROUND_TO)
        remedies.append(f"set {load.setting} to {rounded}, or {load.fewer}")
    if share.account > QUOTA:
        used = f"all configured projects of this account make {_number(share.account)}"
        text += f"; {used}, and its documented quota is {_number(QUOTA)} per minute and operation"
        remedies.append("lower poll.rate_limit")
    elif remedies:
        remedies.append(f"raise poll.rate_limit only if nothing else uses the account's quota of {_number(QUOTA)}")
    return warn(REQUEST_BUDGET, text, "; ".join(remedies)) if remedies else ok(REQUEST_BUDGET, text)


def _number(rate: float) -> str:
    return f"{rate:.1f}".removesuffix(".0")
