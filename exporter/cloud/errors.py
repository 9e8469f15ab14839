"""The one family of errors that a call to the cloud can end in."""

from __future__ import annotations

import re
from typing import Self

_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")


def _token(text: str | None) -> str | None:
    """The text if it is a code or an id; what else somebody writes in its place may name a person, and is left out."""
    return text if text is None or _TOKEN.fullmatch(text) else "unreadable"


class CloudError(Exception):
    """A call that brought no usable answer.

    ``outcome`` is the value of the metric label ``code``: the HTTP status, or ``timeout``, ``connection_error``,
    ``tls_error``, ``invalid_response``. The cloud's own message is left out on purpose: it may name a person.
    """

    retry_after: float | None = None
    """Seconds that the cloud asks to wait before the call is repeated; None where it does not say."""

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
        """The same facts without the traceback and causes, which keep whole answers in memory."""
        return type(self)(
            self.operation,
            self.outcome,
            error_code=self.error_code,
            request_id=self.request_id,
            detail=self.detail,
        )

    def facts(self) -> dict[str, str]:
        """What there is to tell of it in the log, by key; what is not known is left out."""
        facts = {
            "operation": self.operation,
            "code": self.outcome,
            "error_code": self.error_code,
            "request_id": self.request_id,
            "detail": self.detail or None,
        }
        return {name: value for name, value in facts.items() if value is not None}

    @property
    def passing(self) -> bool:
        """Whether the same call may well succeed a little later."""
        return False

    @property
    def status(self) -> int | None:
        """The HTTP status; None where there was no whole HTTP answer."""
        return int(self.outcome) if self.outcome.isdecimal() else None

    def __str__(self) -> str:
        facts = [f"{self.operation}: {self.outcome}"]
        facts += [self.detail] if self.detail else []
        facts += [f"error_code {self.error_code}"] if self.error_code else []
        facts += [f"request_id {self.request_id}"] if self.request_id else []
        return ", ".join(facts)


class Unreachable(CloudError):
    """No whole answer arrived: timeout, connection or TLS trouble."""

    @property
    def passing(self) -> bool:
        """Timeouts and broken connections pass; certificates stay as they are."""
        return self.outcome != "tls_error"


class NoCredentials(CloudError):
    """Nothing was asked, because there is nothing to authenticate with; no attempt, so no ``code`` of any metric."""


class InvalidResponse(CloudError):
    """An answer arrived that is not what the reference says."""


class Refused(CloudError):
    """The cloud answered with an error: any status or error code not told apart below."""

    @property
    def passing(self) -> bool:
        """What is wrong on the cloud's side passes; what it finds wrong with the call does not."""
        return self.status is not None and self.status >= _SERVER_ERRORS


class Unauthorized(Refused):
    """401: the credentials are not accepted."""


class Forbidden(Refused):
    """403: the credentials lack a permission."""


class NotFound(Refused):
    """404 by the service itself: it does not know the user that was asked for."""


class Throttled(Refused):
    """429: the operation's quota is used up."""

    quota: float | None = None
    """The calls a minute that the cloud says it allows; None where it does not say."""

    @property
    def passing(self) -> bool:
        """The quota is there again within a minute."""
        return True


_SERVER_ERRORS = 500
_BY_STATUS: dict[int, type[Refused]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 429: Throttled}

# A 404 with one of these is the gateway's: it knows no such API, which says nothing about a user.
_GATEWAY_CODES = ("APIG.", "APIGW.")


def refusal(operation: str, status: int, error_code: str | None, request_id: str | None) -> Refused:
    """The error for an answer with this status and error code (None where the body names none)."""
    kind = _BY_STATUS.get(status, Refused)
    if kind is NotFound and (error_code is None or error_code.startswith(_GATEWAY_CODES)):
        kind = Refused
    return kind(operation, str(status), error_code=error_code, request_id=request_id)
