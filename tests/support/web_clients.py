"""The exporter's web side alone, at a free port of loopback, and clients that write bytes as they like."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from prometheus_client.registry import CollectorRegistry

from exporter import config
from exporter.metrics.exposition import Description, Exposition
from exporter.status import ProcessStatus, Published
from exporter.web.application import application
from exporter.web.connections import Limits
from exporter.web.server import CurrentWebFile, Server
from exporter.web.sockets import listening_sockets

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from exporter.status import ProjectStatus


PROCESS = ProcessStatus("1", "abc", "3.11", loaded_at=0.0)


@asynccontextmanager
async def web_server(  # noqa: PLR0913 - a test gives one or two of them
    web_file: Path | None = None,
    limits: Limits | None = None,
    *,
    length: int = 0,
    exposition: Exposition | None = None,
    statuses: Sequence[ProjectStatus] = (),
    telemetry_path: str = "/metrics",
) -> AsyncIterator[Server]:
    """A server of an exposition, or of metrics that are at least ``length`` bytes long."""
    exposition = exposition or padded(length)
    settings = config.Web(listen_address=("127.0.0.1:0",), config_file=web_file, telemetry_path=telemetry_path)
    limits, published = limits or Limits(), Published(PROCESS, tuple(statuses))
    server = Server(CurrentWebFile(web_file), limits)
    async with server.running(application(lambda: settings, exposition, lambda: published, limits)):
        server.listen(await listening_sockets(settings))
        yield server


def padded(length: int) -> Exposition:
    """Metrics that are at least so many bytes long."""
    exposition = Exposition(CollectorRegistry())
    publish_padding(exposition, length)
    return exposition


def publish_padding(exposition: Exposition, length: int) -> None:
    """Publish a page of at least so many bytes."""
    lines = "".join(f'padding{{text="{number}{"x" * 1000}"}} 1.0\n' for number in range(length // 1000))
    exposition.publish([Description("padding", "gauge", "Padding.", ("text",)).rendered(lines)])


class Answer(NamedTuple):
    """An answer, and what is known of the connection that it came by."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def certificate(self) -> bytes:
        """The server's, in DER."""
        found: bytes = self.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return found

    async def ask(self, path: str = "/metrics", authorization: str | None = None) -> Answer:
        """GET, and leave the connection open."""
        wanted = f"GET {path} HTTP/1.1\r\nHost: a\r\n"
        if authorization is not None:
            wanted += f"Authorization: {authorization}\r\n"
        return await self.send(f"{wanted}\r\n".encode())

    async def send(self, request: bytes) -> Answer:
        """Write bytes, and read the answer to them."""
        self.writer.write(request)
        return await self.answer()

    async def answer(self) -> Answer:
        """Read an answer. Raises ConnectionError when the connection ends before it."""
        async with asyncio.timeout(20):
            try:
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            except asyncio.IncompleteReadError:
                raise ConnectionResetError("no answer") from None
            first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
            headers = {name: text for name, _, text in (line.partition(": ") for line in lines)}
            body = await self.reader.readexactly(int(headers["Content-Length"]))
        return Answer(int(first.split()[1]), headers, body)

    async def ended(self) -> bool:
        """Whether the server closes the connection, waiting for it."""
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(1 << 20):
                    pass
        return True


@asynccontextmanager
async def client(server: Server, tls: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    """A connection to the server."""
    url = urlsplit(server.address)
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=tls)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(
    server: Server, path: str = "/metrics", tls: ssl.SSLContext | None = None, authorization: str | None = None
) -> Answer:
    """GET over a connection of its own."""
    async with client(server, tls) as one:
        return await one.ask(path, authorization)


def basic(name: str | bytes, password: str | bytes) -> str:
    """Return the value of an Authorization header."""
    both = b":".join(each.encode() if isinstance(each, str) else each for each in (name, password))
    return f"Basic {base64.b64encode(both).decode()}"


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - of code that has no event for it
            await asyncio.sleep(0.01)
