"""How an endpoint is reached: a request without credentials, and the words for the step that fails."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from exporter import __version__
from exporter.cloud.causes import PROXY_LOGIN_REQUIRED, REDIRECTS, Cause, cause_of_status
from exporter.cloud.errors import SERVER_ERRORS
from exporter.cloud.transport import Resolver
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
    first = URL(proxy or endpoint)
    return Route(endpoint, first.host or "", first.port or 80, proxy is not None)


async def probe(
    endpoint: str, proxy: str | None, tls: ssl.SSLContext, limit: float, now: Callable[[], float]
) -> Outcome:
    """Request an endpoint's root, within ``limit`` seconds in total."""
    route = route_to(endpoint, proxy)
    step: Step = "name"
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
            step = "answer"
            return await _request(route, proxy, tls, addresses, now)
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
        try:
            skew = parsedate_to_datetime(response.headers.get("Date", "")).timestamp() - now()
        except (ValueError, OverflowError):
            skew = None
        return Answered(route, addresses, response.status, response.tls_version, response.certificate_ends, skew)


def judge(purposes: Sequence[str], outcome: Outcome, *, own_authorities: bool, now: float) -> Finding:
    """Return the finding about an endpoint; ``own_authorities`` is true if http.ca_file is set."""
    about = f"{outcome.route.endpoint} ({', '.join(purposes)})"
    if isinstance(outcome, Unanswered):
        what, remedy = _failure(outcome, own_authorities=own_authorities)
        return fail(ENDPOINT, f"{about} {what}", _REMEDY_METADATA if purposes == [METADATA] else remedy)
    status, ends = outcome.status, outcome.certificate_ends
    text = f"{about} answers {_way(outcome)}"
    if status == PROXY_LOGIN_REQUIRED:
        what, remedy = _rejected_by_proxy(outcome.route, status)
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
    if outcome.step == "answer":
        return _no_answer(outcome, own_authorities=own_authorities)
    what, remedy = (_no_name if outcome.step == "name" else _no_connection)(outcome)
    return Cause(f"is unreachable: {what}", remedy)


def _no_name(outcome: Unanswered) -> Cause:
    route = outcome.route
    settings = "http.proxy or HTTPS_PROXY" if route.through_proxy else "region and endpoints"
    name = f"the proxy's name {route.host}" if route.through_proxy else f"the name {route.host}"
    if isinstance(outcome.error, socket.gaierror) and outcome.error.errno != socket.EAI_AGAIN:
        return Cause(f"{name} is unknown", f"check {settings} for a typo, and this machine's DNS")
    remedy = (
        "check this machine's DNS (/etc/resolv.conf); if only a proxy can resolve the cloud's names, set http.proxy"
    )
    return Cause(f"no DNS server resolves {name}", remedy)


def _no_connection(outcome: Unanswered) -> Cause:
    route = outcome.route
    remedy = f"check endpoints; let the firewall pass port {route.port}, or set http.proxy if one is needed"
    target = str(route)
    if route.through_proxy:
        remedy = f"check http.proxy or HTTPS_PROXY; let the firewall pass port {route.port}"
        target = f"the proxy {route}"
    if isinstance(outcome.error, TimeoutError):
        within = format_duration(outcome.limit)
        return Cause(f"no connection to {target} within {within}; a firewall may drop it", remedy)
    if f"[Errno {errno.ECONNREFUSED}]" in str(outcome.error):
        return Cause(f"{target} refuses the connection; nothing listens there, or a firewall rejects it", remedy)
    return Cause(f"no connection to {target} ({outcome.error})", f"{remedy}; check this machine's routes")


def _no_answer(outcome: Unanswered, *, own_authorities: bool) -> Cause:
    match outcome.error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as error):
            return _bad_certificate(outcome, error, own_authorities=own_authorities)
        case aiohttp.ClientSSLError() | ssl.SSLError():
            inner = getattr(outcome.error, "os_error", outcome.error)
            what = f"fails the TLS handshake ({getattr(inner, 'reason', None) or type(inner).__name__})"
            return Cause(what, "check that the endpoint's port speaks TLS, and any proxy or firewall in between")
        case aiohttp.ClientHttpProxyError() as error:
            return _rejected_by_proxy(outcome.route, error.status)
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
            what = f"has a certificate for another name than {URL(outcome.route.endpoint).host}"
            return Cause(what, "check endpoints: use the name in the certificate; or another server poses as this host")
        case 2 | 18 | 19 | 20 | 21 | 27:
            authorities = "http.ca_file" if own_authorities else "this machine's certificate authorities"
            remedy = "if your own proxy inspects TLS, set http.ca_file to a PEM file with its certificate authority"
            return Cause(f"has an untrusted certificate: its issuer is not in {authorities}", remedy)
        case _:
            return Cause(f"has an invalid certificate: {error.verify_message}", "check the endpoint's certificate")


def _rejected_by_proxy(route: Route, status: int) -> Cause:
    what = f"is unreachable: the proxy {route} rejects the request ({status})"
    if status == PROXY_LOGIN_REQUIRED:
        return Cause(f"{what}: it requires a user and password", cause_of_status(status).remedy)
    return Cause(what, "make the proxy allow and reach this host; if no proxy is needed, add the host to NO_PROXY")
