"""A proxy that connects, or answers CONNECT in some other way."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.certificates import pass_on
from support.loopback import listening

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def rejection(status: str, body: bytes = b"<html>Blocked</html>") -> bytes:
    """A proxy's answer with a page of its own."""
    head = f"HTTP/1.1 {status}\r\nServer: squid\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass
class ConnectProxy:
    """Connects to the host of CONNECT after CONNECTED as its answer; closes the connection after any other."""

    answer: bytes = CONNECTED
    silent: bool = False  # neither answers nor closes the connection
    heads: list[bytes] = field(default_factory=list)  # of all requests to the proxy itself

    @contextlib.asynccontextmanager
    async def serve(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Serve on a free port while the context lasts; entered with host and port."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._handle(reader, writer)

        async with listening(handle, tls) as address:
            yield address

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        if self.silent:
            await reader.read()
            return
        writer.write(self.answer)
        await writer.drain()
        if self.answer == CONNECTED:
            host, _, port = self.heads[-1].split()[1].decode().rpartition(":")
            there_reader, there_writer = await asyncio.open_connection(host, int(port))
            with contextlib.closing(there_writer):
                await asyncio.gather(pass_on(reader, there_writer), pass_on(there_reader, writer))
