"""How long a change takes from the cloud to /metrics, and what of the quota is used, with the quota enforced.

Sessions enter InitFail at random times, each with an error code of its own, for which the rendered metrics are searched
all the time. On a simulated clock, so that hours pass in seconds.
"""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import virtual
from benchmarks.crowd import Failure
from benchmarks.figures import Figure
from support.virtual_time import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.plan import Plan, Tell

    from exporter.runner import Exporter
    from exporter.simulator import Simulator

NAME = "freshness"
QUOTA = 200
"""Calls a minute of each operation that the simulated cloud allows, within any 60 seconds."""

FULL_RATE = 196.0
"""A ``poll.rate_limit`` that leaves others nothing of the quota but what keeps clear of its edge."""

INTERVAL = 60.0
USERS_OF_TARGET = 10_000
MOST_SECONDS = INTERVAL + 5.0
LEAST_USED = 95.0

FAILURES = 200
_LOOKS_A_ROUND = 500  # at least; a look is a publish, which takes its time with many users
_CODE = re.compile(rb'failed_code="(WKS\.\d+)"')
_SESSIONS = ("ListSessionByUserName", "ListSessions")


@dataclass(frozen=True)
class Course:
    """How a run is timed, in seconds of its clock."""

    interval: float
    """At which all sessions are heard of at least once."""
    failures: Sequence[Failure]

    @property
    def look_every(self) -> float:
        """How often the metrics are searched."""
        return max(1.0, self.interval / _LOOKS_A_ROUND)


@dataclass(frozen=True)
class Seen:
    """What a run came to."""

    delays: Mapping[str, float]
    """Seconds by failure; those never seen are missing."""
    used: float
    """The busiest operation's calls that the cloud answered, in percent of the quota."""
    refused: int


def run(plan: Plan, tell: Tell) -> Iterator[Figure]:
    """Percentiles of the delay at each size, with the defaults; and the use of the quota when all of it is wanted."""
    for users in plan.users:
        for source in virtual.SOURCES:
            yield from _measured(_course(users, source, plan.changes_for), users, {"source": source}, tell)
    hungry = max((users for users in plan.users if users <= 1_000), default=min(plan.users))
    yield from _quota(_course(hungry, "per_user", plan.changes_for), hungry, tell)


def _measured(course: Course, users: int, poll: dict[str, Any], tell: Tell) -> Iterator[Figure]:
    source = poll["source"]
    if virtual.refused(poll):
        tell(f"poll.source: {source} is not known to this version")
        return
    tell(f"{users:,} users, {source}: {course.failures[-1].at / 3600 - EPOCH / 3600:.1f} simulated hours")
    seen = virtual.virtually(_lived(users, poll, course))
    what = source
    delays = sorted(seen.delays.values())
    if missed := len(course.failures) - len(delays):
        yield Figure(NAME, f"{what}: failures never seen", missed, "", users, at_most=0)
    if not delays:
        return
    most = MOST_SECONDS if source == "bulk" and users == USERS_OF_TARGET else None
    yield Figure(NAME, f"{what}: InitFail to /metrics, p50", _quantile(delays, 0.5), "s", users)
    yield Figure(NAME, f"{what}: InitFail to /metrics, p95", _quantile(delays, 0.95), "s", users, at_most=most)
    yield Figure(NAME, f"{what}: InitFail to /metrics, max", delays[-1], "s", users)
    yield Figure(NAME, f"{what}: quota used by the busiest operation", seen.used, "%", users)
    yield Figure(NAME, f"{what}: calls refused with 429", seen.refused, "", users, at_most=0)


def _quota(course: Course, users: int, tell: Tell) -> Iterator[Figure]:
    poll = {"source": "per_user", "rate_limit": FULL_RATE}
    if users * 60 / INTERVAL < QUOTA:
        tell(f"{users:,} users do not need the quota")
        return
    tell(f"{users:,} users, poll.rate_limit {FULL_RATE:g}")
    seen = virtual.virtually(_lived(users, poll, course))
    what = f"poll.rate_limit {FULL_RATE:g} of {QUOTA}"
    yield Figure(NAME, f"{what}: quota used by the busiest operation", seen.used, "%", users, at_least=LEAST_USED)
    yield Figure(NAME, f"{what}: calls refused with 429", seen.refused, "", users, at_most=0)


def _course(users: int, source: str, at_least: float) -> Course:
    """Failures at random, beginning when every user has been heard of, through an interval or longer."""
    interval = max(INTERVAL, users * 60 / 180) if source == "per_user" else INTERVAL
    heard_of = 1.05 * interval + 300 if source == "per_user" else 10 * INTERVAL
    dice = random.Random(users)  # noqa: S311 - not for secrets
    times = sorted(dice.uniform(0, max(interval, at_least)) for _ in range(FAILURES))
    whom = dice.sample(range(users), FAILURES) if users >= FAILURES else dice.choices(range(users), k=FAILURES)
    failures = [
        Failure(EPOCH + heard_of + at, user, f"WKS.{number:08}")
        for number, (at, user) in enumerate(zip(times, whom, strict=True), start=1)  # 0 is success
    ]
    return Course(interval, failures)


async def _lived(users: int, poll: dict[str, Any], course: Course) -> Seen:
    """Poll until every failure is in the metrics, or three intervals have passed since the last."""
    simulator = virtual.simulated_cloud(users, QUOTA, course.failures)
    clock = asyncio.get_running_loop().time
    async with virtual.polling(simulator, virtual.settings(users, poll), course.look_every) as exporter:
        await asyncio.sleep(course.failures[0].at - EPOCH - clock())
        before, began = _answered(simulator), clock()
        delays = await _watched(exporter, course)
        used = max(after - earlier for after, earlier in zip(_answered(simulator), before, strict=True))
        minutes = (clock() - began) / 60
    refused = sum(count for (_, status), count in simulator.calls.counts.items() if status == 429)
    return Seen(delays, 100 * used / (QUOTA * minutes), refused)


async def _watched(exporter: Exporter, course: Course) -> dict[str, float]:
    """By error code, how long each failure took until it was in the rendered metrics."""
    waiting = {failure.code: failure.at - EPOCH for failure in course.failures}
    delays: dict[str, float] = {}
    clock = asyncio.get_running_loop().time
    give_up = course.failures[-1].at - EPOCH + 3 * course.interval + 60
    step = min(course.look_every / 4, 1.0)
    page = b""
    while waiting and clock() < give_up:
        await asyncio.sleep(step)
        if (now := virtual.rendered(exporter)) is not page:
            page = now
            for code in {found.decode() for found in _CODE.findall(page)} & waiting.keys():
                delays[code] = clock() - waiting.pop(code)
    return delays


def _answered(simulator: Simulator) -> list[int]:
    return [simulator.calls.counts[operation, 200] for operation in _SESSIONS]


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
