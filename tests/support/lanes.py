"""Requests sent as polling sends them: through a lane, which paces them and repeats what may pass."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from exporter.cloud.client import LIST_USERS
from exporter.polling.cycles import FailureLog
from exporter.polling.gate import Access, KeyGate
from exporter.polling.lane import Lane
from exporter.polling.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter.cloud.connect import Connection
    from exporter.cloud.models import UserPage

T = TypeVar("T")


def lane_of(connection: Connection, operation: str, rate_limit: float = 60_000.0, concurrency: int = 16) -> Lane:
    """A lane of its own for an operation."""
    access = Access("berlin", connection.credentials.fingerprint, KeyGate())
    lane = Lane(operation, FailureLog("berlin", operation, lambda: 0.0), Pace(), access)
    lane.apply(concurrency, rate_limit, lane.pace, access)
    return lane


class Querying:
    """ListUsers through a lane."""

    def __init__(self, connection: Connection) -> None:
        self._client = connection.client
        self.lane = lane_of(connection, LIST_USERS)

    async def list_users(self) -> UserPage:
        return await self._perform(lambda: self._client.list_users([], 0))

    async def _perform(self, send: Callable[[], Awaitable[T]]) -> T:
        return await self.lane.request(send, asyncio.get_running_loop().time() + 60)
