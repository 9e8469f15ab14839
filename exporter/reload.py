"""Reads the configuration again, and puts it in force as a whole or not at all."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING

import structlog

from exporter import config, logs
from exporter.setup import prepared
from exporter.threads import in_a_thread
from exporter.web.current import CurrentWebFile
from exporter.web.listener import listening_sockets

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from exporter.app import Exporter
    from exporter.web.server import Server

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Reload:
    """Reloads an exporter's configuration, one time after the other. ``load`` reads it, and raises ConfigError."""

    def __init__(
        self, exporter: Exporter, server: Server, load: Callable[[], config.Settings], now: Callable[[], float]
    ) -> None:
        self._exporter = exporter
        self._server = server
        self._load = load
        self._now = now
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self) -> None:
        """Reload.

        Raises:
            ConfigError: it was refused, and all goes on as before.
        """
        async with self._one_at_a_time:
            try:
                settings = await in_a_thread(self._load)
                await self._take_over(settings)
            except config.ConfigError as error:
                await self._exporter.reloaded(successful=False)
                _logger.error("reload_refused", mistakes=[str(mistake) for mistake in error.mistakes])  # noqa: TRY400 - nothing to trace
                raise
            logs.configure(settings.log)
            await self._exporter.reloaded(successful=True)
            users = sum(len(project.users) for project in settings.watched)
            _logger.info("reloaded", projects=len(settings.watched), users=users, address=self._server.address)

    async def _take_over(self, settings: config.Settings) -> None:
        """First all that may fail, then the swap, during which nothing else runs."""
        with ExitStack() as undo:
            sockets = await self._new_sockets(settings.web)
            for each in sockets:
                undo.callback(each.close)
            if self._exporter.stopping:
                raise config.ConfigError([config.Mistake("exporter", "", "is stopping; nothing was reloaded")])
            web_file = self._web_file(settings.web)
            setup = prepared(settings, self._now, self._exporter.setup)
            undo.pop_all()
        self._server.web_file = web_file
        if sockets:
            self._server.listen(sockets)
        self._exporter.adopt(setup)

    async def _new_sockets(self, web: config.Web) -> list[socket.socket]:
        """Sockets for another address; none where it stays the same."""
        if web.listen_address == self._exporter.setup.web.listen_address:
            return []
        try:
            return await listening_sockets(web)
        except OSError as error:
            raise config.ConfigError([config.Mistake("configuration", "web.listen_address", str(error))]) from error

    def _web_file(self, web: config.Web) -> CurrentWebFile:
        present = self._server.web_file
        return present if present.path == web.config_file else CurrentWebFile(web.config_file)
