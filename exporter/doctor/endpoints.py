"""How an endpoint is reached: a request without credentials, and the words for the step that fails."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Literal
from urllib.parse import urlsplit

import aiohttp
from aiohttp.connector import Connection

from exporter import __version__
from exporter.cloud.causes import PROXY_LOGIN_REQUIRED, REDIRECTS, Cause, cause_of_status
from exporter.cloud.client import Endpoints
from exporter.cloud.errors import SERVER_ERRORS
from exporter.cloud.resolver import Resolver
from exporter.config import format_duration
from exporter.doctor.findings import ENDPOINT, Finding, fail, ok, warn
from exporter.threads import in_a_thread

METADATA = "metadata"

_CERTIFICATE_ENDS_SOON = 14 * 86_400.0  # seconds
_MAX_ADDRESSES = 3
_REMEDY_METADATA = (
    "no auth is configured, and the SDK's environment and file have no keys, so an ECS has to provide them: "
    "set auth, or run on an ECS with an agency"
)
_REMEDY_RENEW = "the operator of this endpoint, or proxy, has to renew it"

_HAPPY_EYEBALLS_DELAY = 0.25  # seconds until the next address of a name is tried in parallel
_PORTS = {"http": 80, "https": 443}

Step = Literal["name", "connection", "answer"]  # a step towards an answer; they come in this order


@dataclass(frozen=True)
class Route:
    """The way to an endpoint; ``host`` and ``port`` are the proxy's if there is one."""

    endpoint: str
    host: str
    port: int
    through_proxy: bool

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Answered:
    """Any HTTP answer. Times are in seconds since 1970."""

    route: Route
    addresses: tuple[str, ...]
    status: int
    tls_version: str | None
    certificate_ends: float | None
    skew: float | None  # the answer's `Date` minus this machine's clock, in seconds; None without a date


@dataclass(frozen=True)
class Unanswered:
    """The step that failed, and its error; ``limit`` is the time limit in seconds."""

    route: Route
    step: Step
    error: Exception
    limit: float


Outcome = Answered | Unanswered


def route_to(endpoint: str, proxy: str | None) -> Route:
    """Return the route to an endpoint, through the proxy if there is one."""
    first = urlsplit(proxy or endpoint)
    port = first.port or _PORTS.get(first.scheme, _PORTS["http"])
    return Route(endpoint, first.hostname or "", port, proxy is not None)


async def probe(
    endpoint: str, proxy: str | None, tls: ssl.SSLContext, limit: float, now: Callable[[], float]
) -> Outcome:
    """Request an endpoint's root, within ``limit`` seconds in total."""
    route = route_to(endpoint, proxy)
    step: Step = "name"
    try:
        async with asyncio.timeout(limit):
            addresses = await _resolve(route)
            step = "connection"
            await _connect(route)
            step = "answer"
            return await _request(route, proxy, tls, addresses, now)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return Unanswered(route, step, error, limit)


async def _resolve(route: Route) -> tuple[str, ...]:
    found = await in_a_thread(partial(socket.getaddrinfo, route.host, route.port, type=socket.SOCK_STREAM))
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


async def _connect(route: Route) -> None:
    """Connect and close, to tell an unreachable host from a silent one."""
    _, writer = await asyncio.open_connection(route.host, route.port, happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY)
    writer.close()
    await writer.wait_closed()


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


async def _request(
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
        skew = _skew(response.headers.get("Date", ""), now())
        return Answered(route, addresses, response.status, response.tls_version, response.certificate_ends, skew)


def _skew(http_date: str, now: float) -> float | None:
    try:
        return parsedate_to_datetime(http_date).timestamp() - now
    except (ValueError, OverflowError):
        return None


def purposes_by_endpoint(services: Endpoints, token_endpoints: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what each endpoint is used for."""
    purposes: dict[str, list[str]] = {}
    for purpose, endpoint in {"sessions": services.sessions, "users": services.users, **token_endpoints}.items():
        purposes.setdefault(endpoint, []).append(purpose)
    return purposes


def judge(purposes: Sequence[str], outcome: Outcome, *, own_authorities: bool, now: float) -> Finding:
    """Return the finding about an endpoint; ``own_authorities`` is true if http.ca_file is set."""
    about = f"{outcome.route.endpoint} ({', '.join(purposes)})"
    if isinstance(outcome, Answered):
        return _answered(about, outcome, now)
    what, remedy = _failure(outcome, own_authorities=own_authorities)
    return fail(ENDPOINT, f"{about} {what}", _REMEDY_METADATA if purposes == [METADATA] else remedy)


def _answered(about: str, answered: Answered, now: float) -> Finding:
    status, ends = answered.status, answered.certificate_ends
    text = f"{about} answers {_way(answered)}"
    if status == PROXY_LOGIN_REQUIRED:
        what, remedy = _rejected_by_proxy(answered, status)
        return fail(ENDPOINT, f"{about} {what}", remedy)
    if status in REDIRECTS or status >= SERVER_ERRORS:
        cause = cause_of_status(status)
        return warn(ENDPOINT, f"{text}, but {cause.what} ({status})", cause.remedy)
    if ends is not None and ends - now < _CERTIFICATE_ENDS_SOON:
        return warn(ENDPOINT, text, f"the certificate expires soon: {_REMEDY_RENEW}")
    return ok(ENDPOINT, text)


def _way(answered: Answered) -> str:
    way = f"over {answered.tls_version.replace('TLSv', 'TLS ')}" if answered.tls_version else "without TLS"
    if answered.route.through_proxy:
        way = f"through the proxy {answered.route}, which resolves the name, {way}"
    else:
        more = ["…"] if len(answered.addresses) > _MAX_ADDRESSES else []
        way = f"{way} at {', '.join([*answered.addresses[:_MAX_ADDRESSES], *more])}"
    if answered.certificate_ends is None:
        return way
    return f"{way}, certificate valid until {datetime.fromtimestamp(answered.certificate_ends, UTC):%Y-%m-%d}"


def _failure(outcome: Unanswered, *, own_authorities: bool) -> Cause:
    match outcome.step:
        case "name":
            return _no_name(outcome)
        case "connection":
            return _no_connection(outcome)
        case "answer":
            return _no_answer(outcome, own_authorities=own_authorities)


def _no_name(outcome: Unanswered) -> Cause:
    route = outcome.route
    settings = "http.proxy or HTTPS_PROXY" if route.through_proxy else "region and endpoints"
    name = f"the proxy's name {route.host}" if route.through_proxy else f"the name {route.host}"
    if isinstance(outcome.error, socket.gaierror) and outcome.error.errno != socket.EAI_AGAIN:
        return Cause(f"is unreachable: {name} is unknown", f"check {settings} for a typo, and this machine's DNS")
    return Cause(
        f"is unreachable: no DNS server resolves {name}",
        "check this machine's DNS (/etc/resolv.conf); if only a proxy can resolve the cloud's names, set http.proxy",
    )


def _no_connection(outcome: Unanswered) -> Cause:
    route, through_proxy = outcome.route, outcome.route.through_proxy
    target = f"the proxy {route}" if through_proxy else str(route)
    firewall = f"let the firewall pass port {route.port}"
    if through_proxy:
        remedy = f"check http.proxy or HTTPS_PROXY; {firewall}"
    else:
        remedy = f"check endpoints; {firewall}, or set http.proxy if one is needed"
    if isinstance(outcome.error, TimeoutError):
        seconds = format_duration(outcome.limit)
        return Cause(f"is unreachable: no connection to {target} within {seconds}; a firewall may drop it", remedy)
    if f"[Errno {errno.ECONNREFUSED}]" in str(outcome.error):
        reason = "nothing listens there, or a firewall rejects it"
        return Cause(f"is unreachable: {target} refuses the connection; {reason}", remedy)
    what = f"is unreachable: no connection to {target} ({outcome.error})"
    return Cause(what, f"{remedy}; check this machine's routes")


def _no_answer(outcome: Unanswered, *, own_authorities: bool) -> Cause:
    match outcome.error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as error):
            return _bad_certificate(outcome, error, own_authorities=own_authorities)
        case aiohttp.ClientSSLError() | ssl.SSLError():
            what = f"fails the TLS handshake ({_reason(outcome.error)})"
            return Cause(what, "check that the endpoint's port speaks TLS, and any proxy or firewall in between")
        case aiohttp.ClientHttpProxyError() as error:
            return _rejected_by_proxy(outcome, error.status)
        case aiohttp.ClientResponseError():
            return Cause("does not answer with HTTP", "check endpoints: this host and port belong to another service")
        case TimeoutError():
            what = f"accepts the connection but sends no answer within {format_duration(outcome.limit)}"
            return Cause(what, "a firewall or proxy may swallow it: try from another network, or set http.proxy")
        case _:
            what = "accepts the connection but closes it before an answer"
            return Cause(what, "check endpoints, and whether a firewall or proxy in between blocks this host")


def _bad_certificate(outcome: Unanswered, error: ssl.SSLCertVerificationError, *, own_authorities: bool) -> Cause:
    match error.verify_code:  # OpenSSL's X509_V_ERR_*
        case 10:
            return Cause("has an expired certificate", f"{_REMEDY_RENEW}; or set this machine's clock if it is wrong")
        case 9:
            return Cause("has a certificate that is not valid yet", "set this machine's clock with NTP")
        case 62 | 64:
            what = f"has a certificate for another name than {urlsplit(outcome.route.endpoint).hostname}"
            return Cause(what, "check endpoints: use the name in the certificate; or another server poses as this host")
        case 2 | 18 | 19 | 20 | 21 | 27:
            authorities = "http.ca_file" if own_authorities else "this machine's certificate authorities"
            remedy = "if your own proxy inspects TLS, set http.ca_file to a PEM file with its certificate authority"
            return Cause(f"has an untrusted certificate: its issuer is not in {authorities}", remedy)
        case _:
            return Cause(f"has an invalid certificate: {error.verify_message}", "check the endpoint's certificate")


def _reason(error: Exception) -> str:
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return str(getattr(inner, "reason", None) or type(inner).__name__)


def _rejected_by_proxy(outcome: Outcome, status: int) -> Cause:
    what = f"is unreachable: the proxy {outcome.route} rejects the request ({status})"
    if status == PROXY_LOGIN_REQUIRED:
        return Cause(f"{what}: it requires a user and password", cause_of_status(status).remedy)
    return Cause(what, "make the proxy allow and reach this host; if no proxy is needed, add the host to NO_PROXY")
