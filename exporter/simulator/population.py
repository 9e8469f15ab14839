"""Who works in the simulated cloud: the interface that the operations ask, and a hand-made one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from exporter.simulator.schema import SessionInfo, UserDetail


class Population(Protocol):
    """The users and their sessions at a time, which is always in seconds of the simulator's clock."""

    def names(self) -> Sequence[str]:
        """Every user's name, in the order of listing."""

    def name_of(self, user_id: str) -> str | None:
        """The name of the user with this id, None where there is none."""

    def user(self, name: str, now: float) -> UserDetail | None:
        """A user, None where there is none of that name."""

    def sessions_of(self, name: str, now: float) -> Sequence[SessionInfo]:
        """The listed sessions of a user, none for an unknown one."""


class Entry(NamedTuple):
    """A session as far as ListSessions orders and chooses by it; `record` makes the whole of it."""

    start_time: str
    id: str
    session_state: str
    record: Callable[[], SessionInfo]


@runtime_checkable
class Listing(Protocol):
    """A population that lists all sessions faster than user by user."""

    def entries(self, now: float) -> Sequence[Entry]:
        """All listed sessions, in any order."""


def all_entries(population: Population, now: float) -> Sequence[Entry]:
    """The sessions at a time, in any order."""
    if isinstance(population, Listing):
        return population.entries(now)
    return [_entry(session) for session in all_sessions(population, now)]


def _entry(session: SessionInfo) -> Entry:
    return Entry(session.start_time or "", session.id or "", session.session_state or "", lambda: session)


def all_users(population: Population, now: float) -> list[UserDetail]:
    """The whole truth about the users at a time."""
    return [user for name in population.names() if (user := population.user(name, now)) is not None]


def all_sessions(population: Population, now: float) -> list[SessionInfo]:
    """The whole truth about the sessions at a time."""
    return [session for name in population.names() for session in population.sessions_of(name, now)]


@dataclass(frozen=True, slots=True)
class StaticPopulation:
    """Exactly the users and sessions that it is given, by user name, at any time.

    The mappings may be changed while it is served.
    """

    users: Mapping[str, UserDetail]
    sessions: Mapping[str, Sequence[SessionInfo]] = field(default_factory=dict)

    def names(self) -> Sequence[str]:
        """Every user's name."""
        return list(self.users)

    def name_of(self, user_id: str) -> str | None:
        """The name of the user with this id."""
        return next((name for name, user in self.users.items() if user.id == user_id), None)

    def user(self, name: str, _now: float) -> UserDetail | None:
        """A user by name."""
        return self.users.get(name)

    def sessions_of(self, name: str, _now: float) -> Sequence[SessionInfo]:
        """The sessions of a user."""
        return self.sessions.get(name, ())
