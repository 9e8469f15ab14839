"""Requests, responses and error answers of the simulated cloud, independent of any HTTP library.

Sources of the errors: the API reference (`error_code`, `error_msg`), "Common Errors Related to IAM Authentication
Information" and "Error Codes" in the guides of the API Gateway, and the API reference of IAM (`error`). The reference
documents no codes for failures of the Workspace operations. The codes used here only have the documented form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

import msgspec

Delivery = Literal["whole", "hang", "reset"]
"""How the server delivers a response: whole, not at all, or half of the body and then a TCP reset."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as received: target and headers are the client's own bytes, not encoded again."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path of the target, still percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query of the target, still percent-encoded."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> str | None:
        """Return the value of a header, case-insensitively, or None."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Response:
    """A response; `delay` is in seconds. Operations leave common headers, delay and delivery to the simulator."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    delay: float = 0.0
    delivery: Delivery = "whole"


def json_response(payload: object, status: int = HTTPStatus.OK, **headers: str) -> Response:
    """Return a response with a JSON body."""
    return Response(status, {"Content-Type": "application/json", **headers}, msgspec.json.encode(payload))


class ApiError(Exception):
    """An error answer in the format of the Workspace services."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message

    def response(self, request_id: str) -> Response:
        """Return the response to the request with this id."""
        return json_response(self._payload(request_id), self.status)

    def _payload(self, _request_id: str) -> Mapping[str, object]:
        return {"error_code": self.code, "error_msg": self.message}


class GatewayError(ApiError):
    """An error of the API gateway, which repeats the request id in the body."""

    def _payload(self, request_id: str) -> Mapping[str, object]:
        return {"error_msg": self.message, "error_code": self.code, "request_id": request_id}


class IamError(ApiError):
    """An error of IAM, which nests it one level down, with the status as its code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, str(status), message)

    def _payload(self, _request_id: str) -> Mapping[str, object]:
        return {"error": {"code": self.status, "message": self.message, "title": HTTPStatus(self.status).phrase}}


def unauthorized(message: str) -> GatewayError:
    """Return a 401: missing or wrong credentials."""
    return GatewayError(HTTPStatus.UNAUTHORIZED, "APIGW.0301", f"Incorrect IAM authentication information: {message}")


def throttled(limit: int) -> GatewayError:
    """Return a 429 that names a quota of `limit` requests a minute."""
    message = f"The throttling threshold has been reached: policy user over ratelimit,limit:{limit},time:1 minute"
    return GatewayError(HTTPStatus.TOO_MANY_REQUESTS, "APIG.0308", message)


def invalid_parameter(name: str, problem: str) -> ApiError:
    """Return a 400: a query parameter is missing or malformed."""
    return ApiError(HTTPStatus.BAD_REQUEST, "WKS.0001", f"The parameter {name} {problem}.")


def unknown_user(user: str) -> ApiError:
    """Return a 404: no user has this name or id."""
    return ApiError(HTTPStatus.NOT_FOUND, "WKS.00170404", f"The user {user} does not exist.")
