"""The errors that a request to the cloud can end in."""

import re
from collections.abc import Awaitable, Callable
from typing import Self

_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")


def _token(text: str | None) -> str | None:
    """Return a code or an id as it is. Any other text may name a person and is left out."""
    return text if text is None or _TOKEN.fullmatch(text) else "unreadable"


class CloudError(Exception):
    """A request without a usable answer.

    ``outcome`` is the value of the metric label ``code``: the HTTP status, or ``timeout``, ``connection_error``,
    ``tls_error``, ``invalid_response``. The cloud's own message is left out because it may name a person.
    """

    retry_after: float | None = None  # seconds to wait before the request is repeated, if the cloud named them

    def __init__(
        self,
        operation: str,
        outcome: str,
        *,
        error_code: str | None = None,
        request_id: str | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(operation, outcome)
        self.operation = operation
        self.outcome = outcome
        self.error_code = _token(error_code)
        self.request_id = _token(request_id)
        self.detail = detail

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CloudError) and type(self) is type(other) and self.facts() == other.facts()

    def __hash__(self) -> int:
        return hash(tuple(self.facts().values()))

    def bare(self) -> Self:
        """Return the same error without the traceback and causes, which keep whole answers in memory."""
        return type(self)(self.operation, self.outcome, **self._details(), detail=self.detail)

    def _details(self) -> dict[str, str | None]:
        return {"error_code": self.error_code, "request_id": self.request_id}

    def facts(self) -> dict[str, str]:
        """Return the key-value pairs for the log. Unknown values are left out."""
        facts = {"operation": self.operation, "code": self.outcome, **self._details(), "detail": self.detail}
        return {name: value for name, value in facts.items() if value}

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed a little later."""
        return False

    @property
    def status(self) -> int | None:
        """The HTTP status; None without a complete answer."""
        return int(self.outcome) if self.outcome.isdecimal() else None

    def __str__(self) -> str:
        facts = [f"{self.operation}: {self.outcome}", self.detail]
        facts += [f"{name} {value}" for name, value in self._details().items() if value]
        return ", ".join(filter(None, facts))


class Unreachable(CloudError):
    """No complete answer arrived: a timeout, a connection error or a TLS error."""

    @property
    def passing(self) -> bool:
        """True for timeouts and broken connections, but not for certificates."""
        return self.outcome != "tls_error"


class Intercepted(Unreachable):
    """A proxy, firewall or portal answered in place of the cloud: no credentials and no permission are to blame.

    The outcome is the HTTP status, or ``connection_error`` if a proxy makes no connection to the cloud.
    """

    def __init__(self, operation: str, outcome: str, *, by: str, status: int) -> None:
        super().__init__(operation, outcome, detail=rejected_by(by, status))
        self.by = by  # such as "the proxy 10.0.0.1:3128"
        self._status = status

    def bare(self) -> Self:
        """See CloudError."""
        return type(self)(self.operation, self.outcome, by=self.by, status=self._status)

    @property
    def status(self) -> int:
        """The HTTP status of that answer."""
        return self._status

    @property
    def passing(self) -> bool:
        """Whether the proxy has a problem, or is used too much."""
        return self._status >= SERVER_ERRORS or self._status == _TOO_MANY_REQUESTS


class NoCredentials(CloudError):
    """Nothing was sent because there are no credentials. This is not counted as a request."""


class InvalidResponse(CloudError):
    """An answer that does not match the reference."""


class Refused(CloudError):
    """The cloud answered with an error. The subclasses are the statuses that need a reaction of their own."""

    @property
    def passing(self) -> bool:
        """Whether the error is the server's, or a quota is used up, which is restored within a minute."""
        return isinstance(self, Throttled) or (self.status or 0) >= SERVER_ERRORS


class Unauthorized(Refused):
    """401: the credentials are not accepted."""

    renew: Callable[[], Awaitable[bool]] | None = None
    """Renews the credentials and returns whether others than the rejected ones are at hand; raises CloudError."""


class Forbidden(Refused):
    """403: the credentials lack a permission."""


class NotFound(Refused):
    """404 from the service itself: it does not know the requested user."""


class Throttled(Refused):
    """429: the operation's quota is used up."""

    quota: float | None = None  # the allowed requests per minute, if the cloud named them


SERVER_ERRORS = 500  # from this HTTP status on, the error is on the server's side
PROXY_LOGIN_REQUIRED = 407
_TOO_MANY_REQUESTS = 429
_BY_STATUS: dict[int, type[Refused]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 429: Throttled}

GATEWAY_CODES = ("APIG.", "APIGW.")
"""Prefixes of the API gateway's error codes: its 404 is about an API, not about a user."""


def rejected_by(proxy: str, status: int) -> str:
    """Return the words for a request that a proxy rejects with this status."""
    text = f"{proxy} rejects the request ({status})"
    if status == PROXY_LOGIN_REQUIRED:
        return f"{text}: it requires a user and password, or those that it gets are wrong"
    return text


PAGE = "an HTML page"
"""Begins the detail of an error if the body is a page, which the cloud's API never answers with."""


def refusal(operation: str, status: int, error_code: str | None, request_id: str | None, detail: str = "") -> Refused:
    """Return the error for an answer with this status, and the error code of its body, if any."""
    kind = _BY_STATUS.get(status, Refused)
    if kind is NotFound and (error_code is None or error_code.startswith(GATEWAY_CODES)):
        kind = Refused
    return kind(operation, str(status), error_code=error_code, request_id=request_id, detail=detail)


def is_intercepted(status: int, error_code: str | None, request_id: str | None, *, is_page: bool) -> bool:
    """Return whether an answer must come from a proxy, firewall or portal and not from the cloud.

    A 403 is the cloud's only if something shows it, so that no permission is blamed. A 401 is the cloud's unless a page
    contradicts it, so that no key is locked.
    """
    match status:
        case 401:
            return is_page and not error_code and not request_id
        case 403:
            return not error_code and (is_page or not request_id)
        case _:
            return status == PROXY_LOGIN_REQUIRED
