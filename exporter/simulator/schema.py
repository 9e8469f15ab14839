"""The fixed facts of the API reference: session states, field names, field types and time formats.

Source: the API reference of Workspace, AppSession of ListSessionByUserName and UserDetail of ListUserDetail.
`UNSET` leaves a field out of an answer, `None` sends null.
"""

import enum
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, UnsetType

Text = str | None | UnsetType
Number = int | None | UnsetType
Flag = bool | None | UnsetType

OPEN_END = "0001-01-01 00:00:00"  # `end_time` of a session that has not ended
SUCCESS_CODE = "WKS.00000000"  # `failed_code` of a session that has not failed


class SessionState(enum.StrEnum):
    """The five documented values of `session_state`."""

    APPC_INIT = "AppcInit"
    ACTIVE = "Active"
    DISCONNECTED = "Disconnected"
    SIGNED_OUT = "SignedOut"
    INIT_FAIL = "InitFail"


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A session: the fields of AppSession plus `app_server_group_name`, which only ListSessions returns."""

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


class UserDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A user as ListUserDetail returns it; `account_expires` is in milliseconds, 0 means never."""

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


def utc(seconds: float, form: str) -> str:
    """Format a time in seconds since the epoch as UTC, in a form of `strftime`."""
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def session_time(seconds: float) -> str:
    """Format a time of a session: UTC, whole seconds, no time zone."""
    return utc(seconds, "%Y-%m-%d %H:%M:%S")
