"""Reads the configuration again, and puts it in force as a whole or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from exporter import config, logs
from exporter.setup import prepared

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.app import Exporter

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Reload:
    """Reloads an exporter's configuration, one time after the other. ``load`` reads it, and raises ConfigError."""

    def __init__(self, exporter: Exporter, load: Callable[[], config.Settings], now: Callable[[], float]) -> None:
        self._exporter = exporter
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
                settings = await asyncio.to_thread(self._load)
                setup = prepared(settings, self._now, self._exporter.setup)
            except config.ConfigError as error:
                self._exporter.reloaded(successful=False)
                _logger.error("reload_refused", mistakes=[str(mistake) for mistake in error.mistakes])  # noqa: TRY400 - nothing to trace
                raise
            self._exporter.adopt(setup)
            logs.configure(settings.log)
            users = sum(len(project.users) for project in settings.projects)
            _logger.info("reloaded", projects=len(settings.projects), users=users)
