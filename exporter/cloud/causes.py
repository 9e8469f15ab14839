"""Why a call to the cloud failed, and what to do: one place for the words to every error."""

from __future__ import annotations

from typing import NamedTuple

from exporter.cloud.client import IAM_ACTIONS
from exporter.cloud.errors import CloudError, Forbidden, InvalidResponse, Refused, Unreachable

_REDIRECTS = range(300, 400)
_SERVER_ERRORS = 500
_GATEWAY = ("APIG.", "APIGW.")

_REMEDY_HOST = "check region, endpoints and project_id"
_REMEDY_REDIRECT = "check endpoints and region; a portal or a proxy that wants a login answers so, too"


class Cause(NamedTuple):
    """What happened and what to do about it."""

    what: str
    remedy: str


_BY_STATUS = {
    400: Cause("the cloud does not understand the call", _REMEDY_HOST),
    401: Cause(
        "the credentials are refused", f"check key and secret, token or password; if these are right, {_REMEDY_HOST}"
    ),
    404: Cause(
        "this host has no such API", "check region and endpoints; sessions and users may have hosts of their own"
    ),
    407: Cause("the proxy wants a user and password", "write http://user:password@host:port in http.proxy"),
    429: Cause(
        "the account's quota of calls is used up at present",
        "ask again in a minute; if it stays so, find what else calls, or lower poll.rate_limit",
    ),
}


def explain(error: CloudError) -> Cause:
    """The cause of an error."""
    match error:
        case Forbidden():
            return _forbidden(error)
        case Refused():
            return _refused(error)
        case InvalidResponse() if error.error_code:
            what = f"the cloud answers with an error under a status of success ({facts(error)})"
            return Cause(what, "look the code up in the Workspace reference; Huawei's support asks for the request_id")
        case InvalidResponse():
            what = f"an answer came that is not the cloud's ({facts(error)})"
            return Cause(what, "check endpoints, and the proxy or portal on the way")
        case Unreachable():
            return _unreachable(error)
        case _:
            return Cause(f"nothing was asked ({facts(error)})", "see Credentials in the README")


def facts(error: CloudError) -> str:
    """Status, code and request id: what the cloud's support asks for."""
    code = error.error_code if error.error_code != error.outcome else None  # IAM's codes are its statuses
    request_id = error.request_id and f"request_id {error.request_id}"
    return ", ".join(filter(None, [" ".join(filter(None, [error.outcome, code])), error.detail, request_id]))


def _forbidden(error: Forbidden) -> Cause:
    action = IAM_ACTIONS.get(error.operation, error.operation)
    if error.error_code is None or error.error_code.startswith(_GATEWAY):
        what = f"{action} is not allowed, or these credentials are for another project ({facts(error)})"
        return Cause(what, "check project_id and region; if they are right, give the IAM user the policy in the README")
    what = f"{action} is missing ({facts(error)})"
    return Cause(what, "give the IAM user the policy in the README (Credentials)")


def _refused(error: Refused) -> Cause:
    status = error.status or 0
    if status >= _SERVER_ERRORS:
        cause = Cause("the cloud is in trouble", "wait; if it stays so, give Huawei's support the request_id")
    elif status in _REDIRECTS:
        cause = Cause("the answer is a redirect, which is never followed", _REMEDY_REDIRECT)
    else:
        cause = _BY_STATUS.get(status, Cause("the cloud refuses the call", _REMEDY_HOST))
    return Cause(f"{cause.what} ({facts(error)})", cause.remedy)


def _unreachable(error: Unreachable) -> Cause:
    match error.outcome:
        case "timeout":
            what = "no whole answer within poll.timeout"
            return Cause(what, "ask again; if it stays so, raise poll.timeout, or look at the network and the proxy")
        case "tls_error":
            return Cause(
                f"TLS failed ({facts(error)})",
                "name your own authorities in http.ca_file; doctor says which certificate came",
            )
        case _:
            return Cause(
                f"the connection failed ({facts(error)})",
                "check endpoints, firewall and proxy; doctor says how far it comes",
            )
