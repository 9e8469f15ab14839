"""The operations of the cloud that the exporter queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import msgspec

from exporter.cloud.answers import server_group_page, server_page, session_list, session_page, user_detail, user_page
from exporter.cloud.auth import Auth, encoded, query_string
from exporter.cloud.credentials import Credentials, StaticCredentials
from exporter.cloud.errors import Unauthorized
from exporter.cloud.models import (
    ListedSession,
    ServerGroupPage,
    ServerPage,
    SessionPage,
    UserDetail,
    UserPage,
)
from exporter.cloud.transport import Request, Transport

LIST_SESSION_BY_USER_NAME = "ListSessionByUserName"
LIST_USER_DETAIL = "ListUserDetail"
LIST_USERS = "ListUsers"
LIST_SESSIONS = "ListSessions"
LIST_SERVERS = "ListServers"
LIST_SERVER_GROUPS = "ListServerGroups"

# The permission that each operation needs, from the API reference.
IAM_ACTIONS = {
    LIST_SESSION_BY_USER_NAME: "workspace:session:listSessionByUserName",
    LIST_USER_DETAIL: "workspace:users:get",
    LIST_USERS: "workspace:users:list",
    LIST_SESSIONS: "workspace:session:listSessions",
    LIST_SERVERS: "workspace:server:list",
    LIST_SERVER_GROUPS: "workspace:serverGroup:list",
}
USER_OPERATIONS = frozenset({LIST_USER_DETAIL, LIST_USERS})
"""The operations of the host for users. The host for sessions has the others."""

QUOTA = 200.0  # requests per minute that the reference documents for an operation and account
PAGE_SIZE = 100  # entries requested per page of ListUsers by default
SESSIONS_A_PAGE = 100  # entries per page of ListSessions, the maximum in the reference
SERVERS_A_PAGE = 100  # entries per page of ListServers and ListServerGroups, the maximum in the reference
T = TypeVar("T")


@dataclass(frozen=True)
class Endpoints:
    """Base addresses of the two services, without a slash at the end."""

    sessions: str
    users: str


class Client:
    """The API for one project. Every operation is one request and raises CloudError without a usable answer."""

    def __init__(self, project_id: str, endpoints: Endpoints, credentials: Credentials, transport: Transport) -> None:
        self._project_id = project_id
        self.endpoints = endpoints
        self._headers = {"Content-Type": "application/json", "X-Project-Id": project_id}
        self._credentials = credentials
        self._transport = transport

    @property
    def clock_skew(self) -> float | None:
        """Cloud clock minus exporter clock in seconds, None before the first answer."""
        return self._transport.telemetry.clock_skew

    def sending(self, auth: Auth) -> Client:
        """Return a client that always sends this authentication and renews nothing."""
        return Client(self._project_id, self.endpoints, StaticCredentials(lambda: auth), self._transport)

    async def list_session_by_user_name(self, user_name: str) -> tuple[ListedSession, ...]:
        """Return the sessions of the users with this name, in whatever domain."""
        path, query = f"/v1/{self._project_id}/session/user-session-info", f"user_name={encoded(user_name)}"
        answer = await self._get(LIST_SESSION_BY_USER_NAME, self.endpoints.sessions, path, query, session_list)
        self._transport.telemetry.texts_cut += answer.cut
        return answer.sessions

    async def list_user_detail(self, user_id: str) -> UserDetail:
        """Return the flags of one account."""
        path = f"/v2/{self._project_id}/users/{encoded(user_id)}"
        return await self._get(LIST_USER_DETAIL, self.endpoints.users, path, "", user_detail)

    async def list_users(
        self,
        user_names: Sequence[str],
        offset: int,
        limit: int = PAGE_SIZE,
        filters: Sequence[tuple[str, str]] = (),
    ) -> UserPage:
        """Return a page of users from ``offset`` on: those with these names, and perhaps others; or all users.

        ``filters`` are further parameters of the query, such as ``("group_name", "Sales")``. All have to match.
        """
        names = [("user_names", ",".join(user_names))] if user_names else []
        parameters = [*names, *filters, *_page(offset, limit)]
        path, query = f"/v2/{self._project_id}/users", query_string(parameters)
        return await self._get(LIST_USERS, self.endpoints.users, path, query, user_page)

    async def list_sessions(self, begin: float, end: float, session_states: Sequence[str], offset: int) -> SessionPage:
        """Return a page of the sessions that started within a span, in seconds since 1970.

        Only those in these states, or in every state without any.
        """
        states = [("session_state", ",".join(session_states))] if session_states else []
        parameters = [
            *_page(offset, SESSIONS_A_PAGE),
            ("query_begin_time", _query_time(begin)),
            ("query_end_time", _query_time(end)),
            *states,
        ]
        path, query = f"/v1/{self._project_id}/session/list-sessions", query_string(parameters)
        answer = await self._get(LIST_SESSIONS, self.endpoints.sessions, path, query, session_page)
        self._transport.telemetry.texts_cut += answer.cut
        return answer

    async def list_servers(self, offset: int, limit: int = SERVERS_A_PAGE) -> ServerPage:
        """Return a page of the servers that sessions run on."""
        path, query = f"/v1/{self._project_id}/app-servers", query_string(_page(offset, limit))
        return await self._get(LIST_SERVERS, self.endpoints.sessions, path, query, server_page)

    async def list_server_groups(self, offset: int, limit: int = SERVERS_A_PAGE) -> ServerGroupPage:
        """Return a page of the groups that servers belong to."""
        path, query = f"/v1/{self._project_id}/app-server-groups", query_string(_page(offset, limit))
        return await self._get(LIST_SERVER_GROUPS, self.endpoints.sessions, path, query, server_group_page)

    async def _get(self, operation: str, endpoint: str, path: str, query: str, decode: Callable[[bytes], T]) -> T:
        request = Request(operation, "GET", endpoint, path, query, self._headers)
        auth = await self._credentials.current()
        signed = msgspec.structs.replace(request, headers=auth.headers(request, self._transport.now()))
        try:
            return await self._transport.send(signed, lambda answer: decode(answer.body))
        except Unauthorized as error:
            error.renew = partial(self._renew, auth)
            raise

    async def _renew(self, rejected: Auth) -> bool:
        """Return whether other credentials than the rejected ones are at hand, renewed if need be."""
        return await self._credentials.renewed(rejected) != rejected


def _page(offset: int, limit: int) -> list[tuple[str, str]]:
    return [("limit", str(limit)), ("offset", str(offset))]


def _query_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(seconds * 1000) % 1000:03}Z"
