"""A living population: people who come to work, log in, leave and sometimes fail.

Its state at a time is a function of the seed, the number of users, the start, the speed and that time: nothing
happens by itself, everything is computed when asked. The simulated day is shifted so that the simulator always starts
at half past ten on a Tuesday; the times in its records are those of the clock, at which a client can have seen the
change, whatever the speed.
"""

from collections.abc import Sequence
from functools import partial

from exporter.simulator.accounts import account
from exporter.simulator.chance import identifier, stream
from exporter.simulator.day import Course, Worker, working_day
from exporter.simulator.farm import group_count
from exporter.simulator.incidents import Incident, Script, incidents_of_day, scripted
from exporter.simulator.population import Entry
from exporter.simulator.records import session_id, session_info, user_detail
from exporter.simulator.schema import SessionInfo, UserDetail, session_time
from exporter.simulator.timeline import DAY, START, Timeline


class Office:
    """A population of `users` people since `start`, in seconds of the clock.

    `speed` is in simulated seconds per second; a script's incident replaces those that happen by chance.
    """

    def __init__(
        self, seed: int, users: int, start: float, *, speed: float = 1.0, script: Script | None = None
    ) -> None:
        width = max(3, len(str(users)))
        names = [f"user{number:0{width}}" for number in range(1, users + 1)]
        ranks = stream(seed, "ranks").sample(range(users), users)
        self._seed = seed
        self._timeline = Timeline(start, speed)
        self._groups = group_count(users)
        self._script = None if script is None else scripted(script, START)
        self._names = {identifier(seed, "user", name): name for name in names}
        self._workers = {
            name: Worker(name, rank, stream(seed, "home", name).randrange(self._groups))
            for name, rank in zip(names, ranks, strict=True)
        }
        self._days: dict[int, Sequence[tuple[str, str, str, Course]]] = {}

    def names(self) -> Sequence[str]:
        """Every user's name, from user001 on."""
        return list(self._workers)

    def name_of(self, user_id: str) -> str | None:
        """The name of the user with this id."""
        return self._names.get(user_id)

    def user(self, name: str, now: float) -> UserDetail | None:
        """A user at a time of the clock."""
        worker = self._workers.get(name)
        if worker is None:
            return None
        holder = account(self._seed, name, worker.rank)
        expires = 0 if holder.expires is None else int(self._timeline.clock(holder.expires)) * 1000
        return user_detail(self._seed, name, holder, self._timeline.simulated(now), expires)

    def sessions_of(self, name: str, now: float) -> Sequence[SessionInfo]:
        """The listed sessions of a user at a time of the clock, oldest first."""
        worker = self._workers.get(name)
        if worker is None:
            return ()
        at = self._timeline.simulated(now)
        today = int(at // DAY)
        return [
            self._record(name, course, at)
            for day in (today - 1, today)
            for course in self._courses(worker, day)
            if course.listed(at)
        ]

    def entries(self, now: float) -> Sequence[Entry]:
        """All listed sessions at a time of the clock."""
        at = self._timeline.simulated(now)
        today = int(at // DAY)
        return [
            Entry(start, ident, course.step(at)[1], partial(self._record, name, course, at))
            for day in (today - 1, today)
            for start, ident, name, course in self._day(day)
            if course.listed(at)
        ]

    def _day(self, day: int) -> Sequence[tuple[str, str, str, Course]]:
        """Every session of a day with its start on the clock, its id and its user, oldest first; two are remembered."""
        if day not in self._days:
            self._days = {other: courses for other, courses in self._days.items() if abs(other - day) == 1}
            self._days[day] = sorted(
                (
                    session_time(self._timeline.clock(course.begin)),
                    session_id(self._seed, name, course),
                    name,
                    course,
                )
                for name, worker in self._workers.items()
                for course in self._courses(worker, day)
            )
        return self._days[day]

    def _record(self, name: str, course: Course, at: float) -> SessionInfo:
        return session_info(self._seed, name, course, at, self._timeline.clock)

    def _courses(self, worker: Worker, day: int) -> Sequence[Course]:
        """The day of a user, without the log-ins that the account's state forbids."""
        holder = account(self._seed, worker.name, worker.rank)
        courses = working_day(self._seed, worker, day, self._groups, self._incidents(day))
        return [course for course in courses if not holder.disabled and not holder.expired(course.begin)]

    def _incidents(self, day: int) -> tuple[Incident, ...]:
        if self._script is None:
            return incidents_of_day(self._seed, day, self._groups)
        return (self._script,) if self._script.begin // DAY == day else ()
