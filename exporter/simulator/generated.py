"""A generated population of the simulated cloud.

It is a function of seed, number of users, timeline and time: each query computes its result. Times in records are
wall-clock times at which a client could have seen the change, at any speed.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from exporter.simulator.population import FIRST, LAST, Entry
from exporter.simulator.schema import AppServer, ServerGroup, SessionInfo, SessionState, UserDetail, session_time
from exporter.simulator.servers import SERVERS_PER_GROUP, app_server, group_fields, machines, server_group
from exporter.simulator.sessions import PlannedSession, constant_fields, session_id, session_info, sessions_of_day
from exporter.simulator.simulation import (
    DAY,
    DISABLED,
    DOMAIN,
    HOUR,
    KINDS,
    SECOND_DOMAIN,
    START,
    Incident,
    Script,
    Timeline,
    Worker,
    account_times,
    listed_user,
    random_incidents,
    scripted_incidents,
    stream,
    user_detail,
)

FEWEST_GROUPS = 3
USERS_PER_GROUP = 250
LEAST_CAPACITY = 8  # sessions of a server
LIVE = {SessionState.APPC_INIT, SessionState.ACTIVE, SessionState.DISCONNECTED}
LAST_ID = "~"  # after every id


class Attempt(NamedTuple):
    """The truth about a session, in wall-clock seconds, for tests that judge a client.

    The cloud lists it from `started` until just before `removed`. `failed` is when it enters InitFail, or None.
    """

    started: float
    failed: float | None
    removed: float
    id: str
    user_name: str
    domain: str
    server_group_id: str
    client_version: str
    failed_code: str | None

    def visible(self, at: float) -> bool:
        """Return whether the cloud lists the session at a time."""
        return self.started <= at < self.removed


class Row(NamedTuple):
    """A session of a day, sortable as ListSessions sorts."""

    start_time: str
    id: str
    worker: Worker
    plan: PlannedSession
    times: tuple[float, ...]  # at which it enters each of its states, and at which it is removed
    states: tuple[SessionState | None, ...]  # before the first of these times, and from each of them on


def row(start_time: str, ident: str, worker: Worker, plan: PlannedSession) -> Row:
    """Return the row of a session."""
    steps = [step for step in plan.steps if step[0] < plan.removed]
    times = (*(time for time, _ in steps), plan.removed)
    return Row(start_time, ident, worker, plan, times, (None, *(state for _, state in steps), None))


class GeneratedPopulation:
    """`users` users who start and end sessions along a timeline.

    The incidents of a `script` replace the random ones. In every simulated hour, `turnover` users leave and as many
    new ones join. `namesakes` of the users, at most half of them, have the name of another user, in a second domain.
    """

    def __init__(  # noqa: PLR0913 - independent properties
        self,
        seed: int,
        users: int,
        timeline: Timeline,
        *,
        script: Script | None = None,
        turnover: int = 0,
        namesakes: int = 0,
    ) -> None:
        self._seed = seed
        self._users = users
        self._timeline = timeline
        self._groups = max(FEWEST_GROUPS, users // USERS_PER_GROUP)
        self._capacity = max(LEAST_CAPACITY, math.ceil(users / self._groups / SERVERS_PER_GROUP * 1.5))
        self._script = script
        self._turnover = turnover if users else 0
        self._width = max(3, len(str(users)))
        self._names = [self._name(number + 1) for number in range(users - min(namesakes, users // 2))]
        # Everyone who has ever existed: the users at the start, then one who joins with each change.
        self._workers: list[Worker] = []
        self._listed: list[UserDetail] = []
        self._by_id: dict[str, Worker] = {}
        self._by_name: dict[str, list[Worker]] = {}
        principals = ((name, domain) for domain in (DOMAIN, SECOND_DOMAIN) for name in self._names)
        ranks = stream(seed, "ranks").sample(range(users), users)
        changes = stream(seed, "leavers").sample(range(1, users + 1), users)
        for (name, domain), rank, change in zip(principals, ranks, changes, strict=False):
            self._add(name, domain, rank, -math.inf, self._time_of(change))
        # The sessions of a day by start, and how many of all workers they include.
        self._days: dict[int, tuple[list[Row], int]] = {}

    def names(self) -> Sequence[str]:
        """Return every name at the start, from user001 on."""
        return self._names

    def listed(self, now: float) -> Sequence[UserDetail]:
        """Return all users, those who joined last at the end."""
        at = self._moment(now)
        changes = self._changes(at)
        first = changes - 1 if changes > self._users else 0  # by then, everyone from the start has left
        part = slice(first, self._users + changes + 1)
        workers = zip(self._workers[part], self._listed[part], strict=True)
        return [user for worker, user in workers if worker.exists(at)]

    def current(self, user: UserDetail, now: float) -> UserDetail:
        """Return a listed user with all fields."""
        return user_detail(self._seed, self._by_id[str(user.id)], self._moment(now), self._timeline)

    def user(self, user_id: str, now: float) -> UserDetail | None:
        """Return the user with this id, or None."""
        at = self._moment(now)
        worker = self._by_id.get(user_id)
        return user_detail(self._seed, worker, at, self._timeline) if worker and worker.exists(at) else None

    def knows(self, name: str, now: float) -> bool:
        """Return whether a user has this name."""
        return bool(self._named(name, self._moment(now)))

    def sessions_of(self, name: str, now: float) -> Sequence[SessionInfo]:
        """Return the listed sessions of all users with this name, oldest first for each user."""
        at = self._moment(now)
        today = int(at // DAY)
        return [
            session_info(self._seed, worker, session, at, self._timeline)
            for worker in self._named(name, at)
            for day in (today - 1, today)
            for session in self._sessions(worker, day)
            if session.listed(at)
        ]

    def entries(self, now: float, begin: str = FIRST, end: str = LAST) -> Sequence[Entry]:
        """Return the listed sessions that started in a window, both ends included."""
        at = self._moment(now)
        record = partial(session_info, self._seed)
        return [
            Entry(row.start_time, row.id, state, partial(record, row.worker, row.plan, at, self._timeline))
            for row, state in self._rows(at, begin, min(end, session_time(now + 1)))
        ]

    def servers(self, now: float) -> Sequence[AppServer]:
        """Return all servers, group by group."""
        at = self._moment(now)
        sessions = Counter(row.plan.machine for row, state in self._rows(at) if state in LIVE)
        lost = {incident.group for incident in self._lasting(at)}
        return [
            app_server(self._seed, machine, self._capacity, sessions[machine], lost=machine.group in lost)
            for machine in machines(self._groups)
        ]

    def server_groups(self, _now: float) -> Sequence[ServerGroup]:
        """Return all server groups, which never change."""
        return [server_group(self._seed, group) for group in range(self._groups)]

    def groups_without_servers(self, now: float) -> Sequence[str]:
        """Return the names of the server groups in which an incident lasts."""
        lost = {incident.group for incident in self._lasting(self._timeline.simulated(now))}
        return [group_fields(self._seed, group)[1] for group in sorted(lost)]

    def attempts(self, begin: float, end: float) -> list[Attempt]:
        """Return all sessions that start or fail from `begin` until just before `end`, in wall-clock seconds, by start.

        A session that its user leaves behind before it fails has not failed.
        """
        first, last = (int(self._moment(time) // DAY) for time in (begin, end))
        attempts = [
            self._attempt(worker, session)
            for day in range(first - 1, last + 1)
            for worker in self._workers
            for session in self._sessions(worker, day)
        ]
        spanned = [
            each
            for each in attempts
            if begin <= each.started < end or (each.failed is not None and begin <= each.failed < end)
        ]
        return sorted(spanned)

    def _attempt(self, worker: Worker, session: PlannedSession) -> Attempt:
        clock = self._timeline.clock
        at, state = session.steps[-1]
        failed = state is SessionState.INIT_FAIL and at < session.removed
        fields = constant_fields(self._seed, worker, session)
        return Attempt(
            started=clock(session.begin),
            failed=clock(at) if failed else None,
            removed=clock(session.removed),
            id=fields["id"],
            user_name=worker.name,
            domain=worker.domain,
            server_group_id=fields["app_server_group_id"],
            client_version=fields["client_version"],
            failed_code=session.failure[0] if failed else None,
        )

    def _moment(self, now: float) -> float:
        """Return the simulated time at a wall-clock time. Everyone who has joined by then is known afterwards."""
        at = self._timeline.simulated(now)
        self._join(self._changes(at) + 1)  # one more, because both conversions round
        return at

    def _changes(self, at: float) -> int:
        return max(0, int((at - START) * self._turnover / HOUR))

    def _time_of(self, change: int) -> float:
        """Return when a user leaves and another one joins, by the number of the change from 1 on."""
        return START + change * HOUR / self._turnover if self._turnover else math.inf

    def _join(self, changes: int) -> None:
        """Add the users who join with these changes. They leave in the order of joining, after all earlier users."""
        if not self._turnover:
            return
        for change in range(len(self._workers) - self._users + 1, changes + 1):
            name = self._name(len(self._names) + change)
            joins, leaves = self._time_of(change), self._time_of(change + self._users)
            self._add(name, DOMAIN, self._users + change, joins, leaves)

    def _add(self, name: str, domain: str, rank: int, joins: float, leaves: float) -> None:
        key = name if domain == DOMAIN else f"{name}@{domain}"
        home = stream(self._seed, "home", key).randrange(self._groups)
        worker = Worker(key, name, domain, rank, home, joins, leaves)
        user = listed_user(self._seed, worker)
        self._workers.append(worker)
        self._listed.append(user)
        self._by_id[str(user.id)] = worker
        self._by_name.setdefault(name.casefold(), []).append(worker)

    def _name(self, number: int) -> str:
        return f"user{number:0{self._width}}"

    def _named(self, name: str, at: float) -> Sequence[Worker]:
        return [worker for worker in self._by_name.get(name.casefold(), ()) if worker.exists(at)]

    def _rows(self, at: float, begin: str = FIRST, end: str = LAST) -> Iterator[tuple[Row, SessionState]]:
        """Yield the listed sessions that started in a window, both ends included, and their states."""
        for day in (int(at // DAY) - 1, int(at // DAY)):
            rows = self._day(day)
            window = slice(bisect_left(rows, (begin,)), bisect_right(rows, (end, LAST_ID)))
            yield from ((row, state) for row in rows[window] if (state := row.states[bisect_right(row.times, at)]))

    def _day(self, day: int) -> Sequence[Row]:
        """Return the sessions of a day and of everyone so far, by start. Two days are cached."""
        clock = self._timeline.clock
        rows, included = self._days.get(day, ([], 0))
        if included < len(self._workers):
            rows += [
                row(session_time(clock(plan.begin)), session_id(self._seed, worker, plan), worker, plan)
                for worker in self._workers[included:]
                if day * DAY < worker.leaves
                for plan in self._sessions(worker, day)
            ]
            rows.sort()
        near = {other: cached for other, cached in self._days.items() if abs(other - day) == 1}
        self._days = near | {day: (rows, len(self._workers))}
        return rows

    def _sessions(self, worker: Worker, day: int) -> Sequence[PlannedSession]:
        """Return the sessions of a user and day, from joining to expiry, and none while the account is disabled.

        The cloud stops listing them when the user leaves.
        """
        if worker.rank % KINDS == DISABLED:
            return ()
        expiry, _ = account_times(self._seed, worker, self._timeline)
        return [
            each if each.removed <= worker.leaves else replace(each, removed=worker.leaves)
            for each in sessions_of_day(self._seed, worker, day, self._groups, self._incidents(day))
            if worker.exists(each.begin) and self._timeline.clock(each.begin) < expiry
        ]

    def _incidents(self, day: int) -> tuple[Incident, ...]:
        """Return the incidents that last on a day, or on part of it."""
        if self._script is None:
            return random_incidents(self._seed, day, self._groups)
        return scripted_incidents(self._script, day, self._groups)

    def _lasting(self, at: float) -> Sequence[Incident]:
        return [incident for incident in self._incidents(int(at // DAY)) if incident.at(at)]
