"""Puts the parts together: settings in, a polling and serving exporter out."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import time
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import resources
from typing import TYPE_CHECKING

import structlog
from aiohttp.http import HttpProcessingError
from aiohttp.web import AppRunner, TCPSite
from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.registry import CollectorRegistry

from exporter import __version__
from exporter.cloud.transport import tls_context
from exporter.metrics.exposition import Exposition
from exporter.metrics.families import collect
from exporter.metrics.labels import Labelling
from exporter.status import ProcessStatus, ProjectStatus
from exporter.watch import Watch, watching
from exporter.web.application import application

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from prometheus_client.core import Metric

    from exporter import config

PUBLISH_INTERVAL = 1.0
"""Seconds between two publishes; longer where one takes long."""

_PUBLISH_SHARE = 0.05  # of the time at most goes into publishing

_RETRY_PAUSE = 60.0  # seconds after a publish that failed

_SHUTDOWN_TIMEOUT = 2.0  # seconds that requests under way get to end

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Exporter:
    """The projects under watch, and what was last published of them."""

    def __init__(self, watches: Sequence[Watch], labelling: Labelling, now: Callable[[], float]) -> None:
        self.exposition = Exposition()
        self.statuses: tuple[ProjectStatus, ...] = ()
        """As last published."""
        self._watches = watches
        self._labelling = labelling
        self._process = ProcessStatus(
            version=__version__,
            revision=_revision(),
            python_version=platform.python_version(),
            reload_successful=True,
            loaded_at=now(),
        )
        self._own = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._own)

    def publish(self) -> None:
        """Make what is known now what is served."""
        self.statuses = tuple(watch.status() for watch in self._watches)
        self.exposition.publish(self._families())

    async def run(self) -> None:
        """Poll and publish until cancelled."""
        async with asyncio.TaskGroup() as group:
            for watch in self._watches:
                group.create_task(watch.run())
            while True:
                pause = self._publish_timed()
                await asyncio.sleep(pause)

    def _publish_timed(self) -> float:
        """Publish, and say after how many seconds to do it again. A mistake of our own leaves nothing published."""
        began = time.perf_counter()
        try:
            self.publish()
        except Exception:
            _logger.exception("publish_failed", retry_in_seconds=_RETRY_PAUSE)
            self.exposition.publish(())  # what is not known is absent
            return _RETRY_PAUSE
        return max(PUBLISH_INTERVAL, (time.perf_counter() - began) / _PUBLISH_SHARE)

    def _families(self) -> Iterator[Metric]:
        yield from collect(self.statuses, self._labelling, self._process)
        yield from self._own.collect()


@asynccontextmanager
async def exporting(
    settings: config.Settings, now: Callable[[], float] = time.time
) -> AsyncIterator[tuple[Exporter, str]]:
    """An exporter that polls and serves as long as the context lasts, with the address that it is served at.

    Raises:
        OSError: the address cannot be listened on.
    """
    tls = tls_context(settings.http.ca_file)
    async with AsyncExitStack() as stack:
        watches = [
            await stack.enter_async_context(watching(project, settings, tls, now)) for project in settings.projects
        ]
        exporter = Exporter(watches, Labelling.of(settings.metrics), now)
        exporter.publish()
        address = await stack.enter_async_context(_served(exporter, settings.web))
        _logger.info("listening", address=address)
        stack.callback(_logger.info, "stopped")
        async with asyncio.TaskGroup() as group:
            running = group.create_task(exporter.run())
            try:
                yield exporter, address
            finally:
                running.cancel()


@asynccontextmanager
async def _served(exporter: Exporter, settings: config.Web) -> AsyncIterator[str]:
    app = application(settings.telemetry_path, exporter.exposition, lambda: exporter.statuses)
    runner = AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT)
    logging.getLogger("aiohttp.server").addFilter(_is_ours)
    await runner.setup()
    try:
        await _listen(runner, settings)
        yield _address(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


async def _listen(runner: AppRunner, settings: config.Web) -> None:
    try:
        await TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        remedy = "choose another address with --web.listen-address"
        raise OSError(
            f"cannot listen on {settings.listen_address}: {os.strerror(error.errno or 0)}; {remedy}"
        ) from error


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a server's complaint is about us: not about what is no HTTP, and might hold somebody's password."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _revision() -> str:
    """The commit that the package was built from; ``unknown`` where it runs from its sources."""
    file = resources.files("exporter") / "REVISION"
    return file.read_text("ascii").strip() if file.is_file() else "unknown"
