"""The operations of the simulated cloud: a function each, and the table of them all.

If the reference leaves a choice, the simulator takes the one that is harder on a client.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from operator import itemgetter
from typing import TypeVar
from urllib.parse import unquote

from msgspec import UNSET, to_builtins
from msgspec.structs import replace

from exporter.simulator.federation import Federation
from exporter.simulator.identity import Identity
from exporter.simulator.population import Entry, Population
from exporter.simulator.schema import (
    OPEN_END,
    SUCCESS_CODE,
    ApiError,
    AppServer,
    GatewayError,
    Request,
    Response,
    ServerGroup,
    SessionInfo,
    SessionState,
    Text,
    UserDetail,
    json_response,
    session_time,
)

DEFAULT_LIMIT = 10
HIGHEST_LIMIT = 100
T = TypeVar("T")


def invalid_parameter(name: str, problem: str) -> ApiError:
    """Return a 400: a query parameter is missing or malformed."""
    return ApiError(HTTPStatus.BAD_REQUEST, "WKS.0001", f"The parameter {name} {problem}.")


def unknown_user(user: str) -> ApiError:
    """Return a 404: no user has this name or id."""
    return ApiError(HTTPStatus.NOT_FOUND, "WKS.00170404", f"The user {user} does not exist.")


@dataclass(frozen=True, slots=True)
class Context:
    """A request with its decoded parameters, and the cloud at a time. Its methods raise a 400 for a wrong parameter."""

    request: Request
    path: Mapping[str, str]
    query: Mapping[str, str]
    population: Population
    identity: Identity
    federation: Federation
    now: float
    utc_offset: float

    def required(self, name: str) -> str:
        """Return a query parameter that must not be empty."""
        value = self.query.get(name)
        if not value:
            raise invalid_parameter(name, "is required")
        return value

    def number(self, name: str, default: int) -> int:
        """Return a query parameter that must be a natural number."""
        text = self.query.get(name, str(default))
        if not text.isascii() or not text.isdigit():
            raise invalid_parameter(name, "must be a natural number")
        return int(text)

    def time(self, name: str) -> str:
        """Return a required time like 2024-02-27T03:47:51.182Z in the format of a session's times."""
        try:
            time = datetime.strptime(self.required(name), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        except ValueError:
            raise invalid_parameter(name, "must look like 2024-02-27T03:47:51.182Z") from None
        return session_time(time.timestamp())

    def page(self) -> slice:
        """Return the page that `offset` and `limit` select, for operations that limit its size."""
        limit = self.number("limit", DEFAULT_LIMIT)
        if not 1 <= limit <= HIGHEST_LIMIT:
            raise invalid_parameter("limit", f"must lie between 1 and {HIGHEST_LIMIT}")
        offset = self.number("offset", 0)
        return slice(offset, offset + limit)

    def require_flag(self, name: str) -> None:
        """Check a query parameter that must be true or false, or missing."""
        if self.query.get(name, "") not in {"", "true", "false"}:
            raise invalid_parameter(name, "must be true or false")

    def filtered(self, items: Sequence[T], filters: Mapping[str, Callable[[T, str], bool]]) -> Sequence[T]:
        """Return the items that pass all filters in the query. An empty filter passes everything."""
        for name, passes in filters.items():
            if value := self.query.get(name):
                items = [item for item in items if passes(item, value)]
        return items

    def choices(self, name: str) -> set[str]:
        """Return the values of a comma-separated query parameter, none if it is missing."""
        return set(filter(None, self.query.get(name, "").split(",")))


SESSION_TIMES = ("pre_conn_time", "start_time", "end_time", "last_update_status_time")
LISTED_SESSION_ONLY = ("app_server_group_name", "primary_server_group_id", "secondary_server_group_id")
SUCCESS: Mapping[str, str] = {
    SessionState.ACTIVE: "true",
    SessionState.DISCONNECTED: "true",
    SessionState.SIGNED_OUT: "true",
    SessionState.INIT_FAIL: "false",
}
"""The values of `is_success` by state. A session at AppcInit has neither succeeded nor failed yet."""


def has(name: str) -> Callable[[Entry, str], bool]:
    """Return a filter by the exact value of a field of a session."""
    return lambda entry, value: getattr(entry.record(), name) == value


SESSION_FILTERS: Mapping[str, Callable[[Entry, str], bool]] = {
    "is_success": lambda entry, value: SUCCESS.get(entry.session_state) == value,
    "user_name": lambda entry, name: (entry.record().login_user or "").rpartition("@")[0].casefold() == name.casefold(),
    **{name: has(name) for name in ("app_server_group_id", "machine_name", "vm_ip", "public_ip")},
}
"""The filters of ListSessions besides window and states."""


def without_zone(text: Text, utc_offset: float) -> Text:
    """Return a time of a session as ListSessionByUserName shows it: in the zone of the cloud, without naming it."""
    if not text or text == OPEN_END:
        return text
    return str(datetime.fromisoformat(text) + timedelta(hours=utc_offset))


def with_zone(text: Text) -> Text:
    """Return a time of a session as ListSessions shows it: in UTC."""
    return f"{text.replace(' ', 'T')}Z" if text else text


def list_session_by_user_name(context: Context) -> Response:
    """Return the sessions of all users with a name, without the names of their server groups."""
    name = context.required("user_name")
    if not context.population.knows(name, context.now):
        raise unknown_user(name)
    sessions = []
    for session in context.population.sessions_of(name, context.now):
        times = {field: without_zone(getattr(session, field), context.utc_offset) for field in SESSION_TIMES}
        sessions.append(replace(session, **times, **dict.fromkeys(LISTED_SESSION_ONLY, UNSET)))
    return json_response({"session_info_list": sessions})


def listed_session(session: SessionInfo) -> SessionInfo:
    """Return a session as ListSessions formats it."""
    times = {field: with_zone(getattr(session, field)) for field in SESSION_TIMES}
    failure = {"failed_code": "", "failed_reason": ""} if session.failed_code == SUCCESS_CODE else {}
    return replace(session, app_group_id=UNSET, **times, **failure)


def list_sessions(context: Context) -> Response:
    """Return a page of the sessions that started within a window, newest first."""
    begin, end = context.time("query_begin_time"), context.time("query_end_time")
    page = context.page()
    context.require_flag("is_success")
    states = context.choices("session_state")
    found = context.population.entries(context.now, begin, end)
    if states:
        found = [entry for entry in found if entry.session_state in states]
    found = sorted(context.filtered(found, SESSION_FILTERS), key=itemgetter(0, 1), reverse=True)  # by start, then id
    return json_response({"count": len(found), "items": [listed_session(entry.record()) for entry in found[page]]})


USER_FILTERS: Mapping[str, Callable[[UserDetail, str], bool]] = {
    "group_name": lambda user, name: name in (user.group_names or ()),
    "domain": lambda user, domain: user.domain == domain,
    "platform_type": lambda user, kind: user.platform_type == kind,
    "enterprise_project_id": lambda user, ident: user.enterprise_project_id == ident,
    "active_type": lambda user, kind: user.active_type == kind,
    "disabled": lambda user, value: user.disabled == (value == "true"),
    "description": lambda user, part: part in (user.description or ""),
}
"""The filters of ListUsers other than those by name. They find exact values, or part of a description."""


def list_users(context: Context) -> Response:
    """Return a page of the users that pass all filters; all of them without a `limit`."""
    population, now = context.population, context.now
    context.require_flag("disabled")
    found = population.listed(now)
    for parts in ({context.query.get("user_name", "")} - {""}, context.choices("user_names")):
        found = containing(found, parts) if parts else found
    found = context.filtered(found, USER_FILTERS)
    offset = context.number("offset", 0)
    page = found[offset : offset + context.number("limit", len(found))]
    return json_response({"total_count": len(found), "users": [listed(population.current(user, now)) for user in page]})


def containing(users: Sequence[UserDetail], parts: Iterable[str]) -> Sequence[UserDetail]:
    """Return the users with a name that contains one of the parts, whatever its case. No name contains a line break.

    Searching all names as one text is ten times as fast as searching each.
    """
    text = "\n".join(("", *(user.user_name or "" for user in users), "")).casefold()
    found: set[str] = set()
    for part in parts:
        folded = part.casefold()
        at = -1 if "\n" in part else text.find(folded)
        while at >= 0:
            end = text.index("\n", at)
            found.add(text[text.rindex("\n", 0, at) + 1 : end])
            at = text.find(folded, end)
    return [user for user, name in zip(users, text.split("\n")[1:], strict=False) if name in found]


HIDDEN = {"platform_type"}  # the fields of a user that no operation returns
LISTED_ONLY = {"domain", "enterprise_project_id"}
DETAIL_ONLY = {
    "sam_account_name",
    "user_principal_name",
    "full_name",
    "distinguished_name",
    "account_type",
    "when_created",
}
RENAMED = {  # the fields that ListUsers names differently than ListUserDetail
    "object_sid": "sid",
    "user_expired": "account_expired",
    "enabled_change_password": "enable_change_password",
}


def listed(user: UserDetail) -> Mapping[str, object]:
    """Return a user as ListUsers formats it: some fields have other names or types than in ListUserDetail."""
    fields: dict[str, object] = to_builtins(user)
    shown = {RENAMED.get(name, name): value for name, value in fields.items() if name not in HIDDEN | DETAIL_ONLY}
    if isinstance(user.account_expires, int):
        shown["account_expires"] = str(user.account_expires)
    return shown


def list_user_detail(context: Context) -> Response:
    """Return the user with an id."""
    user_id = context.path["user_id"]
    user = context.population.user(user_id, context.now)
    if user is None:
        raise unknown_user(user_id)
    return json_response({"user_detail": replace(user, **dict.fromkeys(HIDDEN | LISTED_ONLY, UNSET))})


SERVER_FILTERS: Mapping[str, Callable[[AppServer, str], bool]] = {
    "server_group_id": lambda server, ident: server.server_group_id == ident,
    "server_id": lambda server, ident: server.id == ident,
    "server_name": lambda server, part: part in (server.name or ""),
    "machine_name": lambda server, part: part in (server.machine_name or ""),
    "ip_addr": lambda server, part: any(part in str(address["addr"]) for address in server.host_address or ()),
    "maintain_status": lambda server, value: server.maintain_status == (value == "true"),
    "scaling_auto_create": lambda server, value: server.scaling_auto_create == (value == "true"),
}
"""The filters of ListServers. Names and addresses are found by a part."""


def list_servers(context: Context) -> Response:
    """Return a page of the servers."""
    page = context.page()
    context.require_flag("maintain_status")
    context.require_flag("scaling_auto_create")
    found = context.filtered(context.population.servers(context.now), SERVER_FILTERS)
    return json_response({"count": len(found), "items": found[page]})


GROUP_FILTERS: Mapping[str, Callable[[ServerGroup, str], bool]] = {
    "server_group_id": lambda group, ident: group.id == ident,
    "server_group_name": lambda group, name: group.name == name,
    "app_type": lambda group, kind: group.app_type == kind,
    "tags": lambda group, part: any(part in text for tag in group.tags or () for text in tag.values()),
    "enterprise_project_id": lambda group, ident: group.enterprise_project_id == ident,
    "is_secondary_server_group": lambda group, value: bool(group.primary_server_group_ids) == (value == "true"),
}
"""The filters of ListServerGroups by exact values, or by a part of a tag. A secondary group has primary groups."""


def list_server_groups(context: Context) -> Response:
    """Return a page of the server groups."""
    page = context.page()
    context.require_flag("is_secondary_server_group")
    found = context.filtered(context.population.server_groups(context.now), GROUP_FILTERS)
    return json_response({"count": len(found), "items": found[page]})


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation by its official name; `action` is the IAM action it requires, None if it needs no credentials."""

    name: str
    method: str
    path: str
    answer: Callable[[Context], Response]
    action: str | None = None


# fmt: off
OPERATIONS = (
    Operation("ListSessionByUserName", "GET", "/v1/{project_id}/session/user-session-info", list_session_by_user_name,
              "workspace:session:listSessionByUserName"),
    Operation("ListSessions", "GET", "/v1/{project_id}/session/list-sessions", list_sessions,
              "workspace:session:listSessions"),
    Operation("ListServers", "GET", "/v1/{project_id}/app-servers", list_servers, "workspace:server:list"),
    Operation("ListServerGroups", "GET", "/v1/{project_id}/app-server-groups", list_server_groups,
              "workspace:serverGroup:list"),
    Operation("ListUsers", "GET", "/v2/{project_id}/users", list_users, "workspace:users:list"),
    Operation("ListUserDetail", "GET", "/v2/{project_id}/users/{user_id}", list_user_detail, "workspace:users:get"),
    Operation("KeystoneCreateUserTokenByPassword", "POST", "/v3/auth/tokens",
              lambda context: context.identity.create_token(context.request, context.now)),
    Operation("AssumeAgencyWithOIDC", "POST", "/v5/agencies/assume-with-oidc",
              lambda context: context.federation.assume_agency(context.request, context.now)),
    Operation("CreateTokenWithIdToken", "POST", "/v3.0/OS-AUTH/id-token/tokens",
              lambda context: context.federation.create_token(context.request, context.now)),
    Operation("CreateTemporaryAccessKeyByToken", "POST", "/v3.0/OS-CREDENTIAL/securitytokens",
              lambda context: context.federation.create_key(context.request, context.now)),
    Operation("SecurityKey", "GET", "/openstack/latest/securitykey",  # it has no official name
              lambda context: context.federation.key_of_ecs(context.now)),
    Operation("AssumeAgencyForPodIdentity", "POST", "/v1/credentials",
              lambda context: context.federation.key_of_pod(context.request, context.now)),
)
# fmt: on


def find_operation(request: Request) -> tuple[Operation, Mapping[str, str]]:
    """Return the operation of a request and the path parameters; raise a 404 or 405 if there is none."""
    for operation in OPERATIONS:
        found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", operation.path), request.path)
        if found and request.method != operation.method:
            message = f"Request method '{request.method}' not supported"
            raise ApiError(HTTPStatus.METHOD_NOT_ALLOWED, "WKS.00010405", message)
        if found:
            return operation, {name: unquote(value) for name, value in found.groupdict().items()}
    message = "The API does not exist or has not been published in the environment"
    raise GatewayError(HTTPStatus.NOT_FOUND, "APIG.0101", message)
