"""A project under watch whose cloud is any object that answers the poller's questions; and how it stands when."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

from support.fake_cloud import unjudged
from support.virtual_time import run_virtually, until, wall_clock

from exporter import config
from exporter.cloud.auth import Token
from exporter.cloud.connect import Connection
from exporter.cloud.credentials import Kept
from exporter.cloud.telemetry import Telemetry
from exporter.fleet import Fleet
from exporter.polling.poller import Poller
from exporter.watch import Plan, Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from exporter.cloud.client import Client
    from exporter.cloud.connect import Terms
    from exporter.polling.cloud import Cloud
    from exporter.status import ProjectStatus


async def _nothing_to_close() -> None:
    pass


def watch_of(cloud: Cloud, *names: str, **poll: float | str) -> Watch:
    """A watch over these users, in virtual time."""
    return _watch(cloud, Fleet((name, None) for name in names), poll)


def reloaded(cloud: Cloud, before: Watch, **poll: float | str) -> Watch:
    """A watch over the same users that goes on from one that has ended, as with a reload."""
    watch = _watch(
        cloud, Fleet(((member.name, member.given_id) for member in before.fleet.members), before.fleet), poll
    )
    watch.poller.go_on_from(before.poller)
    return watch


def _watch(cloud: Cloud, fleet: Fleet, poll: dict[str, float | str]) -> Watch:
    settings = config.Poll.model_validate(poll)
    poller = Poller(fleet, cloud, settings, wall_clock, unjudged("berlin"))
    connection = Connection(cast("Client", cloud), Kept(lambda: Token("t")), Telemetry(), _nothing_to_close)
    project = config.Project(project_id="berlin")
    return Watch(Plan(project, settings, cast("Terms", None)), connection, fleet, poller, wall_clock)


@asynccontextmanager
async def polled(*watches: Watch) -> AsyncIterator[None]:
    """Projects that are polled meanwhile."""
    running = [asyncio.create_task(watch.run()) for watch in watches]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


async def statuses(watch: Watch, *times: float) -> list[ProjectStatus]:
    """How a project stands at these times while it is polled."""
    seen = []
    async with polled(watch):
        for time in times:
            await until(time)
            seen.append(watch.status())
    return seen


def after(cloud: Cloud, names: list[str], *times: float, **poll: float | str) -> list[ProjectStatus]:
    """How a project with these users stands at these times."""
    return run_virtually(statuses(watch_of(cloud, *names, **poll), *times))


def by_state(status: ProjectStatus) -> Counter[str]:
    """The sessions that count, by state."""
    states = Counter[str]()
    for (state, _, _), number in status.counts.sessions.items():
        states[state] += number
    return states
