"""The few calls with credentials: each permission once, about one user or about all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from exporter.cloud.errors import CloudError, NotFound, Unauthorized
from exporter.fleet import LIVE_STATES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from exporter import config
    from exporter.cloud.client import Client
    from exporter.cloud.models import Session, SessionPage, UserDetail, UserPage

T = TypeVar("T")

MOST_USERS_TRIED = 3
"""If the cloud does not know the first user, the next ones are tried, so many in all."""

NOBODY = "0" * 32
"""An id that nobody has; that the cloud does not know it is an answer, too."""

TIMEOUT = "timeout"
"""The outcome of a call without an answer in time."""

REFUSED = "the credentials are refused"
UNREACHED = "the endpoint is not reached"
SILENT = "the endpoint has stopped answering"


@dataclass(frozen=True)
class NotAsked:
    """Nothing was asked, and why."""

    reason: str


@dataclass
class Interview:
    """Asks one call after another, about the user at ``position`` of the list; the first is 1.

    Once the credentials are refused nothing more is asked, lest the key be locked; and nothing more of an endpoint
    that is not reached or has kept silent, lest it take long.
    """

    client: Client
    users: Sequence[config.User]
    closed: dict[str, str] = field(default_factory=dict)
    """Endpoints that are not to be asked, with the reason."""
    barred: str | None = None
    """Why nothing at all is to be asked."""
    position: int = 1

    @property
    def user(self) -> config.User:
        """The user that the answers are about."""
        return self.users[self.position - 1]

    async def sessions(self) -> tuple[Session, ...] | CloudError | NotAsked:
        """The sessions of the first user; while the cloud does not know the user, of the next, up to a few."""
        last = min(len(self.users), MOST_USERS_TRIED)
        while isinstance(answer := await self._sessions(), NotFound) and self.position < last:
            self.position += 1
        return answer

    async def found_users(self) -> UserPage | CloudError | NotAsked:
        """What the cloud finds for the user's name."""
        return await self._ask(self.client.endpoints.users, lambda: self.client.list_users([self.user.name], 0))

    async def detail(self, user_id: str | None) -> UserDetail | CloudError | NotAsked:
        """The flags of the user with this id; without one nobody's, for the permission's sake."""
        return await self._ask(self.client.endpoints.users, lambda: self.client.list_user_detail(user_id or NOBODY))

    async def listed_sessions(self, begin: float, end: float) -> SessionPage | CloudError | NotAsked:
        """A page of everybody's live sessions that started within a span, in seconds since 1970."""
        return await self._ask(
            self.client.endpoints.sessions, lambda: self.client.list_sessions(begin, end, LIVE_STATES, 0)
        )

    async def listed_users(self) -> UserPage | CloudError | NotAsked:
        """A page of all users."""
        return await self._ask(self.client.endpoints.users, lambda: self.client.list_users((), 0))

    async def _sessions(self) -> tuple[Session, ...] | CloudError | NotAsked:
        return await self._ask(
            self.client.endpoints.sessions, lambda: self.client.list_session_by_user_name(self.user.name)
        )

    async def _ask(self, endpoint: str, question: Callable[[], Awaitable[T]]) -> T | CloudError | NotAsked:
        if reason := self.barred or self.closed.get(endpoint):
            return NotAsked(reason)
        try:
            return await question()
        except CloudError as error:
            if isinstance(error, Unauthorized):
                self.barred = REFUSED
            if error.outcome == TIMEOUT:
                self.closed[endpoint] = SILENT
            return error
