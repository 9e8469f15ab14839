"""The operations that the simulated cloud knows, and which of them a request means."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from exporter.simulator.errors import unknown_api, wrong_method
from exporter.simulator.messages import Request


@dataclass(frozen=True, slots=True)
class Route:
    """An operation by its official name; `action` is the IAM action it takes, None where it needs no credentials."""

    operation: str
    method: str
    path: str
    action: str | None = None

    def match(self, path: str) -> Mapping[str, str] | None:
        """The decoded path parameters, None where the path is another's."""
        found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.path), path)
        return found and {name: unquote(value) for name, value in found.groupdict().items()}


LIST_SESSION_BY_USER_NAME = Route(
    "ListSessionByUserName",
    "GET",
    "/v1/{project_id}/session/user-session-info",
    "workspace:session:listSessionByUserName",
)
LIST_SESSIONS = Route("ListSessions", "GET", "/v1/{project_id}/session/list-sessions", "workspace:session:listSessions")
LIST_USERS = Route("ListUsers", "GET", "/v2/{project_id}/users", "workspace:users:list")
LIST_USER_DETAIL = Route("ListUserDetail", "GET", "/v2/{project_id}/users/{user_id}", "workspace:users:get")
CREATE_TOKEN = Route("KeystoneCreateUserTokenByPassword", "POST", "/v3/auth/tokens")
SECURITY_KEY = Route("SecurityKey", "GET", "/openstack/latest/securitykey")
"""The ECS metadata service's way to hand out an agency's temporary key; it has no official operation name."""

ROUTES = (LIST_SESSION_BY_USER_NAME, LIST_SESSIONS, LIST_USERS, LIST_USER_DETAIL, CREATE_TOKEN, SECURITY_KEY)


def find_route(request: Request) -> tuple[Route, Mapping[str, str]]:
    """The operation of a request and its path parameters.

    Raises:
        ApiError: no operation has this path (404), or not with this method (405).
    """
    for route in ROUTES:
        parameters = route.match(request.path)
        if parameters is None:
            continue
        if request.method != route.method:
            raise wrong_method(request.method)
        return route, parameters
    raise unknown_api()
