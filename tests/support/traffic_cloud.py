"""A cloud in memory with planned sessions, and a week in the life of a watch that polls it, in virtual time."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from support.fake_cloud import refused
from support.session_traffic import (
    DAY,
    HOUR,
    INIT_FAIL,
    MINUTE,
    SIGNED_OUT,
    Habits,
    Spans,
    Traffic,
    churn,
    counted_failures,
    counted_starts,
    plan,
)
from support.virtual_time import EPOCH, run_virtually, wall_clock
from support.watches import polled, reload, watch_of

from exporter.cloud.errors import Throttled, Unreachable
from exporter.cloud.models import (
    ListedSession,
    ServerGroupPage,
    ServerPage,
    Session,
    SessionPage,
    User,
    UserDetail,
    UserPage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from support.session_traffic import Planned

    from exporter.fleet import Attempts
    from exporter.watch import Watch

ZONE = 8 * HOUR
"""How far the zone-less times of ListSessionByUserName are ahead of UTC."""

_LATENCY = 0.05
_TIMEOUT = 10.0
_SETTLE = 20 * MINUTE  # at the end of a life, without new sessions
_BEFORE = 8 * HOUR  # before the beginning, in which sessions start that are there at the first look
_ACCOUNT = UserDetail()


def user_name(number: int) -> str:
    """Return the name of a user."""
    return f"user{number:06}"


@dataclass
class TrafficCloud:
    """Answers from planned sessions, in an order of its listings; ``faults`` is the share of answers that fail."""

    traffic: Traffic
    users: int
    order: str = "newest"
    counts: bool = True
    """Whether listings of started and failed sessions come with the right total."""
    faults: float = 0.0
    permitted: bool = True
    """Whether ListSessions and the listings of servers are."""
    dice: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - no secret
    calls: dict[str, int] = field(default_factory=dict)
    """Requests by operation, and by scan for ListSessions."""
    listed_to: dict[str, list[tuple[float, frozenset[tuple[str, str]]]]] = field(default_factory=dict)
    """By user name, the answers to the user's own query: when, and the sessions with their states."""
    noting: bool = False
    clock_skew: float | None = 0.0

    def __post_init__(self) -> None:
        self._records: dict[int, tuple[ListedSession, ListedSession]] = {}

    async def _call(self, operation: str, kind: str = "") -> None:
        self.calls[f"{operation}{kind}"] = self.calls.get(f"{operation}{kind}", 0) + 1
        chance = self.dice.random()
        if chance < self.faults:
            if chance < self.faults / 3:
                await asyncio.sleep(_TIMEOUT)
                raise Unreachable(operation, "timeout")
            await asyncio.sleep(_LATENCY)
            if chance < self.faults * 2 / 3:
                raise refused(operation, 503)
            raise Throttled(operation, "429")
        await asyncio.sleep(_LATENCY)
        self.traffic.advance(wall_clock())

    async def list_session_by_user_name(self, user_name: str) -> tuple[ListedSession, ...]:
        await self._call("ListSessionByUserName")
        found = self.traffic.of_user(int(user_name.removeprefix("user")))
        if self.noting:
            seen = frozenset((each.id, self.traffic.states[each.number][1]) for each in found)
            self.listed_to.setdefault(user_name, []).append((wall_clock(), seen))
        return tuple(self._record(each)[1] for each in found)

    async def list_sessions(self, begin: float, end: float, session_states: Sequence[str], offset: int) -> SessionPage:
        kind = " starts" if not session_states else " failures" if len(session_states) == 1 else " live"
        await self._call("ListSessions", kind)
        if not self.permitted:
            raise refused("ListSessions", 403)
        window = self.traffic.started(session_states, begin, end)
        page = [self._record(self.traffic.sessions[number])[0] for number in window.page(self.order, offset, 100)]
        total = len(window) if self.counts or kind == " live" else self.dice.choice((len(page), None, len(window) + 3))
        return SessionPage(tuple(page), total, 0)

    async def list_user_detail(self, user_id: str) -> UserDetail:  # noqa: ARG002 - all are alike
        await self._call("ListUserDetail")
        return _ACCOUNT

    async def list_users(
        self, user_names: Sequence[str], offset: int, limit: int = 100, filters: Sequence[tuple[str, str]] = ()
    ) -> UserPage:
        assert not filters
        await self._call("ListUsers")
        names = user_names or [user_name(number) for number in range(self.users)]
        page = names[offset : offset + limit]
        return UserPage([User(f"id-of-{name}", name) for name in page], len(names))

    async def list_servers(self, offset: int) -> ServerPage:  # noqa: ARG002 - there are none
        await self._call("ListServers")
        if not self.permitted:
            raise refused("ListServers", 403)
        return ServerPage((), 0)

    async def list_server_groups(self, offset: int) -> ServerGroupPage:  # noqa: ARG002 - there are none
        await self._call("ListServerGroups")
        if not self.permitted:
            raise refused("ListServerGroups", 403)
        return ServerGroupPage((), 0)

    def _record(self, each: Planned) -> tuple[ListedSession, ListedSession]:
        """Return a session as ListSessions and as ListSessionByUserName list it."""
        changed, state = self.traffic.states[each.number]
        if (known := self._records.get(each.number)) and known[0].changed == changed:
            return known
        login, minute = f"{user_name(each.user)}@corp.example", each.started // 60 * 60
        failed_code = f"WKS.{each.number % 900:08}" if state == INIT_FAIL else "WKS.00000000"
        version = f"24.{each.user % 5}.0"
        group = f"group-{each.user % 4}"
        own, listed = (
            Session.of(each.id, state, version, None, failed_code, group, start // 60 * 60, "1", None, changed_utc)
            for start, changed_utc in ((each.started + ZONE, None), (minute, changed))
        )
        record = (
            ListedSession(login, listed, each.started, changed, utc=True),
            ListedSession(login, own, each.started + ZONE, changed + ZONE),
        )
        self._records[each.number] = record
        if state == SIGNED_OUT:
            self._forget()
        return record

    def _forget(self) -> None:
        """Forget what is no longer listed."""
        if len(self._records) > 2 * len(self.traffic.states) + 1000:
            self._records = {number: known for number, known in self._records.items() if number in self.traffic.states}


@dataclass(frozen=True, slots=True)
class Found:
    """What a watch counted in a life, and what is true."""

    attempts: Attempts
    starts: set[str]
    failures: set[str]
    cloud: TrafficCloud
    spans: Spans


@dataclass(frozen=True, kw_only=True)
class Life:
    """A time that a watch lives through: its users come and go, and settings are reloaded."""

    users: int
    length: float = 7 * DAY
    poll: dict[str, object] = field(default_factory=dict)
    other_poll: dict[str, object] = field(default_factory=dict)
    """Settings besides that every other reload brings and the next takes back."""
    reload_every: float = 3 * HOUR
    moving: float = 0.1
    habits: Habits = field(default_factory=Habits)
    order: str = "newest"
    counts: bool = True
    faults: float = 0.0
    permitted: bool = True
    noting: bool = False
    seed: int = 1
    tell: Callable[[str], None] = lambda _: None

    def run(self) -> Found:
        """Live it, in virtual time. The same seed gives the same life."""
        random.seed(self.seed)  # for the pauses before retries
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        try:
            return run_virtually(self._run())
        finally:
            structlog.reset_defaults()

    async def _run(self) -> Found:
        dice = random.Random(self.seed)  # noqa: S311 - no secret
        end = EPOCH + self.length
        spans = churn(self.users, EPOCH, end, moving=self.moving, dice=dice)
        sessions = plan(self.users, EPOCH - _BEFORE, end - _SETTLE, self.habits, dice)
        sessions = [each for each in sessions if not _in_doubt(each, spans)]
        sessions = [each._replace(number=number) for number, each in enumerate(sessions)]
        cloud = TrafficCloud(
            Traffic(sessions),
            self.users,
            self.order,
            self.counts,
            self.faults,
            self.permitted,
            random.Random(self.seed),  # noqa: S311 - no secret
            noting=self.noting,
        )
        watch = watch_of(cloud, **self.poll)  # type: ignore[arg-type] # any setting
        await reload(watch, cloud, *map(user_name, spans.users(EPOCH)), **self.poll)  # type: ignore[arg-type] # any setting
        moments = sorted({moment for of_user in spans.of_user.values() for span in of_user for moment in span})
        times = {moment: False for moment in moments if EPOCH < moment < end}
        times |= {EPOCH + n * self.reload_every: True for n in range(1, int(self.length // self.reload_every))}
        other = False
        previous = watch.poller.attempts().copy()
        async with polled(watch):
            for number, (time, toggles) in enumerate(sorted(times.items())):
                previous = await self._until(time, watch, previous)
                other ^= toggles
                settings = self.poll | (self.other_poll if other else {})
                await reload(watch, cloud, *map(user_name, spans.users(time)), **settings)  # type: ignore[arg-type] # any setting
                if number % 50 == 0:
                    self.tell(f"{(time - EPOCH) / HOUR:,.1f} h: {previous.starts.total:,} starts")
            await self._until(end, watch, previous)
            attempts = watch.poller.attempts().copy()
        return Found(attempts, counted_starts(sessions, spans), counted_failures(sessions, spans), cloud, spans)

    async def _until(self, time: float, watch: Watch, before: Attempts) -> Attempts:
        """Publish every minute until a time. The numbers never fall, and no failure comes without its start."""
        while (left := time - wall_clock()) > 0:
            await asyncio.sleep(min(left, MINUTE))
            for _ in watch.expire():
                pass
            now = watch.poller.attempts()
            assert before.starts.total <= now.starts.total
            assert before.failures.total <= now.failures.total <= now.starts.total
            before = now.copy()
        return before


def seen_in_polls(cloud: TrafficCloud, spans: Spans) -> tuple[set[str], set[str]]:
    """Return the sessions that users' own answers show to have started, and to have failed.

    What the first answer about a user lists has started before. It may still fail.
    """
    started: set[str] = set()
    failed: set[str] = set()
    for name, answers in cloud.listed_to.items():
        for begin, end in spans.of_user[int(name.removeprefix("user"))]:
            first, *others = [seen for at, seen in answers if begin <= at < end] or [frozenset[tuple[str, str]]()]
            failing = {ident for seen in others for ident, state in seen if state == INIT_FAIL}
            failing -= {ident for ident, state in first if state == INIT_FAIL}
            started |= {ident for seen in others for ident, _ in seen} - {ident for ident, _ in first} | failing
            failed |= failing
    return started, failed


def _in_doubt(each: Planned, spans: Spans) -> bool:
    """Return whether a session starts or fails so near to a reload of its user that nobody could count it for sure."""
    times = [time for time in (each.started, each.failed) if time is not None]
    return any(spans.near_a_change(each.user, time, before_leaving=10 * MINUTE, after_joining=5.0) for time in times)
