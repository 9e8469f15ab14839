"""The users, sessions and servers of the simulated cloud: the interface for operations, and a static population."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from exporter.simulator.schema import AppServer, ServerGroup, SessionInfo, UserDetail

FIRST, LAST = "", "9999"  # before and after the start of every session


class Entry(NamedTuple):
    """The fields by which ListSessions selects and sorts a session; `record` returns the whole of it."""

    start_time: str
    id: str
    session_state: str
    record: Callable[[], SessionInfo]


class Population(Protocol):
    """Users and their sessions at a time; `now` is in seconds of the simulator's clock.

    Several users may have the same name. Names that differ only in case are the same.
    """

    def names(self) -> Sequence[str]:
        """Return every name at the start, in the order of listing."""

    def listed(self, now: float) -> Sequence[UserDetail]:
        """Return all users in the order of listing, with at least the fields by which ListUsers filters."""

    def current(self, user: UserDetail, now: float) -> UserDetail:
        """Return a listed user with all fields."""

    def user(self, user_id: str, now: float) -> UserDetail | None:
        """Return the user with this id, or None."""

    def knows(self, name: str, now: float) -> bool:
        """Return whether a user has this name."""

    def sessions_of(self, name: str, now: float) -> Sequence[SessionInfo]:
        """Return the listed sessions of all users with this name."""

    def entries(self, now: float, begin: str = FIRST, end: str = LAST) -> Sequence[Entry]:
        """Return the listed sessions that started in a window, both ends included, in any order."""

    def servers(self, now: float) -> Sequence[AppServer]:
        """Return all servers."""

    def server_groups(self, now: float) -> Sequence[ServerGroup]:
        """Return all server groups."""


def all_users(population: Population, now: float) -> list[UserDetail]:
    """Return all users."""
    return [population.current(user, now) for user in population.listed(now)]


def all_sessions(population: Population, now: float) -> list[SessionInfo]:
    """Return all listed sessions."""
    names = dict.fromkeys(str(user.user_name).casefold() for user in population.listed(now))
    return [session for name in names for session in population.sessions_of(name, now)]


@dataclass(frozen=True, slots=True)
class StaticPopulation:
    """The given users, their sessions under the same keys, and the servers, at any time; all of them may change later.

    A key is the user's name, or any other text if several users have that name.
    """

    users: Mapping[str, UserDetail]
    sessions: Mapping[str, Sequence[SessionInfo]] = field(default_factory=dict)
    app_servers: Sequence[AppServer] = ()
    groups: Sequence[ServerGroup] = ()

    def names(self) -> Sequence[str]:
        """Return every name."""
        return list(dict.fromkeys(user.user_name or key for key, user in self.users.items()))

    def listed(self, _now: float) -> Sequence[UserDetail]:
        """Return all users."""
        return list(self.users.values())

    def current(self, user: UserDetail, _now: float) -> UserDetail:
        """Return the user as given."""
        return user

    def user(self, user_id: str, _now: float) -> UserDetail | None:
        """Return the user with this id, or None."""
        return next((user for user in self.users.values() if user.id == user_id), None)

    def knows(self, name: str, _now: float) -> bool:
        """Return whether a user has this name."""
        return bool(self._keys(name))

    def sessions_of(self, name: str, _now: float) -> Sequence[SessionInfo]:
        """Return the sessions of all users with this name."""
        return self._sessions(self._keys(name))

    def entries(self, _now: float, begin: str = FIRST, end: str = LAST) -> Sequence[Entry]:
        """Return the sessions that started in a window."""
        return [
            Entry(each.start_time or "", each.id or "", each.session_state or "", partial(replace, each))
            for each in self._sessions(self.users)
            if begin <= (each.start_time or "") <= end
        ]

    def servers(self, _now: float) -> Sequence[AppServer]:
        """Return all servers."""
        return self.app_servers

    def server_groups(self, _now: float) -> Sequence[ServerGroup]:
        """Return all server groups."""
        return self.groups

    def _keys(self, name: str) -> list[str]:
        folded = name.casefold()
        return [key for key, user in self.users.items() if (user.user_name or key).casefold() == folded]

    def _sessions(self, keys: Iterable[str]) -> list[SessionInfo]:
        return [session for key in keys for session in self.sessions.get(key, ())]
