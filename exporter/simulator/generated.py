"""A generated population of the simulated cloud.

It is a function of seed, number of users, start, speed and time: each query computes its result. Times in records are
wall-clock times at which a client could have seen the change, at any speed.
"""

from collections.abc import Sequence
from functools import partial

from exporter.simulator.population import Entry
from exporter.simulator.schema import SessionInfo, UserDetail, session_time
from exporter.simulator.sessions import PlannedSession, session_id, session_info, sessions_of_day
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
    stream,
    user_detail,
)

FEWEST_GROUPS = 3
USERS_PER_GROUP = 250


class GeneratedPopulation:
    """`users` users who start and end sessions from `start` on, in wall-clock seconds.

    `speed` is in simulated seconds per second. The incident of a `script` replaces the random ones. In every simulated
    hour, `turnover` users leave and as many new ones join. `namesakes` of the users, at most half of them, have the
    name of another user, in a second domain.
    """

    def __init__(  # noqa: PLR0913 - independent properties
        self,
        seed: int,
        users: int,
        start: float,
        *,
        speed: float = 1.0,
        script: Script | None = None,
        turnover: int = 0,
        namesakes: int = 0,
    ) -> None:
        self._seed = seed
        self._users = users
        self._timeline = Timeline(start, speed)
        self._groups = max(FEWEST_GROUPS, users // USERS_PER_GROUP)
        self._incident = Incident(START + script.at, script.duration, script.ratio) if script else None
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
            self._add(name, domain, rank, 0, change)
        # The sessions of a day, and how many of all workers they include.
        self._days: dict[int, tuple[list[tuple[str, str, Worker, PlannedSession]], int]] = {}

    def names(self) -> Sequence[str]:
        """Return every name at the start, from user001 on."""
        return self._names

    def listed(self, now: float) -> Sequence[UserDetail]:
        """Return all users, those who joined last at the end."""
        _, changes = self._moment(now)
        first = changes if changes >= self._users else 0  # by then, everyone from the start has left
        part = slice(first, self._users + changes)
        workers = zip(self._workers[part], self._listed[part], strict=True)
        return [user for worker, user in workers if changes < worker.leaves]

    def current(self, user: UserDetail, now: float) -> UserDetail:
        """Return a listed user with all fields."""
        at, _ = self._moment(now)
        return user_detail(self._seed, self._by_id[str(user.id)], at, self._timeline)

    def user(self, user_id: str, now: float) -> UserDetail | None:
        """Return the user with this id, or None."""
        at, changes = self._moment(now)
        worker = self._by_id.get(user_id)
        return user_detail(self._seed, worker, at, self._timeline) if worker and worker.exists(changes) else None

    def knows(self, name: str, now: float) -> bool:
        """Return whether a user has this name."""
        return bool(self._named(name, now))

    def sessions_of(self, name: str, now: float) -> Sequence[SessionInfo]:
        """Return the listed sessions of all users with this name, oldest first for each user."""
        at, _ = self._moment(now)
        today = int(at // DAY)
        return [
            session_info(self._seed, worker, session, at, self._timeline)
            for worker in self._named(name, now)
            for day in (today - 1, today)
            for session in self._sessions(worker, day)
            if session.listed(at)
        ]

    def entries(self, now: float) -> Sequence[Entry]:
        """Return all listed sessions."""
        at, changes = self._moment(now)
        today, record = int(at // DAY), partial(session_info, self._seed)
        return [
            Entry(start, ident, session.step(at)[1], partial(record, worker, session, at, self._timeline))
            for day in (today - 1, today)
            for start, ident, worker, session in self._day(day)
            if session.listed(at) and worker.exists(changes)
        ]

    def _moment(self, now: float) -> tuple[float, int]:
        """Return the simulated time and the number of changes until then, which have then been made."""
        at = self._timeline.simulated(now)
        changes = self._changes(at)
        self._join(changes)
        return at, changes

    def _changes(self, at: float) -> int:
        return max(0, int((at - START) * self._turnover / HOUR))

    def _join(self, changes: int) -> None:
        """Add the users who join with these changes. They leave in the order of joining, after all earlier users."""
        for change in range(len(self._workers) - self._users + 1, changes + 1):
            name = self._name(len(self._names) + change)
            self._add(name, DOMAIN, self._users + change, change, change + self._users)

    def _add(self, name: str, domain: str, rank: int, joins: int, leaves: int) -> None:
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

    def _named(self, name: str, now: float) -> Sequence[Worker]:
        _, changes = self._moment(now)
        return [worker for worker in self._by_name.get(name.casefold(), ()) if worker.exists(changes)]

    def _day(self, day: int) -> Sequence[tuple[str, str, Worker, PlannedSession]]:
        """Return (start by the wall clock, id, user, session) of a day and of everyone so far. Two days are cached."""
        clock, before = self._timeline.clock, self._changes(day * DAY)
        sessions, included = self._days.get(day, ([], 0))
        sessions += [
            (session_time(clock(plan.begin)), session_id(self._seed, worker, plan), worker, plan)
            for worker in self._workers[included:]
            if before < worker.leaves
            for plan in self._sessions(worker, day)
        ]
        near = {other: cached for other, cached in self._days.items() if abs(other - day) == 1}
        self._days = near | {day: (sessions, len(self._workers))}
        return sessions

    def _sessions(self, worker: Worker, day: int) -> Sequence[PlannedSession]:
        """Return the sessions of a user and day, from joining to expiry, and none while the account is disabled."""
        if worker.rank % KINDS == DISABLED:
            return ()
        expiry, _ = account_times(self._seed, worker)
        sessions = sessions_of_day(self._seed, worker, day, self._groups, self._incidents(day))
        return [each for each in sessions if worker.joins <= self._changes(each.begin) and each.begin < expiry]

    def _incidents(self, day: int) -> tuple[Incident, ...]:
        if self._incident is None:
            return random_incidents(self._seed, day, self._groups)
        return (self._incident,) if self._incident.begin // DAY == day else ()
