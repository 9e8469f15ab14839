"""What the poller asks of the cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.cloud.models import Session, SessionPage, UserDetail, UserPage


class Cloud(Protocol):
    """The operations that the poller asks for; each is one call and raises CloudError."""

    async def list_session_by_user_name(self, user_name: str) -> tuple[Session, ...]:
        """The sessions of one user."""

    async def list_user_detail(self, user_id: str) -> UserDetail:
        """The flags of one account."""

    async def list_users(self, user_names: Sequence[str], offset: int, limit: int = ...) -> UserPage:
        """A page of the users that the cloud finds for these names, or of all."""

    async def list_sessions(self, begin: float, end: float, session_states: Sequence[str], offset: int) -> SessionPage:
        """A page of the sessions that started within a span of wall time."""
