"""Sessions of a whole fleet that start, fail and end as planned, with the numbers that an exporter has to find.

The plan knows nothing about the exporter. Times are in seconds since 1970, in whole seconds as the cloud reports them.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
APPC_INIT, ACTIVE, DISCONNECTED, SIGNED_OUT, INIT_FAIL = "AppcInit", "Active", "Disconnected", "SignedOut", "InitFail"
_OFFICE = (0.1, 0.1, 0.1, 0.1, 0.1, 0.3, 2, 6, 8, 5, 3, 2, 2, 3, 2, 2, 1, 0.5, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1)
"""Session starts in each hour of a day, in proportion."""


class Planned(NamedTuple):
    """One session: the times at which it enters its states, and at which no query lists it any more."""

    number: int
    user: int
    steps: tuple[tuple[float, str], ...]
    removed: float
    lag: float  # seconds after its start from which ListSessions lists it

    @property
    def id(self) -> str:
        """The id of the session."""
        return f"session-{self.number:08}"

    @property
    def started(self) -> float:
        """When it started."""
        return self.steps[0][0]

    @property
    def failed(self) -> float | None:
        """When it failed; None if it does not."""
        time, state = self.steps[-1]
        return time if state == INIT_FAIL else None


@dataclass(frozen=True, slots=True)
class Spans:
    """When each user is watched, from a time until another one."""

    of_user: Mapping[int, Sequence[tuple[float, float]]]

    def at(self, user: int, time: float) -> bool:
        """Return whether a user is watched at a time."""
        return any(begin <= time < end for begin, end in self.of_user[user])

    def users(self, time: float) -> list[int]:
        """Return the users watched at a time."""
        return [user for user in self.of_user if self.at(user, time)]

    def near_a_change(self, user: int, time: float, *, before_leaving: float, after_joining: float) -> bool:
        """Return whether a user joins or leaves so soon that no client could say which side a start is on."""
        return any(
            abs(begin - time) <= after_joining or end - before_leaving <= time < end
            for begin, end in self.of_user[user]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What sessions are like."""

    starts_a_day: float = 1.5  # by user
    failing: float = 0.02  # of starts
    short: float = 0.1  # of starts, which end within a minute
    late: float = 0.02  # of starts, which ListSessions lists only after up to 50 s
    hours: tuple[float, float] = (0.3, 6.0)  # from the start to the end of other sessions


def plan(users: int, begin: float, end: float, habits: Habits, dice: random.Random) -> list[Planned]:
    """Return random sessions that start in a span, in the order of their starts."""
    hours = list(accumulate(_OFFICE))
    starts = []
    for day in range(int((end - begin) // DAY) + 1):
        for _ in range(round(users * habits.starts_a_day)):
            hour = bisect_left(hours, dice.uniform(0, hours[-1]))
            starts.append(int(begin + day * DAY + hour * HOUR + dice.uniform(0, HOUR)))
    return sessions_at([start for start in starts if start < end], users, habits, dice)


def sessions_at(starts: Sequence[int], users: int, habits: Habits, dice: random.Random) -> list[Planned]:
    """Return random sessions with these starts."""
    return [_session(number, dice.randrange(users), start, habits, dice) for number, start in enumerate(sorted(starts))]


def _session(number: int, user: int, start: int, habits: Habits, dice: random.Random) -> Planned:
    kind = dice.random()
    lag = dice.uniform(5, 50) if dice.random() < habits.late else dice.uniform(0, 1)
    ready = start + dice.randint(5, 60)
    steps: list[tuple[float, str]] = [(start, APPC_INIT)]
    if kind < habits.failing:
        steps.append((ready, INIT_FAIL))
        return Planned(number, user, tuple(steps), ready + dice.randint(600, 1200), min(lag, 5.0))
    if kind < habits.failing + habits.short:
        ready = start + dice.randint(3, 20)
        end = ready + dice.randint(3, 25)
        steps += [(ready, ACTIVE), (end, SIGNED_OUT)]
    else:
        end = ready + int(dice.uniform(*habits.hours) * HOUR)
        away = dice.randint(ready + 1, end - 2)
        back = dice.randint(away + 1, end - 1)
        steps += [(ready, ACTIVE), (away, DISCONNECTED), (back, ACTIVE), (end, SIGNED_OUT)]
    return Planned(number, user, tuple(steps), end + dice.randint(300, 900), lag)


def counted_starts(sessions: Sequence[Planned], spans: Spans) -> set[str]:
    """Return the sessions that started while their user was watched, or failed then."""
    return {each.id for each in sessions if spans.at(each.user, each.started)} | counted_failures(sessions, spans)


def counted_failures(sessions: Sequence[Planned], spans: Spans) -> set[str]:
    """Return the sessions that failed while their user was watched."""
    return {each.id for each in sessions if each.failed is not None and spans.at(each.user, each.failed)}


class _Event(NamedTuple):
    time: float
    number: int
    step: int  # of the session that begins; -1 where it becomes visible to ListSessions, -2 where it is removed


_SHOWN, _REMOVED = -1, -2


@dataclass
class Traffic:
    """The planned sessions as they are at a time that only moves on."""

    sessions: Sequence[Planned]
    states: dict[int, tuple[float, str]] = field(default_factory=dict)
    """The state of each session that any query lists, by number, preceded by the time at which it began."""

    def __post_init__(self) -> None:
        events = []
        for each in self.sessions:
            events += [_Event(time, each.number, step) for step, (time, _) in enumerate(each.steps)]
            events += [
                _Event(each.started + each.lag, each.number, _SHOWN),
                _Event(each.removed, each.number, _REMOVED),
            ]
        self._events = sorted(events)
        self._next = 0
        self._shown: dict[str, list[tuple[float, int]]] = {state: [] for state in ("", APPC_INIT, INIT_FAIL, "live")}
        self._visible: set[int] = set()
        self._of_user: dict[int, dict[int, None]] = {}

    def advance(self, now: float) -> None:
        """Let time pass."""
        while self._next < len(self._events) and self._events[self._next].time <= now:
            self._take(self._events[self._next])
            self._next += 1

    def of_user(self, user: int) -> list[Planned]:
        """Return what ListSessionByUserName lists: everything that has not ended."""
        return [self.sessions[number] for number in self._of_user.get(user, ())]

    def started(self, states: Sequence[str], begin: float, end: float) -> _Window:
        """Return what ListSessions lists of the sessions that started in a window."""
        key = "" if not states else INIT_FAIL if list(states) == [INIT_FAIL] else "live"
        shown = self._shown[key]
        return _Window(shown, bisect_left(shown, (begin,)), bisect_right(shown, (end, len(self.sessions))))

    def _take(self, event: _Event) -> None:
        number, each = event.number, self.sessions[event.number]
        if event.step == _SHOWN:
            self._visible.add(number)
        elif event.step == _REMOVED:
            self._file(number, None)
            self._visible.discard(number)
            self._of_user[each.user].pop(number, None)
            del self.states[number]
            return
        else:
            self._file(number, None)
            self.states[number] = each.steps[event.step]
            own = self._of_user.setdefault(each.user, {})
            if each.steps[event.step][1] == SIGNED_OUT:
                own.pop(number, None)
            else:
                own[number] = None
        if number in self._visible:
            self._file(number, self.states[number][1])

    def _file(self, number: int, state: str | None) -> None:
        entry = (self.sessions[number].started, number)
        wanted = {
            "": state is not None,
            INIT_FAIL: state == INIT_FAIL,
            "live": state is not None and state != SIGNED_OUT,
        }
        for key, there in wanted.items():
            shown = self._shown[key]
            place = bisect_left(shown, entry)
            if (place < len(shown) and shown[place] == entry) != there:
                if there:
                    shown.insert(place, entry)
                else:
                    del shown[place]


class _Window(NamedTuple):
    """A part of a listing that is sorted by start."""

    shown: Sequence[tuple[float, int]]
    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first

    def page(self, order: str, offset: int, limit: int) -> Iterator[int]:
        """Yield the numbers of a page in an order: ``newest``, ``oldest`` or ``random`` (fixed for each session)."""
        if order == "random":
            found = sorted((number * 2654435761 % 2**32, number) for _, number in self.shown[self.first : self.end])
            yield from (number for _, number in found[offset : offset + limit])
        elif order == "oldest":
            first = self.first + offset
            yield from (number for _, number in self.shown[first : min(first + limit, self.end)])
        else:
            last = self.end - offset
            yield from (number for _, number in reversed(self.shown[max(last - limit, self.first) : max(last, 0)]))


def churn(users: int, begin: float, end: float, *, moving: float, dice: random.Random) -> Spans:
    """Return when users are watched: most all the time, a share ``moving`` joins, leaves or does so twice."""
    spans: dict[int, list[tuple[float, float]]] = {}
    for user in range(users):
        changes = sorted(int(dice.uniform(begin, end)) + 0.5 for _ in range(dice.randint(1, 4)))
        if dice.random() >= moving or any(b - a < HOUR / 2 for a, b in pairwise([begin, *changes, end])):
            spans[user] = [(begin, end)]
        else:
            times = [begin - 0.5, *changes, end] if dice.random() < 0.5 else [*changes, end]
            spans[user] = list(zip(times[::2], times[1::2], strict=False))
    return Spans(spans)
