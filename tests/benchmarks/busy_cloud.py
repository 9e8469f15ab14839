"""The simulated cloud with planned sessions of many users. A page costs the same however long the listing is."""

from __future__ import annotations

from collections import Counter, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from benchmarks.crowd import patterns, user_id, user_name
from support.session_traffic import INIT_FAIL

from exporter.simulator import Simulator, SimulatorOptions, UserDetail
from exporter.simulator.operations import listed_session
from exporter.simulator.schema import OPEN_END, SUCCESS_CODE, Response, SessionInfo, json_response, session_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from support.session_traffic import Planned, Traffic

    from exporter.simulator.operations import Context, Operation
    from exporter.simulator.population import Entry
    from exporter.simulator.schema import AppServer, ServerGroup

_LIVE, _STARTS, _FAILURES = "live", "starts", "failures"


class BusyCloud(Simulator):
    """Serves the traffic of ``users`` with a quota, and counts requests by scan."""

    def __init__(self, users: int, traffic: Traffic, quota: int, clock: Callable[[], float]) -> None:
        self.people = _People(users, traffic)
        super().__init__(SimulatorOptions(quota=quota), clock=clock, population=self.people)
        self.scans: Counter[str] = Counter()
        self.pages: deque[tuple[float, str]] = deque()

    def _answer(self, operation: Operation, context: Context) -> Response:
        if operation.name == "ListSessions":
            return self._sessions(context)
        plain = operation.name == "ListUsers" and context.query.keys() <= {"limit", "offset"}
        return self._users(context) if plain else super()._answer(operation, context)

    def _sessions(self, context: Context) -> Response:
        states = [state for state in context.query.get("session_state", "").split(",") if state]
        scan = _STARTS if not states else _FAILURES if states == [INIT_FAIL] else _LIVE
        self.scans[scan] += 1
        self.pages.append((context.now, scan))
        begin, end = (_seconds(context.query[name]) for name in ("query_begin_time", "query_end_time"))
        traffic = self.people.traffic
        traffic.advance(context.now)
        window = traffic.started(states, begin, end)
        limit, offset = int(context.query["limit"]), int(context.query.get("offset", 0))
        found = [traffic.sessions[number] for number in window.page("newest", offset, limit)]
        items = [listed_session(self.people.record(each)) for each in found]
        return json_response({"count": len(window), "items": items})

    def _users(self, context: Context) -> Response:
        limit, offset = int(context.query["limit"]), int(context.query.get("offset", 0))
        users = self.people.listed(context.now)
        items = [{"id": user.id, "user_name": user.user_name} for user in users[offset : offset + limit]]
        return json_response({"total_count": len(users), "users": items})


class _People:
    """A population with the sessions of a traffic."""

    def __init__(self, users: int, traffic: Traffic) -> None:
        self.traffic = traffic
        self._names = [user_name(number) for number in range(users)]
        self._listed = [UserDetail(id=user_id(number), user_name=name) for number, name in enumerate(self._names)]
        self._session, self._user = patterns()

    def names(self) -> Sequence[str]:
        """See Population."""
        return self._names

    def listed(self, _now: float) -> Sequence[UserDetail]:
        """See Population."""
        return self._listed

    def current(self, user: UserDetail, _now: float) -> UserDetail:
        """See Population."""
        return msgspec.structs.replace(self._user, id=user.id, user_name=user.user_name)

    def user(self, user_id: str, now: float) -> UserDetail | None:
        """See Population."""
        number = int(user_id, 16)
        return self.current(self._listed[number], now) if number < len(self._listed) else None

    def knows(self, name: str, _now: float) -> bool:
        """See Population."""
        return 0 <= int(name.removeprefix("user")) < len(self._names)

    def sessions_of(self, name: str, now: float) -> Sequence[SessionInfo]:
        """See Population."""
        self.traffic.advance(now)
        return [self.record(each) for each in self.traffic.of_user(int(name.removeprefix("user")))]

    def entries(self, _now: float, _begin: str = "", _end: str = "") -> Sequence[Entry]:
        """See Population. Nobody calls it: this cloud answers ListSessions itself."""
        raise AssertionError("ListSessions is answered without it")

    def servers(self, _now: float) -> Sequence[AppServer]:
        """See Population."""
        return []

    def server_groups(self, _now: float) -> Sequence[ServerGroup]:
        """See Population."""
        return []

    def record(self, each: Planned) -> SessionInfo:
        """Return a session as the cloud keeps it."""
        changed, state = self.traffic.states[each.number]
        started = session_time(each.started)
        return msgspec.structs.replace(
            self._session,
            id=each.id,
            login_user=f"{user_name(each.user)}@workspace.example",
            session_state=state,
            failed_code=failed_code(each) if state == INIT_FAIL else SUCCESS_CODE,
            failed_reason="failed" if state == INIT_FAIL else "success",
            app_server_group_id=f"group-{each.user % 20}",
            client_version=f"24.{each.user % 5}.2.12888",
            start_time=started,
            pre_conn_time=started,
            end_time=OPEN_END,
            last_update_status_time=session_time(changed),
        )


def failed_code(each: Planned) -> str:
    """Return the code of a failure, which no other one has."""
    return f"WKS.{each.number:08}"


def _seconds(time: str) -> float:
    return datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
