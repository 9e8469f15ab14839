"""How an endpoint is reached, in words."""

from __future__ import annotations

import errno
import socket
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from exporter.config import format_duration
from exporter.doctor.findings import ENDPOINT, Finding, fail, ok, warn
from exporter.doctor.probe import Answered, Outcome, Step, Unanswered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.cloud.client import Endpoints

CERTIFICATE_ENDS_SOON = 14 * 86_400.0
"""Seconds before its end that a certificate is worth a warning."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SERVER_ERRORS = 500
_PROXY_WANTS_PASSWORD = 407
_MOST_ADDRESSES = 3

# OpenSSL's numbers for what is wrong with a certificate.
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_NAME = frozenset({62, 64})
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21, 27})

METADATA = "metadata"
_REMEDY_METADATA = (
    "no auth is configured, and the SDK's environment and file have no keys, so that they have to come from an ECS: "
    "set auth, or run on an ECS with an agency"
)
_CLOCK_TOO = "or set this machine's clock, if that is what is wrong"


def used(services: Endpoints, lenders: Mapping[str, str]) -> dict[str, list[str]]:
    """What each endpoint is used for."""
    purposes: dict[str, list[str]] = {}
    for purpose, endpoint in {"sessions": services.sessions, "users": services.users, **lenders}.items():
        purposes.setdefault(endpoint, []).append(purpose)
    return purposes


def judge(purposes: Sequence[str], outcome: Outcome, *, own_authorities: bool, now: float) -> Finding:
    """What came of the question to an endpoint; ``own_authorities`` where http.ca_file names them."""
    about = f"{outcome.route.endpoint} ({', '.join(purposes)})"
    if isinstance(outcome, Answered):
        return _answered(about, outcome, now)
    what, remedy = _why(outcome, own_authorities=own_authorities)
    if purposes == [METADATA]:
        remedy = _REMEDY_METADATA
    return fail(ENDPOINT, f"{about} {what}", remedy)


def _answered(about: str, answered: Answered, now: float) -> Finding:
    text, ends = f"{about} answers {_way(answered)}", answered.certificate_ends
    if answered.status == _PROXY_WANTS_PASSWORD:
        what, remedy = _proxy_refuses(answered, answered.status)
        return fail(ENDPOINT, f"{about} {what}", remedy)
    if answered.status in _REDIRECTS:
        return warn(
            ENDPOINT,
            f"{text}, but with a redirect ({answered.status}), which is never followed",
            "check endpoints and region; a portal or a proxy that wants a login answers so, too",
        )
    if answered.status >= _SERVER_ERRORS:
        return warn(
            ENDPOINT, f"{text}, but with {answered.status}", "the cloud or a proxy before it is in trouble: wait"
        )
    if ends is not None and ends - now < CERTIFICATE_ENDS_SOON:
        return warn(
            ENDPOINT, text, "the certificate ends soon: whoever runs this endpoint, or the proxy, has to renew it"
        )
    return ok(ENDPOINT, text)


def _way(answered: Answered) -> str:
    addresses = [*answered.addresses[:_MOST_ADDRESSES], *(["…"] if len(answered.addresses) > _MOST_ADDRESSES else [])]
    route = answered.route
    through = f"through the proxy {_at(answered)}, which resolves the name," if route.through_proxy else ""
    secured = f"over {answered.tls_version}" if answered.tls_version else "without TLS"
    parts = [through, secured.replace("TLSv", "TLS "), "" if route.through_proxy else f"at {', '.join(addresses)}"]
    way = " ".join(filter(None, parts))
    if answered.certificate_ends is None:
        return way
    return f"{way}, certificate valid until {datetime.fromtimestamp(answered.certificate_ends, UTC):%Y-%m-%d}"


def _at(outcome: Outcome) -> str:
    return f"{outcome.route.host}:{outcome.route.port}"


def _why(outcome: Unanswered, *, own_authorities: bool) -> tuple[str, str]:
    """What is wrong, and what to do."""
    match outcome.step:
        case Step.NAME:
            return _no_name(outcome)
        case Step.CONNECTION:
            return _no_connection(outcome)
        case Step.ANSWER:
            return _no_answer(outcome, own_authorities=own_authorities)


def _no_name(outcome: Unanswered) -> tuple[str, str]:
    route = outcome.route
    settings = "http.proxy or HTTPS_PROXY" if route.through_proxy else "region and endpoints"
    whose = f"the proxy's name {route.host}" if route.through_proxy else f"the name {route.host}"
    if isinstance(outcome.error, socket.gaierror) and outcome.error.errno != socket.EAI_AGAIN:
        return f"is not reached: {whose} is unknown", f"check {settings} for a mistyped name, and this machine's DNS"
    remedy = (
        "check this machine's DNS (/etc/resolv.conf); where only a proxy resolves the cloud's names, set http.proxy"
    )
    return f"is not reached: no DNS server tells the address of {whose}", remedy


def _no_connection(outcome: Unanswered) -> tuple[str, str]:
    route = outcome.route
    where = f"{'the proxy ' if route.through_proxy else ''}{_at(outcome)}"
    settings = "check http.proxy or HTTPS_PROXY" if route.through_proxy else "check endpoints"
    firewall = f"let the firewall pass port {route.port}"
    remedy = f"{settings}; {firewall}" + ("" if route.through_proxy else ", or set http.proxy where one is needed")
    if isinstance(outcome.error, TimeoutError):
        patience = format_duration(outcome.patience)
        return f"is not reached: no connection to {where} within {patience}; a firewall may drop it", remedy
    if f"[Errno {errno.ECONNREFUSED}]" in str(outcome.error):
        return (
            f"is not reached: {where} refuses the connection; nothing listens there, or a firewall rejects it",
            remedy,
        )
    return f"is not reached: no connection to {where} ({outcome.error})", f"{remedy}; check this machine's routes"


def _no_answer(outcome: Unanswered, *, own_authorities: bool) -> tuple[str, str]:
    match outcome.error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as error):
            return _bad_certificate(outcome, error, own_authorities=own_authorities)
        case aiohttp.ClientSSLError() | ssl.SSLError():
            what = f"does not agree on TLS ({_reason(outcome.error)})"
            return what, "check that the endpoint's port speaks TLS, and the proxy or firewall on the way"
        case aiohttp.ClientHttpProxyError() as error:
            return _proxy_refuses(outcome, error.status)
        case aiohttp.ClientResponseError():
            return "answers something that is not HTTP", "check endpoints: their host and port are another service's"
        case TimeoutError():
            what = f"takes the connection and then says nothing for {format_duration(outcome.patience)}"
            return what, "a firewall or proxy on the way may swallow it: try from another network, or set http.proxy"
        case _:
            what = "takes the connection and breaks it off before an answer"
            return what, "check endpoints, and the firewall or proxy on the way, which may not let this host pass"


def _bad_certificate(
    outcome: Unanswered, error: ssl.SSLCertVerificationError, *, own_authorities: bool
) -> tuple[str, str]:
    host = urlsplit(outcome.route.endpoint).hostname
    code = error.verify_code
    if code == _EXPIRED:
        return "has an expired certificate", f"whoever runs this endpoint, or the proxy, has to renew it; {_CLOCK_TOO}"
    if code == _NOT_YET_VALID:
        return "has a certificate that is not valid yet", "set this machine's clock with NTP"
    if code in _OTHER_NAME:
        what = f"has a certificate for another name than {host}"
        return what, "check endpoints: use the name that the certificate is for; or something poses as this host"
    if code in _UNKNOWN_AUTHORITY:
        known = "http.ca_file does" if own_authorities else "this machine's authorities do"
        return (
            f"has an untrusted certificate: {known} not know who issued it",
            "if a proxy of your own inspects TLS, name a PEM file with its authority in http.ca_file",
        )
    return f"has a certificate that is refused: {error.verify_message}", "check the endpoint's certificate"


def _reason(error: Exception) -> str:
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return str(getattr(inner, "reason", None) or type(inner).__name__)


def _proxy_refuses(outcome: Outcome, status: int) -> tuple[str, str]:
    what = f"is not reached: the proxy {_at(outcome)} refuses to pass to it ({status})"
    if status == _PROXY_WANTS_PASSWORD:
        return what, "the proxy wants a user and password: http://user:password@host:port in http.proxy"
    return (
        what,
        "have the proxy allow and reach this host; where it is reached without a proxy, except it with NO_PROXY",
    )
