"""The running process: settings in, a polling and serving exporter out; and how it is reloaded."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from aiohttp import web

from exporter.config import ConfigError, Mistake, Settings, Web, shown
from exporter.logs import configure
from exporter.runner import Exporter
from exporter.setup import prepared
from exporter.threads import in_a_thread
from exporter.web.application import add_lifecycle, application
from exporter.web.connections import Limits
from exporter.web.server import CurrentWebFile, Server
from exporter.web.sockets import Sockets, listening_sockets

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Reload:
    """Reloads an exporter's configuration, one time after the other. ``load`` reads it."""

    def __init__(
        self, exporter: Exporter, server: Server, load: Callable[[], Settings], now: Callable[[], float]
    ) -> None:
        self.shown: tuple[bytes, ...] = ()  # the configuration in effect, as /-/config shows it
        self._exporter = exporter
        self._server = server
        self._load = load
        self._now = now
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self) -> None:
        """Reload.

        Raises:
            ConfigError: the new configuration was rejected, for whatever reason, and the old one stays.
        """
        async with self._one_at_a_time:
            try:
                settings = await in_a_thread(self._load)
                configuration = await _shown(settings)
                await self._apply(settings)
                self.shown = configuration
            except ConfigError as error:
                await self._reject(error)
                raise
            except Exception as error:
                _logger.exception("reload_failed")
                rejected = ConfigError([Mistake("configuration", "", f"cannot be applied: {type(error).__name__}")])
                await self._reject(rejected)
                raise rejected from error
            configure(settings.log)
            await self._exporter.reloaded(successful=True)
            users = sum(len(watch.fleet.members) for watch in self._exporter.setup.watches)
            _logger.info(
                "reloaded", projects=len(settings.watched), users=users, address=", ".join(self._server.addresses)
            )

    async def _reject(self, error: ConfigError) -> None:
        await self._exporter.reloaded(successful=False)
        for mistake in error.mistakes:
            _logger.error("reload_rejected", mistake=str(mistake))
            await asyncio.sleep(0)  # there may be thousands

    async def _apply(self, settings: Settings) -> None:
        """Do first what may fail, then what cannot."""
        with ExitStack() as undo:
            present = self._server.sockets
            sockets = await self._sockets(settings.web, present)
            for address in sockets.keys() - present.keys():
                for each in sockets[address]:
                    undo.callback(each.close)
            if self._exporter.stopping:
                raise ConfigError([Mistake("exporter", "", "is stopping; nothing was reloaded")])
            web_file = self._web_file(settings.web)
            setup, plans = prepared(settings, self._now, self._exporter.setup)
            undo.pop_all()
        self._server.web_file = web_file
        self._server.listen(sockets)
        await self._exporter.adopt(setup, plans)

    @staticmethod
    async def _sockets(web: Web, present: Sockets) -> Sockets:
        try:
            return await listening_sockets(web, present)
        except OSError as error:
            path = "web.systemd_socket" if web.systemd_socket else "web.listen_address"
            raise ConfigError([Mistake("configuration", path, str(error))]) from error

    def _web_file(self, web: Web) -> CurrentWebFile:
        present = self._server.web_file
        return present if present.path == web.config_file else CurrentWebFile(web.config_file)


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
        reload.shown = await _shown(settings)
        async with server.running(_application(exporter, reload)):
            server.listen(await listening_sockets(settings.web))
            for address in server.addresses:
                _logger.info("listening", address=address)
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

    app = application(settings, exporter.exposition, lambda: exporter.published, configuration=lambda: reload.shown)
    add_lifecycle(app, settings, reload, lambda: signal.raise_signal(signal.SIGTERM))
    return app


async def _shown(settings: Settings) -> tuple[bytes, ...]:
    """Return what /-/config shows; nothing while it is off."""
    return ((await in_a_thread(partial(shown, settings))).encode(),) if settings.web.enable_config else ()
