"""Runs the watches, and publishes their state for scrapes."""

import asyncio
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import structlog
from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.registry import CollectorRegistry

from exporter import __version__
from exporter.cloud.connect import Connection
from exporter.config import User
from exporter.logs import lines_dropped
from exporter.metrics.exposition import Exposition
from exporter.metrics.families import render, user_lines
from exporter.setup import Plan, Setup
from exporter.status import ProcessStatus, Published
from exporter.version import revision
from exporter.watch import Watch

PUBLISH_INTERVAL = 1.0  # seconds between two publishes; longer if one takes long
_PUBLISH_SHARE = 0.05  # of the time at most is spent publishing
_TURN = 0.001  # seconds that a publish takes before other tasks get a chance
_RETRY_PAUSE = 60.0  # seconds after a failed publish

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Exporter:
    """The watches of a setup, and what was last published of them."""

    def __init__(self, setup: Setup, now: Callable[[], float]) -> None:
        own = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=own)
        self.exposition = Exposition(own)
        self._user_lines = user_lines()
        self._process = ProcessStatus(
            version=__version__, revision=revision(), python_version=platform.python_version(), loaded_at=now()
        )
        self.published = Published(self._process)
        self.setup = setup
        self.stopping = False  # whether :meth:`run` has ended, after which no setup can be adopted
        self._now = now
        self._tasks: asyncio.TaskGroup | None = None
        self._polling: dict[Watch, asyncio.Task[None]] = {}
        self._following: list[asyncio.Task[None]] = []  # users files
        self._leaving: set[Connection] = set()  # connections that are no longer used and not yet closed
        self._one_at_a_time = asyncio.Lock()
        self._failures_found = asyncio.Event()

    async def publish(self) -> float:
        """Publish the present state, in steps with chances for other tasks.

        Return the processor time in seconds that the steps took, without that of the other tasks.
        """
        async with self._one_at_a_time:
            began = turn = time.thread_time()
            others = 0.0
            for _ in self._publishing():
                paused = time.thread_time()
                if paused - turn >= _TURN:
                    await asyncio.sleep(0)
                    turn = time.thread_time()
                    others += turn - paused
            return time.thread_time() - began - others

    def _publishing(self) -> Iterator[None]:
        watches = self.setup.watches
        for watch in watches:
            yield from watch.expire()
        statuses = []
        for watch in watches:
            statuses.append(watch.status())
            yield
        process = replace(
            self._process, users_files_rejected=self._users_files_rejected(), log_lines_dropped=lines_dropped()
        )
        try:
            yield from self.exposition.publishing(render(statuses, self.setup.labelling, process, self._user_lines))
        finally:
            self.published = Published(process, tuple(statuses))

    def _users_files_rejected(self) -> Mapping[str, float]:
        files = self.setup.users_files.items()
        return {watch.spec.project.name: file.rejected_at for watch, file in files if file.rejected_at is not None}

    async def run(self) -> None:
        """Poll and publish until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._poll_new_watches()
                self._follow_users_files()
                while True:
                    pause = await self._publish_timed()
                    await asyncio.sleep(pause)
                    await self._rest(PUBLISH_INTERVAL - pause)
        finally:
            self.stopping = True

    async def aclose(self) -> None:
        """Close all connections to the cloud."""
        for connection in {*self._leaving, *(watch.connection for watch in self.setup.watches)}:
            await connection.close()

    async def adopt(self, setup: Setup, plans: Sequence[Plan]) -> None:
        """Continue with another setup. Nothing is published until it is complete."""
        async with self._one_at_a_time:
            connections = {watch.connection for watch in self.setup.watches}
            if self._following:  # what they read has been read anew
                for following in self._following:
                    following.cancel()
                await asyncio.wait(self._following)
            for watch in set(self.setup.watches) - set(setup.watches):
                if polling := self._polling.pop(watch, None):
                    polling.cancel()
                    await asyncio.wait([polling])
                watch.poller.close()
            for plan in plans:
                await plan()
            self.setup = setup
            for watch in setup.watches:
                watch.failures_found = self._failures_found.set
                watch.follow_shares()
            if self._tasks:
                self._poll_new_watches()
                self._follow_users_files()
                for connection in connections - {watch.connection for watch in setup.watches}:
                    self._leaving.add(connection)
                    self._tasks.create_task(self._close_unused(connection))

    async def _rest(self, seconds: float) -> None:
        """Wait so long, or until a watch has found failures to publish."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._failures_found.wait()
        self._failures_found.clear()

    async def reloaded(self, *, successful: bool) -> None:
        """Publish how a reload ended and what it changed."""
        if successful:
            self._process = replace(self._process, loaded_at=self._now(), reload_rejected_at=None)
        elif self._process.reload_rejected_at is None:
            self._process = replace(self._process, reload_rejected_at=self._now())
        await self._publish_timed()

    def _poll_new_watches(self) -> None:
        assert self._tasks
        for watch in self.setup.watches:
            if watch not in self._polling:
                self._polling[watch] = self._tasks.create_task(watch.run())

    def _follow_users_files(self) -> None:
        assert self._tasks
        self._following = [
            self._tasks.create_task(file.follow(partial(self._watch_users, watch)))
            for watch, file in self.setup.users_files.items()
        ]

    async def _watch_users(self, watch: Watch, configured: Sequence[User]) -> None:
        await watch.watch_users(configured)
        for each in self.setup.watches:  # other projects may share the rate limit
            each.follow_shares()

    async def _close_unused(self, connection: Connection) -> None:
        """Close a connection when its last requests have ended."""
        await asyncio.sleep(connection.timeout)
        await connection.close()
        self._leaving.discard(connection)

    async def _publish_timed(self) -> float:
        """Publish, and return the seconds until the next time at the earliest.

        After a bug of ours nothing is published.
        """
        failed_at = self.published.process.publish_failed_at
        try:
            took = await self.publish()
        except Exception:
            _logger.exception("publish_failed", retry_in_seconds=_RETRY_PAUSE)
            self.exposition.publish(())  # what is not known is absent
            process = replace(self.published.process, publish_failed_at=failed_at or self._now())
            self.published = replace(self.published, process=process)
            return _RETRY_PAUSE
        return took / _PUBLISH_SHARE
