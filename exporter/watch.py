"""One project under watch: its connection, its users, its polling, and how they stand together."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from exporter.cloud.connect import Connection, connected
from exporter.fleet import Fleet
from exporter.polling.poller import Poller
from exporter.status import OperationStatus, ProjectStatus

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from exporter import config

_RESTART_PAUSE = 60.0  # seconds after a mistake of our own ended the polling

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Watch:
    """A project with all that watching it takes. ``now`` gives the wall clock, in seconds since 1970."""

    project: str
    connection: Connection
    fleet: Fleet
    poller: Poller
    now: Callable[[], float]

    async def run(self) -> None:
        """Poll until cancelled. Not even a mistake of our own ends it, or touches another project."""
        self._tell_budget()
        while True:
            try:
                await self.poller.run()
            except Exception:
                _logger.exception("polling_crashed", project=self.project, restart_in_seconds=_RESTART_PAUSE)
                await asyncio.sleep(_RESTART_PAUSE)

    def status(self) -> ProjectStatus:
        """The project as it stands."""
        poller = self.poller
        counts = self.fleet.counts(
            sessions_since=poller.fresh_since(poller.sessions), accounts_since=poller.fresh_since(poller.accounts)
        )
        fresh = {poller.sessions.name: counts.fresh_sessions, poller.accounts.name: counts.fresh_accounts}
        nobody_to_ask = not counts.users
        return ProjectStatus(
            project=self.project,
            taken_at=self.now(),
            counts=counts,
            init_failures=self.fleet.init_failures,
            operations={
                operation.name: OperationStatus(
                    deepcopy(operation.rounds), poller.interval(operation), fresh[operation.name]
                )
                for operation in poller.operations
            },
            up=poller.sessions.rounds.up and (counts.fresh_sessions > 0 or nobody_to_ask),
            telemetry=self.connection.telemetry,
            credentials_expire_at=self.connection.credentials.expires_at,
        )

    def _tell_budget(self) -> None:
        for operation in self.poller.operations:
            interval = self.poller.interval(operation)
            _logger.info(
                "polling_started",
                project=self.project,
                operation=operation.name,
                users=len(self.fleet.members),
                interval_seconds=round(interval, 3),
                calls_per_minute=round(len(self.fleet.members) * 60 / interval, 1),
            )
            if interval > operation.configured_interval:
                _logger.warning(
                    "interval_stretched",
                    project=self.project,
                    operation=operation.name,
                    configured_seconds=operation.configured_interval,
                    interval_seconds=round(interval, 3),
                    reason="this many users need more calls than poll.rate_limit allows in the configured interval",
                )


@asynccontextmanager
async def watching(
    project: config.Project, settings: config.Settings, tls: ssl.SSLContext, now: Callable[[], float]
) -> AsyncIterator[Watch]:
    """A watch whose connection is open as long as the context lasts; :meth:`Watch.run` starts the polling."""
    async with connected(project, settings, tls, now) as connection:
        fleet = Fleet((user.name, user.id) for user in project.users)
        poller = Poller(project.name, fleet, connection.client, settings.poll, now)
        yield Watch(project.name, connection, fleet, poller, now)
