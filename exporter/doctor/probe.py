"""One question without credentials to an endpoint: how far does it get?"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import partial
from ssl import SSLObject, cert_time_to_seconds
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from exporter import __version__
from exporter.cloud.resolver import Resolver
from exporter.threads import in_a_thread

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from aiohttp.connector import Connection

_HAPPY_EYEBALLS_DELAY = 0.25  # seconds that the first address of a name gets before the next is tried beside it
_PORTS = {"http": 80, "https": 443}


class Step(Enum):
    """What a question has to get past, one after the other."""

    NAME = "name"
    CONNECTION = "connection"
    ANSWER = "answer"


@dataclass(frozen=True)
class Route:
    """The way to an endpoint: ``host`` and ``port`` are the proxy's where there is one."""

    endpoint: str
    host: str
    port: int
    through_proxy: bool


@dataclass(frozen=True)
class Answered:
    """An answer over HTTP came, whichever. Times are in seconds since 1970."""

    route: Route
    addresses: tuple[str, ...]
    status: int
    tls_version: str | None
    certificate_ends: float | None
    skew: float | None
    """The answer's ``Date`` less our clock, in seconds; None where it has none."""


@dataclass(frozen=True)
class Unanswered:
    """The step that was not got past, and why; ``patience`` is in seconds."""

    route: Route
    step: Step
    error: Exception
    patience: float


Outcome = Answered | Unanswered


def route_to(endpoint: str, proxy: str | None) -> Route:
    """The way to an endpoint, through a proxy where one is given."""
    first = urlsplit(proxy or endpoint)
    port = first.port or _PORTS.get(first.scheme, _PORTS["http"])
    return Route(endpoint, first.hostname or "", port, proxy is not None)


async def probe(
    endpoint: str, proxy: str | None, tls: ssl.SSLContext, patience: float, now: Callable[[], float]
) -> Outcome:
    """Ask an endpoint for its root, within ``patience`` seconds all in all."""
    route, step = route_to(endpoint, proxy), Step.NAME
    try:
        async with asyncio.timeout(patience):
            addresses = await _resolve(route)
            step = Step.CONNECTION
            await _connect(route)
            step = Step.ANSWER
            return await _answer(route, proxy, tls, addresses, now)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return Unanswered(route, step, error, patience)


async def _resolve(route: Route) -> tuple[str, ...]:
    found = await in_a_thread(partial(socket.getaddrinfo, route.host, route.port, type=socket.SOCK_STREAM))
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


async def _connect(route: Route) -> None:
    """Connect and hang up, to tell a host that is out of reach from one that keeps silent."""
    _, writer = await asyncio.open_connection(route.host, route.port, happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY)
    writer.close()
    await writer.wait_closed()


class _Response(aiohttp.ClientResponse):
    """Keeps what is known of the connection, which is gone as soon as the answer is whole."""

    tls_version: str | None = None
    certificate_ends: float | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        assert connection.transport
        secured = connection.transport.get_extra_info("ssl_object")
        if isinstance(secured, SSLObject):
            self.tls_version = secured.version()
            certificate = secured.getpeercert() or {}
            self.certificate_ends = cert_time_to_seconds(str(certificate["notAfter"]))
        return await super().start(connection)


async def _answer(
    route: Route, proxy: str | None, tls: ssl.SSLContext, addresses: tuple[str, ...], now: Callable[[], float]
) -> Answered:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, resolver=Resolver()),
        response_class=_Response,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": f"huaweicloud-workspace-exporter/{__version__}", "Accept-Encoding": "identity"},
    )
    async with session, session.get(f"{route.endpoint}/", proxy=proxy, allow_redirects=False) as response:
        assert isinstance(response, _Response)
        return Answered(
            route,
            addresses,
            response.status,
            response.tls_version,
            response.certificate_ends,
            _skew(response.headers.get("Date", ""), now()),
        )


def _skew(http_date: str, now: float) -> float | None:
    try:
        return parsedate_to_datetime(http_date).timestamp() - now
    except (ValueError, OverflowError):
        return None
