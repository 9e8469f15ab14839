"""One HTTP exchange with the cloud, limited in time, and in the size of the answer."""

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from exporter import __version__
from exporter.cloud.bodies import (
    SMALL,
    UNDECODABLE,
    BodyTooLongError,
    ByteBudget,
    Deadline,
    ErrorBody,
    Share,
    answer_limit,
    error_code,
    is_page,
    quota_from_429,
    read_error,
)
from exporter.cloud.errors import (
    PAGE,
    CloudError,
    Intercepted,
    InvalidResponse,
    Refused,
    Throttled,
    Unreachable,
    is_intercepted,
    refusal,
)
from exporter.cloud.proxy import Proxy, UnusableProxyError, proxy_arguments
from exporter.cloud.telemetry import Telemetry
from exporter.files import version
from exporter.threads import in_a_thread

T = TypeVar("T")

_SUCCESS = range(200, 300)
_DETAILS: Mapping[type[Exception], str] = {
    TimeoutError: "",
    aiohttp.ClientPayloadError: "the answer broke off",
    aiohttp.ClientResponseError: "the answer is not HTTP",
    aiohttp.ServerDisconnectedError: "the connection was closed before an answer",
    ValueError: "nothing was sent: a credential or an address has a character that no header can hold",
}
_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
_MAX_DIGITS = 9  # of a number of seconds; more are centuries


class Request(msgspec.Struct, frozen=True):
    """A request as it is sent. ``path`` and ``query`` are already percent-encoded."""

    operation: str
    method: str
    endpoint: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""

    def __repr__(self) -> str:
        """Leave out headers and body, which may hold secrets."""
        return f"Request({self.operation!r}, {self.method!r}, {str(self.url)!r})"

    @property
    def host(self) -> str:
        """The value of the Host header."""
        return urlsplit(self.endpoint).netloc

    @property
    def full_path(self) -> str:
        """The path as sent, which begins with that of the endpoint."""
        return urlsplit(self.endpoint).path + self.path

    @property
    def url(self) -> URL:
        """The whole address."""
        scheme, host, path, _, _ = urlsplit(self.endpoint)
        return URL.build(scheme=scheme, authority=host, path=path + self.path, query_string=self.query, encoded=True)


class Answer(msgspec.Struct, frozen=True):
    """A complete answer. The body of an error may be cut off."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    proxy: Proxy | None = None  # through which it came

    def __repr__(self) -> str:
        """Leave out headers and body, which may hold secrets."""
        return f"Answer({self.status})"


class Resolver(AbstractResolver):
    """The system's resolver, in threads that are not joined at exit. The connector caches the results."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses, the preferred one first. Raises OSError."""
        return await in_a_thread(partial(_resolved, host, port, family))

    async def close(self) -> None:
        """Do nothing, because nothing is open."""


def _resolved(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=socket.getnameinfo(address, _NUMERIC)[0],  # includes the interface if an address needs one
            port=port,
            family=kind,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, proto, _, address in found
    ]


class Transport:
    """A pool of connections to the cloud, for one project.

    It never follows redirects, keeps cookies, requests or unpacks compressed bodies, or repeats a request.
    """

    def __init__(
        self,
        *,
        timeout: float,
        proxy_for: Callable[[str], Proxy | None],
        tls: ssl.SSLContext,
        now: Callable[[], float] = time.time,
        budget: ByteBudget | None = None,
    ) -> None:
        """``timeout`` is in seconds, for a whole request. ``budget`` limits the large answers of all transports."""
        self.telemetry = Telemetry()
        self.now = now
        self._timeout = timeout
        self._budget = budget or ByteBudget()
        self._proxy_for = lru_cache(maxsize=16)(proxy_for)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls, resolver=Resolver()),  # lanes limit the requests in flight
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # _exchange has one that can be paused
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=SMALL,  # what waits for the budget must not add up either
            auto_decompress=False,
            headers={"User-Agent": f"huaweicloud-workspace-exporter/{__version__}", "Accept-Encoding": "identity"},
        )
        # aiohttp repeats a GET by itself when a kept-alive connection breaks. Nobody would count or pace that request.
        self._session._retry_connection = False  # noqa: SLF001 - there is no public switch

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def send(self, request: Request, read: Callable[[Answer], T]) -> T:
        """Send a request once, and return what ``read`` makes of a successful answer.

        ``read`` raises one of UNDECODABLE for a body that does not match the reference.

        Raises:
            CloudError: no usable answer came. The request is counted under the error's outcome.
        """
        share = Share(self._budget)
        try:
            answer = await self._exchange(request, share)
            value = _read(request.operation, answer, read, self.now())
        except CloudError as error:
            self.telemetry.attempted(request.operation, error.outcome)
            raise
        finally:
            share.release()
        self.telemetry.attempted(request.operation, str(answer.status))
        return value

    async def _exchange(self, request: Request, share: Share) -> Answer:
        started, proxy = time.perf_counter(), None
        try:
            proxy = self._proxy_for(request.endpoint)
            headers = {**request.headers, "Host": request.host}
            with Deadline(self._timeout) as deadline:
                async with self._session.request(
                    request.method,
                    request.url,
                    data=request.body or None,
                    allow_redirects=False,
                    **proxy_arguments(request.endpoint, proxy, headers),
                ) as response:
                    if response.status in _SUCCESS:
                        body = await share.read(response, answer_limit(request.operation), deadline)
                    else:
                        body = await read_error(response)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            # None, because the library's text may quote the address with a user's name, and headers
            raise _unusable(request.operation, error, proxy) from None
        self.telemetry.answered(request.operation, time.perf_counter() - started)
        if (date := http_date(response.headers.get("Date", ""))) is not None:
            self.telemetry.clock_skew = date - self.now()
        return Answer(response.status, response.headers, body, proxy)


def _read(operation: str, answer: Answer, read: Callable[[Answer], T], now: float) -> T:
    if answer.status not in _SUCCESS:
        error = _rejection(operation, answer)
        cloud_now = http_date(answer.headers.get("Date", ""))
        error.retry_after = _retry_after(answer.headers.get("Retry-After", ""), now if cloud_now is None else cloud_now)
        if isinstance(error, Throttled):
            error.quota = quota_from_429(answer.body)
        raise error
    try:
        return read(answer)
    except UNDECODABLE as error:
        code = error.code if isinstance(error, ErrorBody) else None
        request_id, detail = answer.headers.get("X-Request-Id"), _page(answer)
        # None, because the decoder's text may quote the body
        raise InvalidResponse(
            operation, "invalid_response", error_code=code, request_id=request_id, detail=detail
        ) from None


def _rejection(operation: str, answer: Answer) -> Refused | Intercepted:
    status, code, request_id = answer.status, error_code(answer.body), answer.headers.get("X-Request-Id")
    page = _page(answer)
    if not is_intercepted(status, code, request_id, is_page=bool(page)):
        return refusal(operation, status, code, request_id, page)
    by = "a proxy or firewall in between" if page else "something else than the cloud, such as a proxy or firewall,"
    if answer.proxy:
        by = f"the proxy {answer.proxy}, or a firewall behind it,"
    return Intercepted(operation, str(status), by=by, status=status)


def _page(answer: Answer) -> str:
    """Return the detail for an answer that is an HTML page; empty for others."""
    return _through(answer.proxy, PAGE) if is_page(answer.headers, answer.body) else ""


def _unusable(operation: str, error: Exception, proxy: Proxy | None) -> CloudError:
    kind: type[CloudError] = Unreachable
    match error:
        case aiohttp.ClientHttpProxyError():
            return Intercepted(operation, "connection_error", by=f"the proxy {proxy}", status=error.status)
        case TimeoutError():
            outcome = "timeout"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            outcome = "tls_error"
        case BodyTooLongError() | aiohttp.ClientResponseError():  # the latter says that the answer was not HTTP
            kind, outcome = InvalidResponse, "invalid_response"
        case _:
            outcome = "connection_error"
    return kind(operation, outcome, detail=_through(proxy, _detail(error)))


def _through(proxy: Proxy | None, detail: str) -> str:
    return " ".join([*filter(None, [detail]), f"through the proxy {proxy}"]) if proxy else detail


def _detail(error: Exception) -> str:
    """Describe an error. Most are not quoted, because they may hold a user's name or a part of a credential."""
    if isinstance(error, aiohttp.ClientConnectorError | BodyTooLongError | UnusableProxyError):
        return str(error).removesuffix(" [None]")  # aiohttp's text for a reason that the system does not give
    return next((text for kind, text in _DETAILS.items() if isinstance(error, kind)), type(error).__name__)


def _retry_after(header: str, now: float) -> float | None:
    """Return the seconds of a Retry-After header, which may be a date of the cloud's clock; None if it has none."""
    if header.isascii() and header.isdecimal():
        return float(header[:_MAX_DIGITS])
    date = http_date(header)
    return None if date is None else max(date - now, 0.0)


@lru_cache(maxsize=16)  # many answers share a second
def http_date(text: str) -> float | None:
    """Return the seconds since 1970 of an HTTP date, which is UTC even if it names no zone; None if it is none."""
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return what verifies servers: the system's authorities, or those of ``ca_file``. Takes about 13 ms.

    The result is the same object until the file changes. Raises OSError.
    """
    return _tls_context(ca_file, version(ca_file) if ca_file else None)


@lru_cache(maxsize=1)
def _tls_context(ca_file: Path | None, _: object) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)
