"""A server on loopback that gives one answer to everything, and exchanges with it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pytest
from support.loopback import listening

from exporter.cloud.errors import CloudError
from exporter.cloud.proxy import Proxy
from exporter.cloud.transport import Answer, Request, Transport, tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping

    from exporter.cloud.bodies import ByteBudget

TLS = tls_context(None)
NOW = 1_800_000_000.0
SECRET_TOKEN = "hush-token"


def http(status: str = "200 OK", body: bytes = b"{}", **headers: str) -> bytes:
    """A whole answer; underscores in the names of headers are hyphens."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if not headers.keys() & {"Content_Length", "Transfer_Encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@dataclass
class Wire:
    """A server that gives the same answer to everything, and records what it received.

    ``impatient`` answers the first bytes of any kind, ``then`` says what follows the answer.
    """

    answer: bytes = field(default_factory=http)
    then: Literal["keep", "close", "reset", "hang", "flood"] = "keep"
    impatient: bool = False
    seen: list[bytes] = field(default_factory=list)
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has closed its connection."""

    @contextlib.asynccontextmanager
    async def serve(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Serve on a free port while the context lasts; entered with the base URL."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            try:
                await self._converse(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                self.left.set()
            finally:
                writer.close()

        async with listening(handle, tls) as address:
            yield f"{'https' if tls else 'http'}://{address}"

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            self.seen.append(await (reader.read(1024) if self.impatient else whole_request(reader)))
            writer.write(self.answer)
            await writer.drain()
            match self.then:
                case "close":
                    return
                case "reset":
                    linger = struct.pack("ii", 1, 0)  # closing sends a TCP reset
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    writer.transport.abort()
                    return
                case "hang":
                    await asyncio.Event().wait()
                case "flood":
                    while True:
                        writer.write(bytes(65536))
                        await writer.drain()


async def whole_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(value) for name, value in fields(head) if name.lower() == "content-length"), 0)
    return head + await reader.readexactly(length)


def fields(request: bytes) -> list[tuple[str, str]]:
    """The header lines of a received request."""
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


def target(request: bytes) -> str:
    """The first line of a received request."""
    return request.partition(b"\r\n")[0].decode()


@contextlib.asynccontextmanager
async def transporting(
    *,
    proxy: str | None = None,
    patience: float = 10.0,
    now: float = NOW,
    tls: ssl.SSLContext = TLS,
    budget: ByteBudget | None = None,
) -> AsyncIterator[Transport]:
    async with Transport(
        timeout=patience,
        proxy_for=lambda _: Proxy.of(proxy) if proxy else None,
        tls=tls,
        now=lambda: now,
        budget=budget,
    ) as opened:
        yield opened


def get(endpoint: str, path: str = "/v1/p", query: str = "", headers: Mapping[str, str] | None = None) -> Request:
    return Request("ListUsers", "GET", endpoint, path, query, headers or {"X-Auth-Token": SECRET_TOKEN})


def whole(answer: Answer) -> Answer:
    return answer


async def failure(through: Transport, request: Request, read: Callable[[Answer], object] = whole) -> CloudError:
    """The error that a request ends in."""
    with pytest.raises(CloudError) as failed:
        await through.send(request, read)
    return failed.value


async def failure_of(wire: Wire, read: Callable[[Answer], object] = whole, *, patience: float = 10.0) -> CloudError:
    """The error that one request to this server ends in. It must be counted under its outcome."""
    async with wire.serve() as url, transporting(patience=patience) as through:
        error = await failure(through, get(url), read)
        assert through.telemetry.attempts == {("ListUsers", error.outcome): 1}
        return error
