"""A project under watch whose cloud is any object that answers the poller's questions; and how it stands when."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

from support.fake_cloud import unverified
from support.virtual_time import run_virtually, until, wall_clock

from exporter import config
from exporter.cloud.auth import Token
from exporter.cloud.connect import Connection, ConnectionSpec
from exporter.cloud.credentials import StaticCredentials
from exporter.cloud.telemetry import Telemetry
from exporter.fleet import Watched
from exporter.polling.pace import Pace
from exporter.watch import Watch, WatchSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from ssl import SSLContext

    from exporter.cloud.client import Client
    from exporter.polling.loop import Cloud
    from exporter.status import ProjectStatus


async def _nothing_to_close() -> None:
    pass


def watch_of(cloud: Cloud, *names: str, **poll: float | str) -> Watch:
    """A watch over these users, in virtual time."""
    settings = config.Poll.model_validate(poll)
    project = config.Project(project_id="berlin")
    spec = WatchSpec(project, settings, ConnectionSpec(project, config.Http(), 10.0, cast("SSLContext", None), None))
    connection = _connection(cloud)
    watch = Watch(spec, connection, unverified("berlin"), lambda _: Pace(), wall_clock)
    for _ in watch.fleet.update(map(Watched, names), 0.0):
        pass
    return watch


async def reload(
    watch: Watch, cloud: Cloud, *names: str, discover: Sequence[Mapping[str, object]] = (), **poll: float | str
) -> None:
    """Reload a watch, which continues with these users and settings."""
    lanes = watch.poller.lanes
    project = config.Project.model_validate({"project_id": "berlin", "discover": discover})
    await watch.apply(
        dataclasses.replace(watch.spec, project=project, poll=config.Poll.model_validate(poll)),
        [config.User(name) for name in names],
        _connection(cloud),
        watch.poller.access,
        lambda operation: lanes[operation].pace,
    )
    watch.follow_shares()


def _connection(cloud: Cloud) -> Connection:
    credentials = StaticCredentials(lambda: Token("t"))
    return Connection(cast("Client", cloud), credentials, Telemetry(), 10.0, _nothing_to_close)


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


def status(watch: Watch) -> ProjectStatus:
    """A project now, without what is stale."""
    for _ in watch.expire():
        pass
    return watch.status()


async def statuses(watch: Watch, *times: float) -> list[ProjectStatus]:
    """Return the status of a project at these times while it is polled."""
    seen = []
    async with polled(watch):
        for time in times:
            await until(time)
            seen.append(status(watch))
    return seen


def after(cloud: Cloud, names: list[str], *times: float, **poll: float | str) -> list[ProjectStatus]:
    """Return the status of a project with these users at these times."""
    return run_virtually(statuses(watch_of(cloud, *names, **poll), *times))


def by_state(status: ProjectStatus) -> Counter[str]:
    """The sessions that count, by state."""
    states = Counter[str]()
    for kind, number in status.counts.sessions.items():
        states[kind.session_state or ""] += number
    return states
