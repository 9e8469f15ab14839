"""The four operations of the Workspace services, as pure functions from question to payload.

Where the reference leaves a choice, the simulator takes the one that asks more of a client: the user filters of
ListUsers match fuzzily, so that a page may hold users whom nobody asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import msgspec

from exporter.simulator.errors import invalid_parameter, unknown_user
from exporter.simulator.population import Entry, Population, all_entries
from exporter.simulator.routes import LIST_SESSION_BY_USER_NAME, LIST_SESSIONS, LIST_USER_DETAIL, LIST_USERS
from exporter.simulator.schema import SessionInfo, UserDetail, session_time

DEFAULT_SESSIONS_LIMIT = 10
MOST_SESSIONS_A_PAGE = 100
Payload = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Question:
    """A call without its transport: path and query parameters, decoded, and the population at a time."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    population: Population
    now: float

    def required(self, name: str) -> str:
        """A query parameter that must be there.

        Raises:
            ServiceError: 400, it is missing or empty.
        """
        value = self.query.get(name)
        if not value:
            raise invalid_parameter(name, "is required")
        return value

    def number(self, name: str, default: int) -> int:
        """A query parameter that counts.

        Raises:
            ServiceError: 400, it is no natural number.
        """
        text = self.query.get(name, str(default))
        if not text.isascii() or not text.isdigit():
            raise invalid_parameter(name, "must be a natural number")
        return int(text)

    def moment(self, name: str) -> str:
        """A required time like 2024-02-27T03:47:51.182Z, in the form of a session's times.

        Raises:
            ServiceError: 400, it is missing or in another form.
        """
        text = self.required(name)
        try:
            moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        except ValueError:
            raise invalid_parameter(name, "must look like 2024-02-27T03:47:51.182Z") from None
        return session_time(moment.timestamp())


def parse_query(raw: str) -> dict[str, str]:
    """A raw query, decoded; values of a repeated parameter are joined by commas."""
    query: dict[str, str] = {}
    for name, value in parse_qsl(raw, keep_blank_values=True):
        query[name] = f"{query[name]},{value}" if name in query else value
    return query


def list_session_by_user_name(question: Question) -> Payload:
    """The sessions of one user."""
    name = question.required("user_name")
    if question.population.user(name, question.now) is None:
        raise unknown_user(name)
    sessions = question.population.sessions_of(name, question.now)
    return {"session_info_list": [app_session(session) for session in sessions]}


def list_sessions(question: Question) -> Payload:
    """The sessions that started within a window, newest first, a page of them."""
    begin, end = question.moment("query_begin_time"), question.moment("query_end_time")
    limit = question.number("limit", DEFAULT_SESSIONS_LIMIT)
    if not 1 <= limit <= MOST_SESSIONS_A_PAGE:
        raise invalid_parameter("limit", f"must lie between 1 and {MOST_SESSIONS_A_PAGE}")
    offset = question.number("offset", 0)
    states = set(filter(None, question.query.get("session_state", "").split(",")))
    found = [
        entry
        for entry in all_entries(question.population, question.now)
        if begin <= entry.start_time <= end and (not states or entry.session_state in states)
    ]
    found.sort(key=newest_first, reverse=True)
    return {"count": len(found), "items": [entry.record() for entry in found[offset : offset + limit]]}


def list_users(question: Question) -> Payload:
    """The users whose name contains one of those asked for; every user where no `limit` is given."""
    parts = [question.query.get("user_name", ""), *question.query.get("user_names", "").split(",")]
    wanted = [part for part in parts if part]
    names = question.population.names()
    found = containing(names, wanted) if wanted else names
    offset = question.number("offset", 0)
    page = found[offset : offset + question.number("limit", len(found))]
    users = [question.population.user(name, question.now) for name in page]
    return {"total_count": len(found), "users": [listed_user(user) for user in users if user is not None]}


def containing(names: Sequence[str], parts: Sequence[str]) -> Sequence[str]:
    """The names that contain one of these parts, looked for in one long text, since one by one takes ten times as long.

    No name contains a line break.
    """
    text = "\n".join(("", *names, ""))
    found: set[str] = set()
    for part in parts:
        at = -1 if "\n" in part else text.find(part)
        while at >= 0:
            end = text.index("\n", at)
            found.add(text[text.rindex("\n", 0, at) + 1 : end])
            at = text.find(part, end)
    return [name for name in names if name in found]


def list_user_detail(question: Question) -> Payload:
    """One user by id."""
    user_id = question.path["user_id"]
    name = question.population.name_of(user_id)
    user = None if name is None else question.population.user(name, question.now)
    if user is None:
        raise unknown_user(user_id)
    return {"user_detail": user}


def app_session(session: SessionInfo) -> Payload:
    """A session as ListSessionByUserName shows it: without the server group's name."""
    fields: dict[str, object] = msgspec.to_builtins(session)
    fields.pop("app_server_group_name", None)
    return fields


def newest_first(entry: Entry) -> tuple[str, str]:
    """The sort key of ListSessions, descending; the id makes paging stable."""
    return entry.start_time, entry.id


def listed_user(user: UserDetail) -> Payload:
    """A user as ListUsers shows it: `User` names and types some fields otherwise than `UserDetail`."""
    fields: dict[str, object] = msgspec.to_builtins(user)
    renamed = {
        "object_sid": "sid",
        "user_expired": "account_expired",
        "enabled_change_password": "enable_change_password",
    }
    shown = {renamed.get(name, name): value for name, value in fields.items() if name not in DETAIL_ONLY}
    if isinstance(user.account_expires, int):
        shown["account_expires"] = str(user.account_expires)
    return shown


DETAIL_ONLY = frozenset(
    ("sam_account_name", "user_principal_name", "full_name", "distinguished_name", "account_type", "when_created")
)

OPERATIONS: Mapping[str, Callable[[Question], Payload]] = {
    LIST_SESSION_BY_USER_NAME.operation: list_session_by_user_name,
    LIST_SESSIONS.operation: list_sessions,
    LIST_USERS.operation: list_users,
    LIST_USER_DETAIL.operation: list_user_detail,
}
