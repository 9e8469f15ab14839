"""Puts the parts together: settings in, a polling and serving exporter out."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import structlog
from aiohttp import web

from exporter.config import Settings, Web
from exporter.reload import Reload
from exporter.runner import Exporter
from exporter.setup import prepared
from exporter.web.application import add_lifecycle, application
from exporter.web.connections import Limits
from exporter.web.current import CurrentWebFile
from exporter.web.listener import listening_sockets
from exporter.web.server import Server

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Running:
    """A running exporter."""

    exporter: Exporter
    address: str  # the URL at which it was served at the start
    reload: Reload


@asynccontextmanager
async def exporting(
    settings: Settings, load: Callable[[], Settings] | None = None, now: Callable[[], float] = time.time
) -> AsyncIterator[Running]:
    """Run an exporter as long as the context lasts. ``load`` reads the settings again for a reload.

    Raises:
        ConfigError: a file that the settings rely on is unusable.
        OSError: the address cannot be listened on.
    """
    setup, plans = prepared(settings, now)
    async with aclosing(Exporter(setup, now)) as exporter:
        await exporter.adopt(setup, plans)
        del plans
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
    def settings() -> Web:
        return exporter.setup.web

    app = application(settings, exporter.exposition, lambda: exporter.statuses)
    add_lifecycle(app, settings, reload, lambda: signal.raise_signal(signal.SIGTERM))
    return app
