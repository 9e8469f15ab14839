"""What all operations of one project share, apart from their lanes."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from exporter.cloud.models import Session, SessionPage, UserDetail, UserPage
from exporter.config import Poll
from exporter.fleet import Fleet


def monotonic() -> float:
    """Return seconds on the event loop's clock."""
    return asyncio.get_running_loop().time()


class Cloud(Protocol):
    """The operations that are polled. Each is one request and raises CloudError."""

    async def list_session_by_user_name(self, user_name: str) -> tuple[Session, ...]:
        """Return the sessions of one user."""

    async def list_user_detail(self, user_id: str) -> UserDetail:
        """Return the flags of one account."""

    async def list_users(self, user_names: Sequence[str], offset: int, limit: int = ...) -> UserPage:
        """Return a page of the users with these names, or of all users."""

    async def list_sessions(self, begin: float, end: float, session_states: Sequence[str], offset: int) -> SessionPage:
        """Return a page of the sessions that started within a span of wall time."""


@dataclass
class PollContext:
    """One project's users, its cloud and its settings, which a reload may replace."""

    fleet: Fleet
    cloud: Cloud
    poll: Poll
    now: Callable[[], float]  # the wall clock, in seconds since 1970
