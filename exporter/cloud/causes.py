"""The words for every failed request: what happened, and what to do."""

from typing import NamedTuple

from exporter.cloud.client import IAM_ACTIONS, LIST_SERVER_GROUPS, LIST_SERVERS, LIST_SESSIONS
from exporter.cloud.errors import (
    GATEWAY_CODES,
    PAGE,
    PROXY_LOGIN_REQUIRED,
    SERVER_ERRORS,
    CloudError,
    Forbidden,
    Intercepted,
    InvalidResponse,
    Refused,
    Unreachable,
    rejected_by,
)
from exporter.cloud.sources import (
    IAM_OPERATION,
    ID_TOKEN_OPERATION,
    OIDC_OPERATION,
    POD_OPERATION,
    TEMPORARY_KEY_OPERATION,
)

REDIRECTS = range(300, 400)


class Cause(NamedTuple):
    """What happened, and what to do."""

    what: str
    remedy: str


_REMEDY_PROJECT = "check region, endpoints and project_id"
_REMEDY_POLICY = "give the IAM user the policy in CONFIGURATION.md (Permissions)"

_SERVER_ERROR = Cause(
    "the cloud, or a proxy in front of it, has a problem", "wait; if it persists, give Huawei's support the request_id"
)
_REMEDY_PROXY_LOGIN = (
    "set http.proxy to http://user:password@host:port, with special characters of the password percent-encoded"
)
_REMEDY_BLOCKED = (
    "make the proxy and firewall allow and reach this host; if no proxy is needed, remove http.proxy, or add the host "
    "to NO_PROXY"
)
_PAGE = Cause(
    "a proxy, firewall or portal in between answers in place of the cloud, or another host",
    f"check endpoints; if they are right, {_REMEDY_BLOCKED}",
)
_SERVER_ERROR_PAGE = Cause(
    "a proxy or firewall in between, or the cloud's load balancer, has a problem",
    "wait; if it persists, check whether the proxy reaches this host, or ask Huawei's support",
)
_REDIRECT = Cause(
    "the answer is a redirect, which is never followed",
    "check endpoints and region; a captive portal or a proxy with a login page redirects, too",
)
_BY_STATUS = {
    400: Cause("the cloud does not understand the request", _REMEDY_PROJECT),
    401: Cause(
        "the cloud rejects the credentials",
        f"check access key and secret key, token or password; if they are right, {_REMEDY_PROJECT}",
    ),
    404: Cause("this host has no such API", "check region and endpoints; sessions and users may have different hosts"),
    429: Cause(
        "the account's request quota is used up",
        "try again in a minute; if it persists, find what else uses the quota, or lower poll.rate_limit",
    ),
}

_REFUSALS = (400, 401, 403)  # with an error code of the service itself
# Services that refuse to issue credentials, by operation.
_ISSUERS = {
    IAM_OPERATION: Cause(
        "IAM rejects the user",
        "check username, password, project_id, and domain, which is the account's name. A few wrong passwords lock the "
        "user for a while",
    ),
    OIDC_OPERATION: Cause(
        "STS rejects the ID token, or its use of the agency",
        "check that the ID token is new and for the right audience, that the agency trusts the OIDC provider, and that "
        "it allows the duration (HUAWEICLOUD_OIDC_DURATION_SECONDS)",
    ),
    ID_TOKEN_OPERATION: Cause(
        "IAM rejects the ID token",
        "check that the ID token is new, and that the identity provider in IAM has its issuer, client ID and keys",
    ),
    TEMPORARY_KEY_OPERATION: Cause(
        "IAM issues no key for the ID token", "check the conversion rules of the identity provider in IAM"
    ),
    POD_OPERATION: Cause(
        "the pod identity agent rejects the token of the service account",
        "check that the cluster associates the service account of this pod with an agency",
    ),
}

_UNAVAILABLE = (403, 404)  # not permitted, or not in this region
_OPTIONAL = {
    LIST_SESSIONS: "sessions that begin and end between two polls are not counted, and failures show up to "
    "one polling cycle later",
    LIST_SERVERS: "no metric shows the servers of a group, their sessions and their capacity",
    LIST_SERVER_GROUPS: "server groups without a server are unknown, and others may have no name",
}
"""What is missed without an operation that the exporter can do without."""


def is_dispensable(error: CloudError) -> bool:
    """Return whether the error only says that an optional operation is not available."""
    return isinstance(error, Refused) and error.status in _UNAVAILABLE and error.operation in _OPTIONAL


def explain(error: CloudError) -> Cause:
    """Return the cause of an error, and what is missed without an optional operation."""
    cause = _cause(error)
    if is_dispensable(error):
        return Cause(f"{cause.what}; without it, {_OPTIONAL[error.operation]}", cause.remedy)
    return cause


def _cause(error: CloudError) -> Cause:
    seen = f"({facts(error)})"
    match error:
        case Refused() if error.status in _REFUSALS and error.error_code and error.operation in _ISSUERS:
            what, remedy = _ISSUERS[error.operation]
            cause = Cause(f"{what} {seen}", remedy)
        case Forbidden() if error.operation in IAM_ACTIONS:
            cause = _denied(error, seen)
        case Refused():
            what, remedy = cause_of_status(error.status or 0, is_page=PAGE in error.detail)
            cause = Cause(f"{what} {seen}", remedy)
        case InvalidResponse() if error.error_code:
            remedy = "look up the code in the Workspace reference; Huawei's support needs the request_id"
            cause = Cause(f"the cloud returns an error with a success status {seen}", remedy)
        case InvalidResponse():
            remedy = "check endpoints, and any proxy or portal in between"
            cause = Cause(f"the answer does not match the cloud's API {seen}", remedy)
        case Intercepted():
            cause = proxy_rejection(error.by, error.status)
        case Unreachable(outcome="timeout"):
            remedy = "try again; if it persists, raise poll.timeout, or check the network and the proxy"
            cause = Cause(f"no complete answer within poll.timeout {seen}", remedy)
        case Unreachable(outcome="tls_error"):
            remedy = "name your own certificate authorities in http.ca_file; doctor shows the certificate"
            cause = Cause(f"the TLS connection failed {seen}", remedy)
        case Unreachable():
            remedy = "check endpoints, firewall and proxy; doctor shows which step fails"
            cause = Cause(f"the connection failed {seen}", remedy)
        case _:
            cause = Cause(f"no request was sent {seen}", "see Credentials in CONFIGURATION.md")
    return cause


def _denied(error: Forbidden, seen: str) -> Cause:
    action = IAM_ACTIONS[error.operation]
    if error.error_code is None or error.error_code.startswith(GATEWAY_CODES):
        what = f"{action} is not allowed, or these credentials are for another project {seen}"
        return Cause(what, f"check project_id and region; if they are right, {_REMEDY_POLICY}")
    return Cause(f"{action} is missing {seen}", _REMEDY_POLICY)


def proxy_rejection(proxy: str, status: int) -> Cause:
    """Return the cause of a request that a proxy rejects with this status."""
    return Cause(rejected_by(proxy, status), _REMEDY_PROXY_LOGIN if status == PROXY_LOGIN_REQUIRED else _REMEDY_BLOCKED)


def cause_of_status(status: int, *, is_page: bool = False) -> Cause:
    """Return the cause of an HTTP status that is no success; ``is_page`` is true if an HTML page came with it."""
    if status in REDIRECTS:
        return _REDIRECT
    if is_page:
        return _SERVER_ERROR_PAGE if status >= SERVER_ERRORS else _PAGE
    if status >= SERVER_ERRORS:
        return _SERVER_ERROR
    return _BY_STATUS.get(status, Cause("the cloud rejects the request", _REMEDY_PROJECT))


def facts(error: CloudError) -> str:
    """Return what Huawei's support needs: status, error code and request id."""
    code = error.error_code if error.error_code != error.outcome else None  # IAM's codes are its statuses
    request_id = error.request_id and f"request_id {error.request_id}"
    return ", ".join(filter(None, [" ".join(filter(None, [error.outcome, code])), error.detail, request_id]))
