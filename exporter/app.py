"""Puts the parts together: settings in, a polling and serving exporter out."""

from __future__ import annotations

import asyncio
import platform
import signal
import time
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING

import structlog
from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.registry import CollectorRegistry

from exporter import __version__
from exporter.metrics.exposition import Exposition
from exporter.metrics.families import render
from exporter.reload import Reload
from exporter.setup import prepared
from exporter.status import ProcessStatus, ProjectStatus
from exporter.web.application import application
from exporter.web.connections import Limits
from exporter.web.current import CurrentWebFile
from exporter.web.lifecycle import add_lifecycle
from exporter.web.listener import listening_sockets
from exporter.web.server import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import web

    from exporter import config
    from exporter.cloud.connect import Connection
    from exporter.setup import Setup
    from exporter.watch import Watch

PUBLISH_INTERVAL = 1.0
"""Seconds between two publishes; longer where one takes long."""

_PUBLISH_SHARE = 0.05  # of the time at most goes into publishing

_TURN = 0.001  # seconds that a publish takes before others have their turn

_RETRY_PAUSE = 60.0  # seconds after a publish that failed

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Exporter:
    """The projects under watch, and what was last published of them."""

    def __init__(self, setup: Setup, now: Callable[[], float]) -> None:
        own = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=own)
        self.exposition = Exposition(own)
        self.statuses: tuple[ProjectStatus, ...] = ()
        """As last published."""
        self.setup = setup
        self._now = now
        self._process = ProcessStatus(
            version=__version__,
            revision=_revision(),
            python_version=platform.python_version(),
            reload_successful=True,
            loaded_at=now(),
        )
        self.stopping = False
        """Whether :meth:`run` has ended, after which nothing can be adopted."""
        self._polling: dict[Watch, asyncio.Task[None]] = {}
        self._leaving: set[Connection] = set()
        """Connections that nobody uses any more, and that are not closed yet."""
        self._one_publish_at_a_time = asyncio.Lock()

    async def publish(self) -> float:
        """Make what is known now what is served, in steps between which others have their turn.

        Returns the seconds that the steps took, without those of the others.
        """
        async with self._one_publish_at_a_time:
            began = turn = time.perf_counter()
            others = 0.0
            statuses = tuple(watch.status() for watch in self.setup.watches)
            try:
                for _ in self.exposition.publishing(render(statuses, self.setup.labelling, self._process)):
                    paused = time.perf_counter()
                    if paused - turn >= _TURN:
                        await asyncio.sleep(0)
                        turn = time.perf_counter()
                        others += turn - paused
            finally:
                self.statuses = statuses
            return time.perf_counter() - began - others

    async def run(self) -> None:
        """Poll and publish until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._poll()
                while True:
                    pause = await self._publish_timed()
                    await asyncio.sleep(pause)
        finally:
            self.stopping = True

    async def aclose(self) -> None:
        """Close all connections to the cloud."""
        for connection in {*self._leaving, *(watch.connection for watch in self.setup.watches)}:
            await connection.close()

    def adopt(self, setup: Setup) -> None:
        """Go on with another setup, in one step. Only while :meth:`run` runs."""
        self.setup = setup
        self._poll()

    async def reloaded(self, *, successful: bool) -> None:
        """Publish how a reload ended, and what has come of it."""
        loaded_at = self._now() if successful else self._process.loaded_at
        self._process = replace(self._process, reload_successful=successful, loaded_at=loaded_at)
        await self._publish_timed()

    def _poll(self) -> None:
        """Start the polling of what is new, and end that of what is gone."""
        for watch in [watch for watch in self._polling if watch not in self.setup.watches]:
            task = self._polling.pop(watch)
            task.cancel()
            if all(other.connection is not watch.connection for other in self.setup.watches):
                self._leaving.add(watch.connection)
                self._tasks.create_task(self._let_go(watch.connection, task))
        for watch in self.setup.watches:
            if watch not in self._polling:
                self._polling[watch] = self._tasks.create_task(watch.run())

    async def _let_go(self, connection: Connection, last_user: asyncio.Task[None]) -> None:
        await asyncio.wait([last_user])
        await connection.close()
        self._leaving.discard(connection)

    async def _publish_timed(self) -> float:
        """Publish, and say after how many seconds to do it again. A mistake of our own leaves nothing published."""
        try:
            took = await self.publish()
        except Exception:
            _logger.exception("publish_failed", retry_in_seconds=_RETRY_PAUSE)
            self.exposition.publish(())  # what is not known is absent
            return _RETRY_PAUSE
        return max(PUBLISH_INTERVAL, took / _PUBLISH_SHARE)


@dataclass(frozen=True)
class Running:
    """An exporter at work."""

    exporter: Exporter
    address: str
    """Where it was served at the start, as a URL."""
    reload: Reload


@asynccontextmanager
async def exporting(
    settings: config.Settings,
    load: Callable[[], config.Settings] | None = None,
    now: Callable[[], float] = time.time,
) -> AsyncIterator[Running]:
    """An exporter that polls and serves as long as the context lasts; ``load`` reads the settings anew.

    Raises:
        ConfigError: a file that the settings rely on is of no use.
        OSError: the address cannot be listened on.
    """
    async with aclosing(Exporter(prepared(settings, now), now)) as exporter:
        await exporter.publish()
        server = Server(CurrentWebFile(settings.web.config_file), Limits())
        reload = Reload(exporter, server, load or (lambda: settings), now)
        async with server.running(_application(exporter, reload)):
            server.listen(await listening_sockets(settings.web))
            _logger.info("listening", address=server.address)
            async with asyncio.TaskGroup() as group:
                running = group.create_task(exporter.run())
                try:
                    yield Running(exporter, server.address, reload)
                finally:
                    running.cancel()
                    _logger.info("stopped")


def _application(exporter: Exporter, reload: Reload) -> web.Application:
    def settings() -> config.Web:
        return exporter.setup.web

    app = application(settings, exporter.exposition, lambda: exporter.statuses)
    add_lifecycle(app, settings, reload, lambda: signal.raise_signal(signal.SIGTERM))
    return app


def _revision() -> str:
    """The commit that the package was built from; ``unknown`` where it runs from its sources."""
    file = resources.files("exporter") / "REVISION"
    return file.read_text("ascii").strip() if file.is_file() else "unknown"
