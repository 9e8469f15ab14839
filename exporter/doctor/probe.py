"""One request without credentials to the root of an endpoint, step by step."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from exporter import __version__
from exporter.cloud.bodies import is_page
from exporter.cloud.proxy import Proxy, UnusableProxyError, proxy_arguments
from exporter.cloud.transport import Resolver, http_date
from exporter.threads import in_a_thread

_HAPPY_EYEBALLS_DELAY = 0.25  # seconds until the next address of a name is tried in parallel

# The steps towards an answer in their order. The tunnel is a proxy's connection to an https endpoint, with its TLS.
Step = Literal["proxy", "name", "connection", "tunnel", "answer"]


@dataclass(frozen=True)
class Route:
    """The way to an endpoint; ``host`` and ``port`` are the proxy's if there is one."""

    endpoint: str
    host: str
    port: int
    proxy: Proxy | None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Answered:
    """Any HTTP answer. Times are in seconds since 1970."""

    route: Route
    addresses: tuple[str, ...]
    status: int
    tls_version: str | None
    certificate_ends: float | None
    skew: float | None  # the answer's `Date` minus this machine's clock, in seconds; None without a date
    is_page: bool = False  # whether it is an HTML page


@dataclass(frozen=True)
class Unanswered:
    """The step that failed, and its error; ``limit`` is the time limit in seconds."""

    route: Route
    step: Step
    error: Exception
    limit: float


Outcome = Answered | Unanswered


def route_to(endpoint: str, proxy: Proxy | None) -> Route:
    """Return the route to an endpoint, through the proxy if there is one."""
    first = URL(proxy.url if proxy else endpoint)
    return Route(endpoint, first.host or "", first.port or 80, proxy)


async def probe(
    endpoint: str, proxy: Proxy | UnusableProxyError | None, tls: ssl.SSLContext, limit: float, now: Callable[[], float]
) -> Outcome:
    """Request an endpoint's root, within ``limit`` seconds in total."""
    if isinstance(proxy, UnusableProxyError):
        return Unanswered(route_to(endpoint, None), "proxy", proxy, limit)
    route = route_to(endpoint, proxy)
    step: Step = "name"

    async def connected(*_: object) -> None:
        nonlocal step
        step = "answer"

    try:
        async with asyncio.timeout(limit):
            found = await in_a_thread(lambda: socket.getaddrinfo(route.host, route.port, type=socket.SOCK_STREAM))
            addresses = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
            step = "connection"  # of its own, to tell an unreachable host from a silent one
            _, writer = await asyncio.open_connection(
                route.host, route.port, happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY
            )
            writer.close()
            await writer.wait_closed()
            step = "tunnel" if route.proxy and endpoint.startswith("https:") else "answer"
            async with _session(tls, connected) as session:
                return await _answer(session, route, addresses, now)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return Unanswered(route, step, error, limit)


class _Response(aiohttp.ClientResponse):
    """A response that keeps the TLS facts, because its connection is gone once it is complete."""

    tls_version: str | None = None
    certificate_ends: float | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        assert connection.transport
        secured = connection.transport.get_extra_info("ssl_object")
        if isinstance(secured, ssl.SSLObject):
            self.tls_version = secured.version()
            certificate = secured.getpeercert() or {}
            self.certificate_ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
        return await super().start(connection)


def _session(tls: ssl.SSLContext, connected: Callable[..., Awaitable[None]]) -> aiohttp.ClientSession:
    """Return a session that calls ``connected`` once the connection stands, through a proxy or not."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(connected)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, resolver=Resolver()),
        response_class=_Response,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": f"huaweicloud-workspace-exporter/{__version__}", "Accept-Encoding": "identity"},
        trace_configs=[trace],
    )


async def _answer(
    session: aiohttp.ClientSession,
    route: Route,
    addresses: tuple[str, ...],
    now: Callable[[], float],
) -> Answered:
    arguments = proxy_arguments(route.endpoint, route.proxy, {})
    async with session.get(f"{route.endpoint}/", allow_redirects=False, **arguments) as response:
        assert isinstance(response, _Response)
        date = http_date(response.headers.get("Date", ""))
        return Answered(
            route,
            addresses,
            response.status,
            response.tls_version,
            response.certificate_ends,
            None if date is None else date - now(),
            is_page(response.headers, b""),
        )
