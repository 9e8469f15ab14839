"""A population that costs next to nothing, so that a benchmark measures the exporter and not its cloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from exporter.simulator import SessionInfo, SessionState, Simulator, SimulatorOptions, UserDetail
from exporter.simulator.population import FIRST, LAST, Entry
from exporter.simulator.schema import AppServer, ServerGroup, session_time

if TYPE_CHECKING:
    from collections.abc import Sequence

_INIT_SECONDS = 20.0  # from a log-in to its failure
_SERVER_GROUPS = 20
_VERSIONS = 5
_STATES = (*[SessionState.ACTIVE] * 8, SessionState.DISCONNECTED, SessionState.SIGNED_OUT)


@dataclass(frozen=True, slots=True)
class Failure:
    """A log-in of a user, by number, that is at InitFail from ``at`` on, with an error code of its own."""

    at: float
    user: int
    code: str


class Crowd:
    """``users`` who have ``sessions`` among them that began before ``start``, and log-ins that fail as scripted.

    Times are in seconds of the simulator's clock. What has failed stays listed.
    """

    def __init__(self, users: int, sessions: int, start: float, failures: Sequence[Failure] = ()) -> None:
        self._names = [user_name(number) for number in range(users)]
        self._listed = [UserDetail(id=user_id(number), user_name=name) for number, name in enumerate(self._names)]
        self._sessions = sessions
        self._start = start
        self._failures = sorted(failures, key=lambda failure: failure.at)
        self._failures_of: dict[int, list[Failure]] = {}
        for failure in failures:
            self._failures_of.setdefault(failure.user, []).append(failure)
        self._session, self._user = patterns()
        standing = [self._standing(number) for number in range(sessions)]
        self._entries = [_entry(session) for session in standing][::-1]

    def names(self) -> Sequence[str]:
        """See Population."""
        return self._names

    def listed(self, _now: float) -> Sequence[UserDetail]:
        """See Population."""
        return self._listed

    def current(self, user: UserDetail, _now: float) -> UserDetail:
        """See Population."""
        return self._of_number(int(str(user.id), 16))

    def user(self, user_id: str, _now: float) -> UserDetail | None:
        """See Population."""
        number = int(user_id, 16)
        return self._of_number(number) if number < len(self._names) else None

    def knows(self, name: str, _now: float) -> bool:
        """See Population."""
        return 0 <= _number(name) < len(self._names)

    def sessions_of(self, name: str, now: float) -> Sequence[SessionInfo]:
        """See Population."""
        number, users = _number(name), len(self._names)
        first, end = -(-number * self._sessions // users), -(-(number + 1) * self._sessions // users)
        failed = [self._failed(f, now) for f in self._failures_of.get(number, ()) if f.at - _INIT_SECONDS <= now]
        return [*map(self._standing, range(first, end)), *failed]

    def entries(self, now: float, begin: str = FIRST, end: str = LAST) -> Sequence[Entry]:
        """See Population."""
        begun = [failure for failure in self._failures if failure.at - _INIT_SECONDS <= now]
        entries = [*(_entry(self._failed(failure, now)) for failure in reversed(begun)), *self._entries]
        return [entry for entry in entries if begin <= entry.start_time <= end]

    def servers(self, _now: float) -> Sequence[AppServer]:
        """See Population."""
        return []

    def server_groups(self, _now: float) -> Sequence[ServerGroup]:
        """See Population."""
        return []

    def _of_number(self, number: int) -> UserDetail:
        name = self._names[number]
        return msgspec.structs.replace(self._user, id=user_id(number), user_name=name, locked=number % 50 == 0)

    def _standing(self, number: int) -> SessionInfo:
        """A session that has begun within eight hours before the start, the later the higher its number."""
        user = number * len(self._names) // self._sessions
        return self._of(user, f"{number:032x}", self._start - 8 * 3600 * (1 - number / self._sessions), number)

    def _failed(self, failure: Failure, now: float) -> SessionInfo:
        session = self._of(failure.user, f"f-{failure.code}", failure.at - _INIT_SECONDS, int(failure.at))
        if now < failure.at:
            return msgspec.structs.replace(session, session_state=SessionState.APPC_INIT.value)
        return msgspec.structs.replace(
            session, session_state=SessionState.INIT_FAIL.value, failed_code=failure.code, failed_reason="failed"
        )

    def _of(self, user: int, ident: str, begin: float, variety: int) -> SessionInfo:
        name, started = user_name(user), session_time(begin)
        return msgspec.structs.replace(
            self._session,
            id=ident,
            login_user=f"{name}@workspace.example",
            session_state=_STATES[variety % len(_STATES)].value,
            app_server_group_id=f"group-{variety % _SERVER_GROUPS}",
            client_version=f"24.{variety % _VERSIONS}.2.12888",
            agent_version=f"24.{variety // 7 % _VERSIONS}.0.11461",
            start_time=started,
            pre_conn_time=started,
            last_update_status_time=started,
        )


def user_name(number: int) -> str:
    """The name of a user by number."""
    return f"user{number:06}"


def user_id(number: int) -> str:
    """The id of a user by number."""
    return f"{number:032x}"


def _number(name: str) -> int:
    digits = name.removeprefix("user")
    return int(digits) if digits.isdecimal() else -1


def _entry(session: SessionInfo) -> Entry:
    return Entry(str(session.start_time), str(session.id), str(session.session_state), lambda: session)


def patterns() -> tuple[SessionInfo, UserDetail]:
    """A session and a user with all fields that the simulated cloud fills."""
    simulator = Simulator(SimulatorOptions(users=50, speed=0))
    session = next(session for session in simulator.sessions() if session.session_state == SessionState.ACTIVE)
    return session, simulator.users()[0]
