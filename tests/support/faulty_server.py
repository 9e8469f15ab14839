"""A cloud on loopback that sends given bytes, and otherwise answers like the real one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit

from support.ledger import LEDGER

from exporter.cloud.client import (
    LIST_SERVER_GROUPS,
    LIST_SERVERS,
    LIST_SESSION_BY_USER_NAME,
    LIST_SESSIONS,
    LIST_USER_DETAIL,
    LIST_USERS,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

Then: TypeAlias = Literal["keep", "close", "reset", "hang", "flood", "drip"]
"""What becomes of the connection."""

TOKEN = "hush-token"
DRIP_PAUSE = 0.1
"""Seconds between two bytes of an answer that drips."""
STARTED = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
"""When all sessions started: before any exporter of a test."""
GROUPS = [{"id": "g1", "name": "Group 1", "app_server_count": 1, "app_type": "COMMON_APP"}]
SERVERS = [
    {
        "id": "s1",
        "server_group_id": "g1",
        "server_group_name": "Group 1",
        "status": "REGISTERED",
        "session_count": 2,
        "product_info": {"sessions": "8"},
    }
]


def http(status: str = "200 OK", body: bytes = b"{}", **headers: str) -> bytes:
    """A whole answer; underscores in the names of headers are hyphens."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if not headers.keys() & {"Content_Length", "Transfer_Encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@dataclass(frozen=True)
class Fault:
    """The bytes instead of an answer, and what happens after them; ``drip`` sends it slowly, byte by byte."""

    answer: bytes = b""
    then: Then = "keep"
    kind: str = ""
    """What the fault is called in the figures."""


@dataclass(frozen=True)
class Call:
    """A request: its operation, and the names of the users that it is about; none if it is about all."""

    project_id: str
    operation: str
    users: tuple[str, ...]
    states: tuple[str, ...] = ()
    """The states of the sessions to list; none if it is about all."""
    begin: str = ""
    """The sessions to list started at or after this time."""


@dataclass
class FaultyServer:
    """Every project has the same users; a user's id is ``id-of-<name>``.

    ``spoil`` gets every call with the body of its good answer, and says what is sent instead; None for the good answer.
    """

    sessions: Mapping[str, Sequence[Mapping[str, Any]]]
    """By the user's name."""
    accounts: Mapping[str, Mapping[str, Any]]
    """By the user's name."""
    optional: bool = True
    """Whether the account may use the operations that the exporter can do without."""
    spoil: Callable[[Call, bytes], Fault | None] = lambda _call, _body: None
    faulty: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Faulty answers begun, by project and operation."""
    good: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Good answers, by project and operation."""
    connections: int = 0
    """Connections that were ever made."""
    _port: int = 0
    _listener: asyncio.Server | None = None
    _handling: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def open_connections(self) -> int:
        """Connections that neither side has closed."""
        return len(self._handling)

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve on a free port while the context lasts; entered with the base URL."""
        await self._open()
        try:
            yield f"http://127.0.0.1:{self._port}"
        finally:
            await self._close()

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Refuse connections while the context lasts; the old ones are closed."""
        await self._close()
        try:
            yield
        finally:
            await self._open()

    async def _open(self) -> None:
        self._listener = await asyncio.start_server(self._handle, "127.0.0.1", self._port)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._listener
        self._listener.close()
        ending = list(self._handling)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._handling.add(task)
        self.connections += 1
        try:
            while await self._answer(await reader.readuntil(b"\r\n\r\n"), reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has hung up
        finally:
            self._handling.discard(task)
            writer.close()

    async def _answer(self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer a request; whether the connection can be used again."""
        call = _asked(request)
        status, body = self._truth(call)
        if f"X-Auth-Token: {TOKEN}" not in request.decode():
            writer.write(http("401 Unauthorized"))
        elif fault := self.spoil(call, body):
            self.faulty[call.project_id, call.operation] += 1
            LEDGER.faults[fault.kind] += 1
            return await _send(fault, reader, writer)
        else:
            self.good[call.project_id, call.operation] += 1
            writer.write(http(status, body, Content_Type="application/json", Date=formatdate(usegmt=True)))
        await writer.drain()
        return True

    def _truth(self, call: Call) -> tuple[str, bytes]:
        """Status and body of the good answer."""
        known = [name for name in call.users if name in self.accounts]
        match call.operation:
            case "ListSessions" | "ListServers" | "ListServerGroups" if not self.optional:
                return "403 Forbidden", b'{"error_code":"WKS.00000403","error_msg":"not permitted"}'
            case "ListUsers":
                users = [self._entry(name) for name in known or self.accounts if known or not call.users]
                answer: dict[str, Any] = {"users": users, "total_count": len(users)}
            case "ListSessions":
                items = [
                    {**session, "login_user": f"{name}@example.com", "start_time": STARTED}
                    for name, sessions in self.sessions.items()
                    for session in sessions
                    if call.begin <= STARTED and (not call.states or session["session_state"] in call.states)
                ]
                answer = {"items": items, "count": len(items)}
            case "ListServers":
                answer = {"items": SERVERS, "count": len(SERVERS)}
            case "ListServerGroups":
                answer = {"items": GROUPS, "count": len(GROUPS)}
            case _ if not known:
                return "404 Not Found", b'{"error_code":"WKS.00010404","error_msg":"no such user"}'
            case "ListUserDetail":
                answer = {"user_detail": dict(self.accounts[known[0]])}
            case _:
                answer = {"session_info_list": list(self.sessions[known[0]])}
        return "200 OK", json.dumps(answer).encode()

    def _entry(self, name: str) -> dict[str, Any]:
        account = dict(self.accounts[name])
        expired, expires = account.pop("user_expired", None), account.pop("account_expires", None)
        told = {"account_expired": expired, "account_expires": None if expires is None else str(expires)}
        return {"id": f"id-of-{name}", "user_name": name, **account, **told}


def _asked(request: bytes) -> Call:
    url = urlsplit(request.split()[1].decode())
    query = parse_qs(url.query)
    names = query["user_names"][0].split(",") if "user_names" in query else ()
    match url.path.split("/")[2:]:
        case [project_id, "session", "user-session-info"]:
            return Call(project_id, LIST_SESSION_BY_USER_NAME, tuple(query["user_name"]))
        case [project_id, "users"]:
            return Call(project_id, LIST_USERS, tuple(names))
        case [project_id, "session", "list-sessions"]:
            states = query["session_state"][0].split(",") if "session_state" in query else ()
            return Call(project_id, LIST_SESSIONS, (), tuple(states), query["query_begin_time"][0])
        case [project_id, "app-servers"]:
            return Call(project_id, LIST_SERVERS, ())
        case [project_id, "app-server-groups"]:
            return Call(project_id, LIST_SERVER_GROUPS, ())
        case [project_id, "users", user_id]:
            return Call(project_id, LIST_USER_DETAIL, (user_id.removeprefix("id-of-"),))
        case other:
            raise AssertionError(other)


async def _send(fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Send a faulty answer; whether the connection can be used again."""
    pieces = [fault.answer]
    if fault.then == "drip":
        pieces = [fault.answer[i : i + 1] for i in range(len(fault.answer))]
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(DRIP_PAUSE if fault.then == "drip" else 0)
    match fault.then:
        case "reset":
            linger = struct.pack("ii", 1, 0)  # closing sends a TCP reset
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        case "hang":
            await reader.read()  # until the client gives up
        case "flood":
            while True:
                writer.write(bytes(65536))
                await writer.drain()
    return fault.then in ("keep", "drip")
