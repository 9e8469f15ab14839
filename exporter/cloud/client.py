"""The operations that the exporter asks the cloud for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec

from exporter.cloud import models
from exporter.cloud.credentials import Kept
from exporter.cloud.errors import Unauthorized
from exporter.cloud.signer import encoded, query_string
from exporter.cloud.transport import Request, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.cloud.auth import Auth
    from exporter.cloud.credentials import Credentials

LIST_SESSION_BY_USER_NAME = "ListSessionByUserName"
LIST_USER_DETAIL = "ListUserDetail"
LIST_USERS = "ListUsers"
LIST_SESSIONS = "ListSessions"

IAM_ACTIONS = {
    LIST_SESSION_BY_USER_NAME: "workspace:session:listSessionByUserName",
    LIST_USER_DETAIL: "workspace:users:get",
    LIST_USERS: "workspace:users:list",
    LIST_SESSIONS: "workspace:session:listSessions",
}
"""The permission that each operation needs."""

QUOTA = 200.0
"""Calls a minute of one operation that the reference documents for all that an account runs."""

PAGE_SIZE = 100
"""Entries asked for on a page of ListUsers, where not told otherwise."""

SESSIONS_A_PAGE = 100
"""Entries on a page of ListSessions, which the reference allows at most."""

T = TypeVar("T")


@dataclass(frozen=True)
class Endpoints:
    """Base addresses of the two services, without a slash at the end."""

    sessions: str
    users: str


class Client:
    """The cloud as one project sees it. Every method raises CloudError where no usable answer came."""

    def __init__(self, project_id: str, endpoints: Endpoints, credentials: Credentials, transport: Transport) -> None:
        self._project_id = project_id
        self.endpoints = endpoints
        self._headers = {"Content-Type": "application/json", "X-Project-Id": project_id}
        self._credentials = credentials
        self._transport = transport
        self._second_chance = asyncio.Lock()
        self._refused: Auth | None = None

    def sending(self, auth: Auth) -> Client:
        """The same client, which sends this authentication whatever comes of it, and renews nothing."""
        return Client(self._project_id, self.endpoints, Kept(lambda: auth), self._transport)

    async def list_session_by_user_name(self, user_name: str) -> tuple[models.Session, ...]:
        """The sessions of one user."""
        request = self._request(
            LIST_SESSION_BY_USER_NAME,
            self.endpoints.sessions,
            f"/v1/{self._project_id}/session/user-session-info",
            [("user_name", user_name)],
        )
        answer = await self._ask(request, models.session_list)
        self._transport.telemetry.texts_cut += answer.cut
        return answer.sessions

    async def list_user_detail(self, user_id: str) -> models.UserDetail:
        """The flags of one account."""
        request = self._request(
            LIST_USER_DETAIL, self.endpoints.users, f"/v2/{self._project_id}/users/{encoded(user_id)}", []
        )
        return await self._ask(request, models.user_detail)

    async def list_users(self, user_names: Sequence[str], offset: int, limit: int = PAGE_SIZE) -> models.UserPage:
        """A page of the users that the cloud finds for these names, from ``offset`` on; it may find others besides.

        Without names, of all users.
        """
        names = [("user_names", ",".join(user_names))] if user_names else []
        parameters = [*names, ("limit", str(limit)), ("offset", str(offset))]
        request = self._request(LIST_USERS, self.endpoints.users, f"/v2/{self._project_id}/users", parameters)
        return await self._ask(request, models.user_page)

    async def list_sessions(
        self, begin: float, end: float, session_states: Sequence[str], offset: int
    ) -> models.SessionPage:
        """A page of the sessions in one of these states that started within a span, in seconds since 1970."""
        parameters = [
            ("limit", str(SESSIONS_A_PAGE)),
            ("offset", str(offset)),
            ("query_begin_time", _query_time(begin)),
            ("query_end_time", _query_time(end)),
            ("session_state", ",".join(session_states)),
        ]
        path = f"/v1/{self._project_id}/session/list-sessions"
        answer = await self._ask(
            self._request(LIST_SESSIONS, self.endpoints.sessions, path, parameters), models.session_page
        )
        self._transport.telemetry.texts_cut += answer.cut
        return answer

    def _request(self, operation: str, endpoint: str, path: str, parameters: list[tuple[str, str]]) -> Request:
        return Request(operation, "GET", endpoint, path, query_string(parameters), self._headers)

    async def _ask(self, request: Request, decode: Callable[[bytes], T]) -> T:
        """Send a request; after a 401 once more, if other credentials are at hand by then."""
        auth = await self._credentials.current()
        try:
            return await self._send(request, auth, decode)
        except Unauthorized:
            # One at a time, lest what was renewed be refused as often as there are calls under way.
            async with self._second_chance:
                renewed = await self._credentials.renewed(auth)
                if renewed in (auth, self._refused):
                    raise
                return await self._send_renewed(request, renewed, decode)

    async def _send_renewed(self, request: Request, renewed: Auth, decode: Callable[[bytes], T]) -> T:
        try:
            return await self._send(request, renewed, decode)
        except Unauthorized:
            self._refused = renewed
            raise

    async def _send(self, request: Request, auth: Auth, decode: Callable[[bytes], T]) -> T:
        signed = msgspec.structs.replace(request, headers=auth.headers(request, self._transport.now()))
        return await self._transport.send(signed, lambda answer: decode(answer.body))


def _query_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(seconds * 1000) % 1000:03}Z"
