"""A cloud in memory for tests of the poller. It has given answers, and notes each request."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace
from support.virtual_time import wall_clock

from exporter.cloud.errors import CloudError, refusal
from exporter.cloud.models import (
    ListedSession,
    Server,
    ServerGroup,
    ServerGroupPage,
    ServerPage,
    Session,
    SessionPage,
    User,
    UserDetail,
    UserPage,
)
from exporter.polling.gate import Access, KeyGate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def refused(operation: str, status: int) -> CloudError:
    """The error that an answer with this status becomes."""
    return refusal(operation, status, "WKS.00000404" if status == 404 else "WKS.1", "request-1")


def unverified(project: str) -> Access:
    """Access with a key that the cloud has not checked yet."""
    return Access(project, lambda: "the key", KeyGate())


@dataclass
class FakeCloud:
    """Users with their sessions; ``fault`` may raise for an operation and a user's name or id."""

    sessions: dict[str, tuple[Session, ...]] = field(default_factory=dict)
    details: dict[str, UserDetail] = field(default_factory=dict)
    """By id; a name's id is ``id-of-<name>``."""
    groups: dict[str, str] = field(default_factory=dict)
    """The group of each user, by name."""
    started: dict[str, float] = field(default_factory=dict)
    """When sessions started, by id. The default is the first query."""
    zone: float = 0.0
    """Seconds that the times in answers about one user, which carry no zone, are ahead of UTC."""
    counting: bool = False
    """Whether scans of what has started and failed, and the listings of servers, are permitted."""
    servers: tuple[Server, ...] = ()
    server_groups: tuple[ServerGroup, ...] = ()
    clock_skew: float | None = None
    latency: float = 0.01
    slow: dict[str, float] = field(default_factory=dict)
    """Latency of single operations."""
    fault: Callable[[str, str], None] = lambda _operation, _who: None
    calls: list[tuple[float, str, str]] = field(default_factory=list)
    """Time, operation and user of each request."""
    in_flight: int = 0
    most_in_flight: int = 0

    async def _call(self, operation: str, who: str) -> None:
        self.calls.append((asyncio.get_running_loop().time(), operation, who))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(self.slow.get(operation, self.latency))
        self.in_flight -= 1
        self.fault(operation, who)

    async def list_session_by_user_name(self, user_name: str) -> tuple[ListedSession, ...]:
        await self._call("ListSessionByUserName", user_name)
        if user_name not in self.sessions:
            raise refused("ListSessionByUserName", 404)
        return tuple(self._listed(user_name, session, self.zone) for session in self.sessions[user_name])

    async def list_user_detail(self, user_id: str) -> UserDetail:
        await self._call("ListUserDetail", user_id)
        if user_id not in self.details:
            raise refused("ListUserDetail", 404)
        return self.details[user_id]

    async def list_users(
        self, user_names: Sequence[str], offset: int, limit: int = 100, filters: Sequence[tuple[str, str]] = ()
    ) -> UserPage:
        await self._call("ListUsers", ",".join(user_names) or f"from {offset}")
        names = user_names or [user_id.removeprefix("id-of-") for user_id in self.details]
        found = [name for name in names if f"id-of-{name}" in self.details]
        for _, group in filters:
            found = [name for name in found if self.groups.get(name) == group]
        users = [self._entry(name) for name in found[offset : offset + limit]]
        return UserPage(users=users, total_count=len(found))

    def _entry(self, name: str) -> User:
        detail = self.details[f"id-of-{name}"]
        expires = None if detail.account_expires is None else str(detail.account_expires)
        return User(f"id-of-{name}", name, detail.locked, detail.user_expired, detail.disabled, expires)

    async def list_sessions(self, begin: float, end: float, session_states: Sequence[str], offset: int) -> SessionPage:
        await self._call("ListSessions", f"from {offset}")
        if len(session_states) < 2 and not self.counting:
            raise refused("ListSessions", 403)
        now = wall_clock()
        found = [
            (name, session)
            for name, sessions in self.sessions.items()
            for session in sessions
            if begin <= self._start(session, now) <= end
            and (not session_states or session.session_state in session_states)
        ]
        page = [self._listed(*each, 0.0)._replace(utc=True) for each in found[offset : offset + 100]]
        return SessionPage(tuple(page), len(found), 0)

    async def list_servers(self, offset: int) -> ServerPage:
        await self._call("ListServers", f"from {offset}")
        if not self.counting:
            raise refused("ListServers", 403)
        return ServerPage(self.servers[offset : offset + 100], len(self.servers))

    async def list_server_groups(self, offset: int) -> ServerGroupPage:
        await self._call("ListServerGroups", f"from {offset}")
        if not self.counting:
            raise refused("ListServerGroups", 403)
        return ServerGroupPage(self.server_groups[offset : offset + 100], len(self.server_groups))

    def _start(self, session: Session, now: float) -> float:
        return self.started.setdefault(session.id or "", now)

    def _listed(self, name: str, session: Session, zone: float) -> ListedSession:
        started = self._start(session, wall_clock()) + zone
        return ListedSession(name, replace(session, started=started), started)

    def add(self, name: str, *sessions: Session, detail: UserDetail | None = None) -> None:
        """A user that the cloud knows."""
        self.sessions[name] = sessions
        self.details[f"id-of-{name}"] = detail or UserDetail()

    def times(self, operation: str) -> list[float]:
        """When an operation was called."""
        return [time for time, called, _ in self.calls if called == operation]


def cloud_of(users: int) -> tuple[FakeCloud, list[str]]:
    """So many users, each with one session, whose id is ``of-<name>``; and their names."""
    cloud = FakeCloud()
    names = [f"user{number:04}" for number in range(users)]
    for name in names:
        cloud.add(name, Session.of(id=f"of-{name}", session_state="Active"))
    return cloud, names
