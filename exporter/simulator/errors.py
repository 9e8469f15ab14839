"""The shapes in which the cloud refuses.

Sources: the API reference (`error_code`, `error_msg`), "Common Errors Related to IAM Authentication Information" and
"Error Codes" of the API Gateway's guides (codes and messages of the gateway), IAM's API reference (`error`).
The reference names no codes for the cases of the Workspace operations: theirs here have the documented form only.
"""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from exporter.simulator.messages import Answer

AUTHENTICATION = "Incorrect IAM authentication information: "


class ApiError(Exception):
    """A refusal: an HTTP status with an error code and a message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message

    def payload(self, _request_id: str) -> Mapping[str, object]:
        """The body of the answer, in the shape of the Workspace services."""
        return {"error_code": self.code, "error_msg": self.message}

    def answer(self, request_id: str) -> Answer:
        """The whole answer."""
        return Answer(self.status, msgspec.json.encode(self.payload(request_id)))


class ServiceError(ApiError):
    """A refusal by the Workspace services."""


class GatewayError(ApiError):
    """A refusal by the API gateway in front of the services."""

    def payload(self, request_id: str) -> Mapping[str, object]:
        """The gateway repeats the request id in the body."""
        return {"error_msg": self.message, "error_code": self.code, "request_id": request_id}


class IamError(ApiError):
    """A refusal by IAM."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, str(status), message)

    def payload(self, _request_id: str) -> Mapping[str, object]:
        """IAM nests the error one level down and says its status as the code."""
        return {"error": {"code": self.status, "message": self.message, "title": HTTPStatus(self.status).phrase}}


def unauthorized(message: str) -> GatewayError:
    """401: credentials missing or wrong."""
    return GatewayError(HTTPStatus.UNAUTHORIZED, "APIGW.0301", AUTHENTICATION + message)


def throttled(limit: int) -> GatewayError:
    """429: more calls than the quota of this many a minute."""
    return GatewayError(
        HTTPStatus.TOO_MANY_REQUESTS,
        "APIG.0308",
        f"The throttling threshold has been reached: policy user over ratelimit,limit:{limit},time:1 minute",
    )


def not_permitted(action: str) -> ServiceError:
    """403: the caller lacks an IAM action."""
    return ServiceError(HTTPStatus.FORBIDDEN, "WKS.00010403", f"Policy doesn't allow {action} to be performed.")


def foreign_project(project_id: str) -> GatewayError:
    """403: the caller's credentials are of another project."""
    return GatewayError(
        HTTPStatus.FORBIDDEN, "APIG.0302", f"The IAM user is not authorized to access the API: project {project_id}"
    )


def invalid_parameter(name: str, problem: str) -> ServiceError:
    """400: a parameter is missing or malformed."""
    return ServiceError(HTTPStatus.BAD_REQUEST, "WKS.0001", f"The parameter {name} {problem}.")


def unknown_user(who: str) -> ServiceError:
    """404: no such user."""
    return ServiceError(HTTPStatus.NOT_FOUND, "WKS.00170404", f"The user {who} does not exist.")


def unknown_api() -> GatewayError:
    """404: no operation has this path."""
    return GatewayError(
        HTTPStatus.NOT_FOUND, "APIG.0101", "The API does not exist or has not been published in the environment"
    )


def wrong_method(method: str) -> ServiceError:
    """405: the path exists, but not with this method."""
    return ServiceError(HTTPStatus.METHOD_NOT_ALLOWED, "WKS.00010405", f"Request method '{method}' not supported")
