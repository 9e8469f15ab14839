"""The formats of the API: requests, responses, errors, and the records of sessions, users and servers.

Sources: the API references of Workspace (AppSession, UserDetail, `error_code`), the official SDK (AppServer,
ServerGroup) and IAM (`error`), and "Error Codes" in
the guides of the API Gateway. The codes of failing Workspace operations are undocumented: only their form is right.
`UNSET` leaves a field out of an answer, `None` sends null.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus

import msgspec
from msgspec import UNSET, UnsetType

Text = str | None | UnsetType
Number = int | None | UnsetType
Flag = bool | None | UnsetType

OPEN_END = "0001-01-01 00:00:00"  # `end_time` of a session that has not ended
SUCCESS_CODE = "WKS.00000000"  # `failed_code` of a session that has not failed


class SessionState(StrEnum):
    """The five documented values of `session_state`."""

    APPC_INIT = "AppcInit"
    ACTIVE = "Active"
    DISCONNECTED = "Disconnected"
    SIGNED_OUT = "SignedOut"
    INIT_FAIL = "InitFail"


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A session: the fields of AppSession and of ListSessions. Its times are texts of `session_time`, in UTC.

    Only ListSessions returns the name of the server group, and the primary and secondary group. It returns no
    `app_group_id`.
    """

    id: Text = UNSET
    session_stamp: Text = UNSET
    os_session_id: Text = UNSET
    protocol_type: Text = UNSET
    login_user: Text = UNSET
    session_type: Text = UNSET
    app_group_id: Text = UNSET
    app_server_group_id: Text = UNSET
    app_server_group_name: Text = UNSET
    pre_conn_time: Text = UNSET
    start_time: Text = UNSET
    end_time: Text = UNSET
    status_continue_time: Text = UNSET
    machine_sid: Text = UNSET
    machine_name: Text = UNSET
    session_state: Text = UNSET
    app_name: Text = UNSET
    client_mac: Text = UNSET
    client_name: Text = UNSET
    client_ip: Text = UNSET
    public_ip: Text = UNSET
    client_version: Text = UNSET
    client_type: Text = UNSET
    agent_version: Text = UNSET
    vm_ip: Text = UNSET
    failed_reason: Text = UNSET
    failed_code: Text = UNSET
    last_update_status_time: Text = UNSET
    tenant_id: Text = UNSET
    primary_server_group_id: Text = UNSET
    secondary_server_group_id: Text = UNSET


class UserDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A user: the fields of UserDetail plus three others; `account_expires` is in milliseconds, 0 means never.

    Only ListUsers returns `domain` and `enterprise_project_id`. No operation returns `platform_type`.
    """

    description: Text = UNSET
    id: Text = UNSET
    user_name: Text = UNSET
    user_email: Text = UNSET
    user_phone: Text = UNSET
    active_type: Text = UNSET
    object_sid: Text = UNSET
    sam_account_name: Text = UNSET
    user_principal_name: Text = UNSET
    full_name: Text = UNSET
    distinguished_name: Text = UNSET
    account_type: Number = UNSET
    when_created: Text = UNSET
    account_expires: Number = UNSET
    is_pre_user: Flag = UNSET
    user_expired: Flag = UNSET
    locked: Flag = UNSET
    enabled_change_password: Flag = UNSET
    password_never_expired: Flag = UNSET
    next_login_change_password: Flag = UNSET
    disabled: Flag = UNSET
    group_names: list[str] | UnsetType | None = UNSET
    total_desktops: Number = UNSET
    domain: Text = UNSET
    enterprise_project_id: Text = UNSET
    platform_type: Text = UNSET


class AppServer(msgspec.Struct, frozen=True, kw_only=True):
    """A server that sessions run on, as ListServers returns it. `product_info.sessions` is its capacity."""

    id: Text = UNSET
    name: Text = UNSET
    machine_name: Text = UNSET
    server_group_id: Text = UNSET
    server_group_name: Text = UNSET
    status: Text = UNSET
    vm_status: Text = UNSET
    session_count: Number = UNSET
    maintain_status: Flag = UNSET
    scaling_auto_create: Flag = UNSET
    freeze: list[dict[str, object]] | UnsetType | None = UNSET
    product_info: dict[str, object] | UnsetType | None = UNSET
    host_address: list[dict[str, object]] | UnsetType | None = UNSET
    domain: Text = UNSET
    sid: Text = UNSET
    os_type: Text = UNSET
    create_time: Text = UNSET
    enterprise_project_id: Text = UNSET


class ServerGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A server group as ListServerGroups returns it."""

    id: Text = UNSET
    name: Text = UNSET
    description: Text = UNSET
    app_type: Text = UNSET
    app_server_count: Number = UNSET
    is_vdi: Flag = UNSET
    os_type: Text = UNSET
    server_group_status: Flag = UNSET
    primary_server_group_ids: list[str] | UnsetType | None = UNSET
    secondary_server_group_ids: list[str] | UnsetType | None = UNSET
    tags: list[dict[str, str]] | UnsetType | None = UNSET
    create_time: Text = UNSET
    enterprise_project_id: Text = UNSET


def utc(seconds: float, form: str) -> str:
    """Format a time in seconds since the epoch as UTC, in a form of `strftime`."""
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def session_time(seconds: float) -> str:
    """Format a time of a session: UTC, whole seconds, no time zone."""
    return utc(seconds, "%Y-%m-%d %H:%M:%S")


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
    delivery: str = "whole"  # or hang (nothing is sent), or reset (half of the body, then a TCP reset)


def json_response(payload: object, status: int = HTTPStatus.OK, **headers: str) -> Response:
    """Return a response with a JSON body."""
    return Response(status, {"Content-Type": "application/json", **headers}, msgspec.json.encode(payload))


class ApiError(Exception):
    """An error answer in the format of the Workspace services."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message

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
