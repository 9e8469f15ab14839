"""The simulator without sockets, as the poller's cloud in virtual time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode

from exporter.cloud import answers, bodies, models
from exporter.cloud.errors import Throttled, refusal
from exporter.simulator import Request, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

LATENCY = 0.05


class SimulatedCloud:
    """Asks the simulator directly; each call takes LATENCY seconds."""

    clock_skew = 0.0

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._project = simulator.options.account.project_id

    async def list_session_by_user_name(self, user_name: str) -> tuple[models.ListedSession, ...]:
        target = f"/v1/{self._project}/session/user-session-info?{urlencode({'user_name': user_name})}"
        return (await self._get("ListSessionByUserName", target, answers.session_list)).sessions

    async def list_user_detail(self, user_id: str) -> models.UserDetail:
        return await self._get("ListUserDetail", f"/v2/{self._project}/users/{user_id}", answers.user_detail)

    async def list_users(
        self, user_names: Sequence[str], offset: int, limit: int = 100, filters: Sequence[tuple[str, str]] = ()
    ) -> models.UserPage:
        query = urlencode(
            {"user_names": ",".join(user_names), "limit": str(limit), "offset": str(offset), **dict(filters)}
        )
        return await self._get("ListUsers", f"/v2/{self._project}/users?{query}", answers.user_page)

    async def list_sessions(
        self, begin: float, end: float, session_states: Sequence[str], offset: int
    ) -> models.SessionPage:
        times = {"query_begin_time": _time(begin), "query_end_time": _time(end)}
        states = {"session_state": ",".join(session_states)} if session_states else {}
        query = urlencode({"limit": "100", "offset": str(offset), **times, **states})
        return await self._get(
            "ListSessions", f"/v1/{self._project}/session/list-sessions?{query}", answers.session_page
        )

    async def list_servers(self, offset: int) -> models.ServerPage:
        target = f"/v1/{self._project}/app-servers?limit=100&offset={offset}"
        return await self._get("ListServers", target, answers.server_page)

    async def list_server_groups(self, offset: int) -> models.ServerGroupPage:
        target = f"/v1/{self._project}/app-server-groups?limit=100&offset={offset}"
        return await self._get("ListServerGroups", target, answers.server_group_page)

    async def _get(self, operation: str, target: str, decode: Callable[[bytes], T]) -> T:
        response = self._simulator.handle(
            Request("GET", target, {"X-Auth-Token": self._simulator.options.account.token}, b"")
        )
        await asyncio.sleep(LATENCY)
        if response.status != 200:
            error = refusal(operation, response.status, bodies.error_code(response.body), None)
            if isinstance(error, Throttled):
                error.quota = bodies.quota_from_429(response.body)
            raise error
        return decode(response.body)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
