"""A cloud on loopback that says exactly what it is told to, byte by byte, and otherwise answers as the real one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

TOKEN = "hush-token"
DRIP_PAUSE = 0.05
"""Seconds between two bytes of an answer that drips."""


def http(status: str = "200 OK", body: bytes = b"{}", **headers: str) -> bytes:
    """A whole answer; underscores in the names of headers are hyphens."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if not headers.keys() & {"Content_Length", "Transfer_Encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@dataclass(frozen=True)
class Fault:
    """What is sent instead of an answer, and what follows it; ``drip`` sends it slowly, byte by byte."""

    answer: bytes = b""
    then: Literal["keep", "close", "reset", "hang", "flood", "drip"] = "keep"


@dataclass
class FaultyServer:
    """Every project has the same users; a user's id is ``id-of-<name>``.

    The fault, if any, is what the calls of ListSessionByUserName get that ``hits`` is true of.
    """

    sessions: Mapping[str, Sequence[Mapping[str, Any]]]
    """By the user's name."""
    accounts: Mapping[str, Mapping[str, Any]]
    """By the user's name."""
    hits: Callable[[str, str], bool] = lambda _project_id, _user_name: True
    fault: Fault | None = None
    faulty: Counter[str] = field(default_factory=Counter)
    """Faulty answers begun, by project."""
    good: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Good answers about sessions, by project and user."""
    connections: int = 0

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve on a free port while the context lasts; entered with the base URL."""
        tasks: set[asyncio.Task[None]] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            self.connections += 1
            try:
                while await self._answer(await reader.readuntil(b"\r\n\r\n"), writer):
                    pass
            except (asyncio.IncompleteReadError, ConnectionError):
                pass  # the client has hung up
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            ending = list(tasks)
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer a request; whether the connection can be used again."""
        project_id, about, names = self._asked(request)
        if f"X-Auth-Token: {TOKEN}" not in request.decode():
            writer.write(http("401 Unauthorized"))
        elif about == "session" and self.fault and self.hits(project_id, names[0]):
            self.faulty[project_id] += 1
            return await _send(self.fault, writer)
        else:
            if about == "session":
                self.good[project_id, names[0]] += 1
            body = json.dumps(self._truth(about, names)).encode()
            writer.write(http(body=body, Content_Type="application/json", Date=formatdate(usegmt=True)))
        await writer.drain()
        return True

    def _asked(self, request: bytes) -> tuple[str, str, list[str]]:
        """The project's id, ``session``, ``users`` or ``user``, and the names of those it is about."""
        url = urlsplit(request.split()[1].decode())
        query = parse_qs(url.query)
        match url.path.split("/")[2:]:
            case [project_id, "session", "user-session-info"]:
                return project_id, "session", query["user_name"]
            case [project_id, "users"]:
                return project_id, "users", query["user_names"][0].split(",")
            case [project_id, "users", user_id]:
                return project_id, "user", [user_id.removeprefix("id-of-")]
            case other:
                raise AssertionError(other)

    def _truth(self, about: str, names: Sequence[str]) -> dict[str, Any]:
        if about == "session":
            return {"session_info_list": list(self.sessions[names[0]])}
        if about == "user":
            return {"user_detail": dict(self.accounts[names[0]])}
        users = [{"id": f"id-of-{name}", "user_name": name} for name in names if name in self.accounts]
        return {"users": users, "total_count": len(users)}


async def _send(fault: Fault, writer: asyncio.StreamWriter) -> bool:
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
            await asyncio.Event().wait()
        case "flood":
            while True:
                writer.write(bytes(65536))
                await writer.drain()
    return fault.then in ("keep", "drip")
