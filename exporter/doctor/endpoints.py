"""The words for how an endpoint is reached, and for the step that fails. Pure."""

import errno
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime

import aiohttp

from exporter.cloud.causes import REDIRECTS, Cause, cause_of_status, proxy_rejection
from exporter.cloud.errors import PROXY_LOGIN_REQUIRED, SERVER_ERRORS
from exporter.config import format_duration
from exporter.doctor.findings import ENDPOINT, Finding, fail, ok, warn
from exporter.doctor.probe import Answered, Outcome, Unanswered

METADATA = "metadata"

_CERTIFICATE_ENDS_SOON = 14 * 86_400.0  # seconds
_MAX_ADDRESSES = 3
_REMEDY_METADATA = (
    "no auth is configured, and the SDK's environment and file have no keys, so an ECS has to provide them: "
    "set auth, or run on an ECS with an agency"
)
_REMEDY_RENEW = "the operator of this endpoint, or proxy, has to renew it"

_USUAL_PAGES = {400, 404}  # statuses with which the cloud may well answer an HTML page at the root of a host


def judge(purposes: Sequence[str], outcome: Outcome, *, own_authorities: bool, now: float) -> Finding:
    """Return the finding about an endpoint; ``own_authorities`` is true if http.ca_file is set."""
    about = f"{outcome.route.endpoint} ({', '.join(purposes)})"
    if isinstance(outcome, Unanswered):
        what, remedy = _failure(outcome, own_authorities=own_authorities)
        return fail(ENDPOINT, f"{about} {what}", _REMEDY_METADATA if purposes == [METADATA] else remedy)
    status, ends = outcome.status, outcome.certificate_ends
    text = f"{about} answers {_way(outcome)}"
    if status == PROXY_LOGIN_REQUIRED:
        proxy = f"the proxy {outcome.route}" if outcome.route.proxy else "a proxy in between"
        what, remedy = proxy_rejection(proxy, status)
        return fail(ENDPOINT, f"{about} is unreachable: {what}", remedy)
    if status in REDIRECTS or status >= SERVER_ERRORS or (outcome.is_page and status not in _USUAL_PAGES):
        cause = cause_of_status(status, is_page=outcome.is_page)
        return warn(ENDPOINT, f"{text}, but {cause.what} ({status}{', an HTML page' * outcome.is_page})", cause.remedy)
    if ends is not None and ends - now < _CERTIFICATE_ENDS_SOON:
        return warn(ENDPOINT, text, f"the certificate expires soon: {_REMEDY_RENEW}")
    return ok(ENDPOINT, text)


def _way(answered: Answered) -> str:
    way = f"over {answered.tls_version.replace('TLSv', 'TLS ')}" if answered.tls_version else "without TLS"
    if answered.route.proxy:
        way = f"through the proxy {answered.route}, which resolves the name, {way}"
    else:
        more = ["…"] if len(answered.addresses) > _MAX_ADDRESSES else []
        way = f"{way} at {', '.join([*answered.addresses[:_MAX_ADDRESSES], *more])}"
    if answered.certificate_ends is None:
        return way
    return f"{way}, certificate valid until {datetime.fromtimestamp(answered.certificate_ends, UTC):%Y-%m-%d}"


def _failure(outcome: Unanswered, *, own_authorities: bool) -> Cause:
    match outcome.step:
        case "proxy":
            return Cause(f"is not queried: {outcome.error}", "set http.proxy or correct the variable")
        case "answer":
            return _no_answer(outcome, own_authorities=own_authorities)
        case "name":
            what, remedy = _no_name(outcome)
        case "connection":
            what, remedy = _no_connection(outcome)
        case _:
            what, remedy = _no_tunnel(outcome, own_authorities=own_authorities)
    return Cause(f"is unreachable: {what}", remedy)


def _no_name(outcome: Unanswered) -> Cause:
    route = outcome.route
    settings = "http.proxy or HTTPS_PROXY" if route.proxy else "region and endpoints"
    name = f"the proxy's name {route.host}" if route.proxy else f"the name {route.host}"
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
    if route.proxy:
        remedy = f"check http.proxy or HTTPS_PROXY; let the firewall pass port {route.port}"
        target = f"the proxy {route}"
    if isinstance(outcome.error, TimeoutError):
        within = format_duration(outcome.limit)
        return Cause(f"no connection to {target} within {within}; a firewall may drop it", remedy)
    if f"[Errno {errno.ECONNREFUSED}]" in str(outcome.error):
        return Cause(f"{target} refuses the connection; nothing listens there, or a firewall rejects it", remedy)
    return Cause(f"no connection to {target} ({outcome.error})", f"{remedy}; check this machine's routes")


def _no_tunnel(outcome: Unanswered, *, own_authorities: bool) -> Cause:
    proxy = f"the proxy {outcome.route}"
    match outcome.error:
        case aiohttp.ClientHttpProxyError() as error:
            return proxy_rejection(proxy, error.status)
        case aiohttp.ClientSSLError() as error:
            what, remedy = _no_answer(outcome, own_authorities=own_authorities)
            by_proxy = (error.host, error.port) == (outcome.route.host, outcome.route.port)
            return Cause(f"{proxy} {what}" if by_proxy else f"through {proxy}, it {what}", remedy)
        case aiohttp.ClientResponseError():
            return Cause(f"{proxy} does not answer with HTTP", "check http.proxy or HTTPS_PROXY: is it an HTTP proxy?")
        case TimeoutError():
            what = f"{proxy} makes no connection within {format_duration(outcome.limit)}"
            return Cause(what, "check whether the proxy reaches this host, and whether it is an HTTP proxy")
        case _:
            what = f"{proxy} closes the connection before TLS begins"
            return Cause(what, "check whether the proxy allows and reaches this host, and whether it is an HTTP proxy")


def _no_answer(outcome: Unanswered, *, own_authorities: bool) -> Cause:
    through = f" through the proxy {outcome.route}" if outcome.route.proxy else ""
    match outcome.error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as error):
            return _bad_certificate(outcome, error, own_authorities=own_authorities)
        case aiohttp.ClientSSLError() | ssl.SSLError():
            inner = getattr(outcome.error, "os_error", outcome.error)
            what = f"fails the TLS handshake ({getattr(inner, 'reason', None) or type(inner).__name__})"
            return Cause(what, "check that the endpoint's port speaks TLS, and any proxy or firewall in between")
        case aiohttp.ClientResponseError():
            what = f"does not answer with HTTP{through}"
            return Cause(what, "check endpoints: this host and port belong to another service")
        case TimeoutError():
            what = f"accepts the connection but sends no answer within {format_duration(outcome.limit)}{through}"
            return Cause(what, "a firewall or proxy may swallow it: try from another network, or set http.proxy")
        case _:
            what = f"accepts the connection but closes it before an answer{through}"
            return Cause(what, "check endpoints, and whether a firewall or proxy in between blocks this host")


def _bad_certificate(outcome: Unanswered, error: ssl.SSLCertVerificationError, *, own_authorities: bool) -> Cause:
    match error.verify_code:  # OpenSSL's X509_V_ERR_*
        case 10:
            return Cause("has an expired certificate", f"{_REMEDY_RENEW}; or set this machine's clock if it is wrong")
        case 9:
            return Cause("has a certificate that is not valid yet", "set this machine's clock with NTP")
        case 62 | 64:
            host = getattr(outcome.error, "host", outcome.route.host)
            what = f"has a certificate for another name than {host}"
            return Cause(what, "check endpoints: use the name in the certificate; or another server poses as this host")
        case 2 | 18 | 19 | 20 | 21 | 27:
            authorities = "http.ca_file" if own_authorities else "this machine's certificate authorities"
            remedy = "if your own proxy inspects TLS, set http.ca_file to a PEM file with its certificate authority"
            return Cause(f"has an untrusted certificate: its issuer is not in {authorities}", remedy)
        case _:
            return Cause(f"has an invalid certificate: {error.verify_message}", "check the endpoint's certificate")
