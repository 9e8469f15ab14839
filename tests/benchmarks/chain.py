"""How long the whole chain takes from a failure to the notification, at the real timings of deploy/.

Each project has a cloud of its own, where an incident begins at a random time. All run at once, for some minutes.
"""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from benchmarks.figures import Figure
from support.chain import alertmanager, prometheus
from support.exporters import project, running, settings
from support.monitoring import Notification, webhook

from exporter.simulator import Script, Simulator, SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.plan import Plan, Tell

NAME = "chain"
USERS = 180
"""Watched one by one at the default rate limit; few of them log in at night."""

MINIMUM = 5
"""Failures that the alert requires with so many users."""
MINIMUM_USERS = 3
MOST_SECONDS = 45.0
QUIET = 90.0
"""Seconds before the first incident, in which Prometheus sees the counters at 0."""
DURATION = 600.0
"""Seconds of an incident."""
STEP = 0.5
"""Seconds to which the time of a failure is known."""
ALERT = "WorkspaceInitFailSpike"


def run(plan: Plan, tell: Tell) -> Iterator[Figure]:
    """Seconds from the failure that reaches the alert's minimum to the notification."""
    tell(f"{plan.turns * 2} incidents, at most {(QUIET + 60 + DURATION) / 60:.0f} minutes")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    delays = asyncio.run(_delays(plan.turns * 2))
    for name, seconds in delays.items():
        tell(f"{name}: " + ("no notification" if seconds is None else f"{seconds:.1f} s"))
    seen = sorted(seconds for seconds in delays.values() if seconds is not None)
    yield Figure(NAME, "incidents without a notification", len(delays) - len(seen), at_most=0)
    if seen:
        yield Figure(NAME, "minimum reached to notification, median", median(seen), "s", USERS)
        yield Figure(NAME, "minimum reached to notification, max", seen[-1], "s", USERS, at_most=MOST_SECONDS)


async def _delays(incidents: int) -> Mapping[str, float | None]:
    """Seconds by project; None without a notification."""
    rng = random.Random(7)  # noqa: S311 - phases, not secrets
    begin = time.time()
    clouds = {
        f"project-{n}": Simulator(
            SimulatorOptions(seed=n, users=USERS, incident=Script(QUIET + rng.uniform(0, 60), DURATION))
        )
        for n in range(incidents)
    }
    with tempfile.TemporaryDirectory() as directory:
        async with AsyncExitStack() as stack:
            watched = [
                project(cloud, await stack.enter_async_context(cloud.serve()), name=name)
                for name, cloud in clouds.items()
            ]
            exporter = await stack.enter_async_context(running(settings(*watched, poll={})))
            hook = await stack.enter_async_context(webhook())
            receiver = await stack.enter_async_context(alertmanager(_tool, Path(directory), hook, 1.0))
            await stack.enter_async_context(
                prometheus(_tool, Path(directory), urlsplit(exporter).netloc, receiver, 1.0)
            )
            end = begin + QUIET + 60 + DURATION
            while time.time() < end and not clouds.keys() <= _notified(hook.to("on-call")).keys():  # noqa: ASYNC110 - an end by the clock
                await asyncio.sleep(1)
        notified = _notified(hook.to("on-call"))
    return {name: _delay(cloud, begin, notified.get(name)) for name, cloud in clouds.items()}


def _notified(notifications: list[Notification]) -> dict[str, float]:
    """When on-call was first notified of the alert, by project."""
    first: dict[str, float] = {}
    for each in notifications:
        for alert in each.alerts:
            if alert["labels"]["alertname"] == ALERT:
                first.setdefault(alert["labels"]["project"], each.at)
    return first


def _delay(cloud: Simulator, begin: float, notified: float | None) -> float | None:
    """Seconds from the failure that reached the minimum to the notification."""
    if notified is None:
        return None
    users: dict[str, str] = {}  # by failed session
    before = {each for each, _ in _failed(cloud, begin + QUIET / 2)}
    moment = begin + QUIET / 2
    while moment < notified:
        users |= {each: user for each, user in _failed(cloud, moment) if each not in before}
        if len(users) >= MINIMUM and len(set(users.values())) >= MINIMUM_USERS:
            return notified - moment
        moment += STEP
    return 0.0


def _failed(cloud: Simulator, moment: float) -> Iterator[tuple[str, str]]:
    """Ids and users of the sessions at InitFail."""
    for name in cloud.population.names():
        for session in cloud.population.sessions_of(name, moment):
            if session.session_state == "InitFail":
                yield str(session.id), name


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not installed")
    return path
