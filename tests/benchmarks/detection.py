"""How long a failed session start takes from the cloud to /metrics, in real time and over real sockets.

The cloud enforces its quota. Sessions start as on a busy morning, and some fail, each with an error code of its own.
The exporter's /metrics is searched for it all the time. The exporter runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from benchmarks.busy_cloud import BusyCloud, failed_code
from benchmarks.crowd import user_id, user_name
from benchmarks.exporter_process import ExporterProcess, configuration, exporter_process
from benchmarks.figures import Figure
from support.session_traffic import Habits, Traffic, sessions_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.plan import Plan, Tell
    from support.session_traffic import Planned

NAME = "detection"
QUOTA = 200
MOST_P95, MOST = 7.0, 10.0
MOST_NAMED = 10_000
"""Users that get metrics of their own."""

_STARTS = 1.1e-4  # of a user in a second: four in five users within two hours
_LEAST_STARTS = 0.2  # in a second, of the whole fleet
_FAILURES = 0.15  # in a second
_WARM_UP = 15 * 60.0  # seconds at most
_SETTLE = 15.0  # seconds at most between the first cycles and what is measured
_LAST_LOOK = 60.0  # seconds after the last failure
_LOOK_EVERY = 0.2  # seconds
_LIVE = 0.5  # sessions by user that have started in the hours before
_CODE = re.compile(rb'init_failures_by_code_total\{[^}]*code="(WKS\.\d+)"|failed_code="(WKS\.\d+)"')


@dataclass
class Seen:
    """What a run came to."""

    delays: list[float] = field(default_factory=list)
    scanned: list[float] = field(default_factory=list)
    """Seconds from each failure to the next request of a failures scan."""
    missed: int = 0
    rejected: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    """By operation, with ListSessions by scan."""
    minutes: float = 1.0
    scrapes: list[float] = field(default_factory=list)


def run(plan: Plan, tell: Tell) -> Iterator[Figure]:
    """Percentiles of the delay, rejected requests, and requests per minute, at each size."""
    for users in plan.fleets:
        seen = asyncio.run(_measured(users, plan.detected_for, tell))
        delays, per_user = sorted(seen.delays), "all" if users <= MOST_NAMED else "none"
        what = f"per_user {per_user}: InitFail to /metrics"
        yield Figure(NAME, f"{what}: failures", len(delays) + seen.missed, "", users)
        yield Figure(NAME, f"{what}: failures never seen", seen.missed, "", users, at_most=0)
        for share, most in ((0.5, None), (0.95, MOST_P95), (1.0, MOST)) if delays else ():
            title = "max" if share == 1.0 else f"p{100 * share:.0f}"
            yield Figure(NAME, f"{what}: {title}", _quantile(delays, share), "s", users, at_most=most)
        for title, values in (("to the next failures scan", seen.scanned), ("of a scrape", seen.scrapes)):
            if values:
                yield Figure(NAME, f"time {title}, p95", _quantile(sorted(values), 0.95), "s", users)
        yield Figure(NAME, "requests rejected with 429", seen.rejected, "", users, at_most=0)
        for operation, requests in sorted(seen.requests.items()):
            yield Figure(NAME, operation, requests / seen.minutes, "requests per minute", users)


def busy_morning(users: int, now: float, length: float) -> Sequence[Planned]:
    """Return the sessions of a morning: those that are there at first, and those that start from ``now`` on."""
    dice = random.Random(users)  # noqa: S311 - not for secrets
    rate = max(_STARTS * users, _LEAST_STARTS)
    before = sessions_at(
        [int(dice.uniform(now - 3 * 3600, now)) for _ in range(int(_LIVE * users))],
        users,
        Habits(failing=0.01),
        dice,
    )
    starts = [int(now + dice.uniform(0, length)) for _ in range(int(rate * length))]
    after = sessions_at(starts, users, Habits(failing=min(_FAILURES / rate, 0.5)), dice)
    return [each._replace(number=number) for number, each in enumerate([*before, *after])]


async def _measured(users: int, seconds: float, tell: Tell) -> Seen:
    tell(f"{users:,} users: planning a morning")
    planned = busy_morning(users, time.time(), _WARM_UP + seconds + 300)
    cloud = BusyCloud(users, Traffic(planned), QUOTA, time.time)
    with tempfile.TemporaryDirectory() as folder:
        async with cloud.serve() as url, aiohttp.ClientSession() as http:
            names = [(user_name(number), user_id(number)) for number in range(users)]
            per_user = "all" if users <= MOST_NAMED else "none"
            metrics = {"per_user": per_user, "max_label_values": 1000}
            file = configuration(Path(folder), url, names, metrics=metrics)
            with contextlib.ExitStack() as stack:
                process: ExporterProcess = await asyncio.to_thread(stack.enter_context, exporter_process(file))
                tell(f"{users:,} users: first cycles")
                await _ready(http, process.address, cloud, tell)
                await asyncio.sleep(min(_SETTLE, seconds))
                tell(f"{users:,} users: measuring for {seconds:.0f} s")
                return await _watched(http, process.address, cloud, planned, seconds)


async def _ready(http: aiohttp.ClientSession, address: str, cloud: BusyCloud, tell: Tell) -> None:
    """Wait for the first cycles of everything, and of all scans."""
    began = time.monotonic()
    while time.monotonic() < began + _WARM_UP:
        await asyncio.sleep(1)
        async with http.get(f"{address}/-/ready") as response:
            if response.status == 200 and cloud.scans["failures"]:
                break
    tell(f"ready after {time.monotonic() - began:.0f} s")


async def _watched(
    http: aiohttp.ClientSession, address: str, cloud: BusyCloud, planned: Sequence[Planned], seconds: float
) -> Seen:
    begin, before, scans = time.time(), cloud.calls.counts.copy(), cloud.scans.copy()
    cloud.pages.clear()
    waiting = {
        failed_code(each): each.failed for each in planned if each.failed and begin <= each.failed < begin + seconds
    }
    failed = sorted(waiting.values())
    seen = Seen()
    while (now := time.time()) < begin + seconds or (waiting and now < begin + seconds + _LAST_LOOK):
        await asyncio.sleep(_LOOK_EVERY)
        queried = time.time()
        async with http.get(f"{address}/metrics", headers={"Accept-Encoding": "identity"}) as response:
            page = await response.read()
        now = time.time()
        seen.scrapes.append(now - queried)
        shown = {(found[0] or found[1]).decode() for found in _CODE.findall(page)}
        seen.delays += [now - waiting.pop(code) for code in shown & waiting.keys()]
    seen.minutes = (time.time() - begin) / 60
    seen.missed = len(waiting)
    calls = cloud.calls.counts - before
    seen.rejected = sum(count for (_, status), count in cloud.calls.counts.items() if status == 429)
    for (operation, _), count in calls.items():
        seen.requests[operation] += count
    seen.requests |= {f"ListSessions, {scan}": count for scan, count in (cloud.scans - scans).items()}
    pages = [at for at, scan in cloud.pages if scan == "failures"]
    seen.scanned = [min((at for at in pages if at >= time_), default=time_) - time_ for time_ in failed]
    return seen


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
