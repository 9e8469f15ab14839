"""The users of the simulated cloud and their sessions: the interface for operations, a generated and a static one.

A generated population is a function of seed, number of users, start, speed and time: each query computes its result.
Times in records are wall-clock times at which a client could have seen the change, at any speed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from exporter.simulator.schema import SessionInfo, UserDetail, session_time
from exporter.simulator.sessions import PlannedSession, Worker, session_info, sessions_of_day
from exporter.simulator.simulation import (
    DAY,
    DISABLED,
    KINDS,
    START,
    Incident,
    Script,
    Timeline,
    account_times,
    identifier,
    random_incidents,
    stream,
    user_detail,
)

FEWEST_GROUPS = 3
USERS_PER_GROUP = 250


class Entry(NamedTuple):
    """The fields by which ListSessions filters and sorts a session; `record` returns the whole of it."""

    start_time: str
    id: str
    session_state: str
    record: Callable[[], SessionInfo]


class Population(Protocol):
    """Users and their sessions at a time; `now` is in seconds of the simulator's clock."""

    def names(self) -> Sequence[str]:
        """Return the name of every user, in the order of listing."""

    def name_of(self, user_id: str) -> str | None:
        """Return the name of the user with this id, or None."""

    def user(self, name: str, now: float) -> UserDetail | None:
        """Return the user with this name, or None."""

    def sessions_of(self, name: str, now: float) -> Sequence[SessionInfo]:
        """Return the listed sessions of a user, none if the user is unknown."""

    def entries(self, now: float) -> Sequence[Entry]:
        """Return all listed sessions, in any order."""


def all_users(population: Population, now: float) -> list[UserDetail]:
    """Return all users."""
    return [user for name in population.names() if (user := population.user(name, now)) is not None]


def all_sessions(population: Population, now: float) -> list[SessionInfo]:
    """Return all listed sessions."""
    return [session for name in population.names() for session in population.sessions_of(name, now)]


@dataclass(frozen=True, slots=True)
class StaticPopulation:
    """The given users and sessions, by user name, at any time; both mappings may change later."""

    users: Mapping[str, UserDetail]
    sessions: Mapping[str, Sequence[SessionInfo]] = field(default_factory=dict)

    def names(self) -> Sequence[str]:
        """Return the name of every user."""
        return list(self.users)

    def name_of(self, user_id: str) -> str | None:
        """Return the name of the user with this id, or None."""
        return next((name for name, user in self.users.items() if user.id == user_id), None)

    def user(self, name: str, _now: float) -> UserDetail | None:
        """Return the user with this name, or None."""
        return self.users.get(name)

    def sessions_of(self, name: str, _now: float) -> Sequence[SessionInfo]:
        """Return the sessions of a user."""
        return self.sessions.get(name, ())

    def entries(self, now: float) -> Sequence[Entry]:
        """Return all sessions."""
        return [
            Entry(each.start_time or "", each.id or "", each.session_state or "", partial(replace, each))
            for each in all_sessions(self, now)
        ]


class GeneratedPopulation:
    """`users` users who start and end sessions from `start` on, in wall-clock seconds.

    `speed` is in simulated seconds per second. The incident of a `script` replaces the random ones.
    """

    def __init__(
        self, seed: int, users: int, start: float, *, speed: float = 1.0, script: Script | None = None
    ) -> None:
        width = max(3, len(str(users)))
        names = [f"user{number:0{width}}" for number in range(1, users + 1)]
        ranks = stream(seed, "ranks").sample(range(users), users)
        self._seed = seed
        self._timeline = Timeline(start, speed)
        self._groups = max(FEWEST_GROUPS, users // USERS_PER_GROUP)
        self._incident = Incident(START + script.at, script.duration, script.ratio) if script else None
        self._names = {identifier(seed, "user", name): name for name in names}
        self._workers = {
            name: Worker(name, rank, stream(seed, "home", name).randrange(self._groups))
            for name, rank in zip(names, ranks, strict=True)
        }
        self._days: dict[int, Sequence[tuple[str, str, str, PlannedSession]]] = {}

    def names(self) -> Sequence[str]:
        """Return the name of every user, from user001 on."""
        return list(self._workers)

    def name_of(self, user_id: str) -> str | None:
        """Return the name of the user with this id, or None."""
        return self._names.get(user_id)

    def user(self, name: str, now: float) -> UserDetail | None:
        """Return the user with this name, or None."""
        worker = self._workers.get(name)
        if worker is None:
            return None
        expiry, _ = account_times(self._seed, name, worker.rank)
        expires = 0 if math.isinf(expiry) else int(self._timeline.clock(expiry)) * 1000
        return user_detail(self._seed, name, worker.rank, self._timeline.simulated(now), expires)

    def sessions_of(self, name: str, now: float) -> Sequence[SessionInfo]:
        """Return the listed sessions of a user, oldest first."""
        worker = self._workers.get(name)
        if worker is None:
            return ()
        at = self._timeline.simulated(now)
        today = int(at // DAY)
        return [
            self._record(name, session, at)
            for day in (today - 1, today)
            for session in self._sessions(worker, day)
            if session.listed(at)
        ]

    def entries(self, now: float) -> Sequence[Entry]:
        """Return all listed sessions."""
        at = self._timeline.simulated(now)
        today = int(at // DAY)
        return [
            Entry(start, ident, session.step(at)[1], partial(self._record, name, session, at))
            for day in (today - 1, today)
            for start, ident, name, session in self._day(day)
            if session.listed(at)
        ]

    def _day(self, day: int) -> Sequence[tuple[str, str, str, PlannedSession]]:
        """Return (start by the wall clock, id, user name, session) of a day, oldest first. Two days are cached."""
        if day not in self._days:
            clock = self._timeline.clock
            self._days = {other: sessions for other, sessions in self._days.items() if abs(other - day) == 1}
            self._days[day] = sorted(
                (session_time(clock(plan.begin)), identifier(self._seed, "session-id", name, plan.key), name, plan)
                for name, worker in self._workers.items()
                for plan in self._sessions(worker, day)
            )
        return self._days[day]

    def _record(self, name: str, session: PlannedSession, at: float) -> SessionInfo:
        return session_info(self._seed, name, session, at, self._timeline)

    def _sessions(self, worker: Worker, day: int) -> Sequence[PlannedSession]:
        """Return the sessions of a user and day, without those that the state of the account forbids."""
        if worker.rank % KINDS == DISABLED:
            return ()
        expiry, _ = account_times(self._seed, worker.name, worker.rank)
        sessions = sessions_of_day(self._seed, worker, day, self._groups, self._incidents(day))
        return [session for session in sessions if session.begin < expiry]

    def _incidents(self, day: int) -> tuple[Incident, ...]:
        if self._incident is None:
            return random_incidents(self._seed, day, self._groups)
        return (self._incident,) if self._incident.begin // DAY == day else ()
