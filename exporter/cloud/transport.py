"""One HTTP exchange with the cloud: what goes out is bounded in time, what comes in is bounded in size."""

from __future__ import annotations

import ssl
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
import msgspec
from yarl import URL

from exporter import __version__
from exporter.cloud import bodies
from exporter.cloud.errors import CloudError, InvalidResponse, Throttled, Unreachable, refusal
from exporter.cloud.resolver import Resolver
from exporter.cloud.telemetry import Telemetry
from exporter.secrets import version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

T = TypeVar("T")

MAX_BODY_BYTES = 16 * 1024 * 1024
"""A longer body is not read on."""

_SUCCESS = range(200, 300)
_DIGITS = 9  # of a number of seconds; more are centuries


class Request(msgspec.Struct, frozen=True):
    """A request as it goes over the wire: ``path`` and ``query`` are percent-encoded already."""

    operation: str
    method: str
    endpoint: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""

    def __repr__(self) -> str:
        """Show no secrets, which headers and body may hold."""
        return f"Request({self.operation!r}, {self.method!r}, {str(self.url)!r})"

    @property
    def host(self) -> str:
        """The value of the Host header."""
        return urlsplit(self.endpoint).netloc

    @property
    def full_path(self) -> str:
        """The path as sent; an endpoint may have one of its own, in front."""
        return urlsplit(self.endpoint).path + self.path

    @property
    def url(self) -> URL:
        """The whole address."""
        parts = urlsplit(self.endpoint)
        path = parts.path + self.path
        return URL.build(scheme=parts.scheme, authority=parts.netloc, path=path, query_string=self.query, encoded=True)


class Answer(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        """Show no secrets, which headers and body may hold."""
        return f"Answer({self.status})"


class Transport:
    """A pool of connections to the cloud, for one project.

    Redirects are never followed, cookies never kept, compressed bodies never asked for, so that no answer can cost
    more than it weighs.
    """

    def __init__(
        self,
        *,
        timeout: float,
        connections: int,
        proxy_for: Callable[[str], str | None],
        tls: ssl.SSLContext,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.telemetry = Telemetry()
        self.now = now
        self._proxy_for = lru_cache(maxsize=16)(proxy_for)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=tls, resolver=Resolver()),
            timeout=aiohttp.ClientTimeout(total=timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"User-Agent": f"huaweicloud-workspace-exporter/{__version__}", "Accept-Encoding": "identity"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def send(self, request: Request, read: Callable[[Answer], T]) -> T:
        """Send a request and give back what ``read`` makes of the answer; it gets answers of success only.

        ``read`` raises one of ``bodies.UNDECODABLE`` for a body that is not what the reference says.

        Raises:
            CloudError: no usable answer came. The attempt is counted under the error's outcome.
        """
        try:
            answer = await self._exchange(request)
            value = _read(request.operation, answer, read, self.now())
        except CloudError as error:
            self.telemetry.attempted(request.operation, error.outcome)
            raise
        self.telemetry.attempted(request.operation, str(answer.status))
        return value

    async def _exchange(self, request: Request) -> Answer:
        started = time.perf_counter()
        try:
            async with self._session.request(
                request.method,
                request.url,
                headers={**request.headers, "Host": request.host},
                data=request.body or None,
                proxy=self._proxy_for(request.endpoint),
                allow_redirects=False,
            ) as response:
                answer = Answer(response.status, response.headers, await _bounded_body(request.operation, response))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise _unreachable(request.operation, error) from error
        self.telemetry.answered(request.operation, time.perf_counter() - started)
        if (date := _seconds(answer.headers.get("Date", ""))) is not None:
            self.telemetry.clock_skew = date - self.now()
        return answer


def _read(operation: str, answer: Answer, read: Callable[[Answer], T], now: float) -> T:
    request_id = answer.headers.get("X-Request-Id")
    if answer.status not in _SUCCESS:
        error = refusal(operation, answer.status, bodies.error_code(answer.body), request_id)
        their_now = _seconds(answer.headers.get("Date", ""))
        error.retry_after = _retry_after(answer.headers.get("Retry-After", ""), now if their_now is None else their_now)
        if isinstance(error, Throttled):
            error.quota = bodies.told_quota(answer.body)
        raise error
    try:
        return read(answer)
    except bodies.UNDECODABLE as error:
        code = error.code if isinstance(error, bodies.ErrorBody) else None
        raise InvalidResponse(operation, "invalid_response", error_code=code, request_id=request_id) from error


async def _bounded_body(operation: str, response: aiohttp.ClientResponse) -> bytes:
    if (response.content_length or MAX_BODY_BYTES + 1) <= MAX_BODY_BYTES:
        return await response.read()
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            response.close()
            raise InvalidResponse(operation, "invalid_response", detail=f"body over {MAX_BODY_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _unreachable(operation: str, error: Exception) -> CloudError:
    match error:
        case TimeoutError():
            return Unreachable(operation, "timeout")
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return Unreachable(operation, "tls_error", detail=_detail(error))
        case aiohttp.ClientResponseError():  # what came was not HTTP
            return InvalidResponse(operation, "invalid_response", detail=_detail(error))
        case _:
            return Unreachable(operation, "connection_error", detail=_detail(error))


def _detail(error: Exception) -> str:
    """What went wrong, in words that hold no address with a user's name in it."""
    match error:
        case aiohttp.ClientConnectorError():
            return str(error)
        case aiohttp.ClientPayloadError():
            return "the answer broke off"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before an answer"
        case ValueError() if not isinstance(error, aiohttp.ClientError):
            # nothing was sent: a credential with a line break in it, or a host that cannot be a name
            return str(error)
        case _:
            return type(error).__name__


def _retry_after(header: str, now: float) -> float | None:
    """Seconds that a Retry-After header names, as a number or as a date to come after ``now``, by the cloud's clock.

    None where it names none.
    """
    if header.isascii() and header.isdecimal():
        return float(header[:_DIGITS])
    date = _seconds(header)
    return None if date is None else max(date - now, 0.0)


@lru_cache(maxsize=16)  # many answers share a second
def _seconds(http_date: str) -> float | None:
    try:
        date = parsedate_to_datetime(http_date)
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def proxy_from_environment(endpoint: str) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for an endpoint."""
    parts = urlsplit(endpoint)
    proxy = None if proxy_bypass(parts.netloc) else getproxies_environment().get(parts.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """What servers are verified with: the system's authorities, or those of ``ca_file``.

    The same one again as long as the file stays as it is. Takes about 13 ms. Raises OSError.
    """
    return _tls_context(ca_file, version(ca_file) if ca_file else None)


@lru_cache(maxsize=1)
def _tls_context(ca_file: Path | None, _: object) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)
