"""The cycles of one operation, one after the other: when they begin, and how long their answers count."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from exporter.cloud.errors import CloudError
from exporter.cloud.models import ListedSession, ServerGroupPage, ServerPage, SessionPage, UserDetail, UserPage
from exporter.config import Poll
from exporter.fleet import Fleet, Servers
from exporter.polling.cycles import Cycle, Cycles
from exporter.polling.discovery import Discovery
from exporter.polling.lane import Lane
from exporter.polling.pace import monotonic
from exporter.polling.source import cycle_seconds

_RECHECK = 5.0  # seconds
STALE_CYCLES = 3  # an answer counts for this many cycles, unless the configuration says how long


class Cloud(Protocol):
    """The operations that are polled. Each is one request and raises CloudError."""

    async def list_session_by_user_name(self, user_name: str) -> tuple[ListedSession, ...]:
        """Return the sessions of the users with this name."""

    async def list_user_detail(self, user_id: str) -> UserDetail:
        """Return the flags of one account."""

    async def list_users(
        self, user_names: Sequence[str], offset: int, limit: int = ..., filters: Sequence[tuple[str, str]] = ...
    ) -> UserPage:
        """Return a page of the users with these names, or of all users, that match the filters."""

    async def list_sessions(self, begin: float, end: float, session_states: Sequence[str], offset: int) -> SessionPage:
        """Return a page of the sessions that started within a span of wall time, in these states or in any."""

    async def list_servers(self, offset: int) -> ServerPage:
        """Return a page of the servers that sessions run on."""

    async def list_server_groups(self, offset: int) -> ServerGroupPage:
        """Return a page of the server groups."""

    @property
    def clock_skew(self) -> float | None:
        """Cloud clock minus exporter clock in seconds, None before the first answer."""


@dataclass
class PollContext:
    """One project's users, its cloud and its settings, which a reload may replace."""

    fleet: Fleet
    cloud: Cloud
    poll: Poll
    now: Callable[[], float]  # the wall clock, in seconds since 1970
    discovery: Discovery
    servers: Servers = field(default_factory=Servers)

    @property
    def cloud_time(self) -> float:
        """The time in seconds since 1970 by the clock of the cloud."""
        return self.now() + (self.cloud.clock_skew or 0.0)

    @property
    def clock(self) -> float:
        """The cloud's time, in seconds since 1970, at time 0 of the event loop."""
        return self.cloud_time - monotonic()


class CycleLoop(ABC):
    """Runs cycles while :meth:`run` runs and ``wanted`` is set."""

    entries = "users"  # what a cycle polls or reads

    def __init__(self, context: PollContext, lane: Lane, cycle_ended: Callable[[], None]) -> None:
        """``cycle_ended`` is called after each cycle, successful or not."""
        self.context = context
        self.lane = lane
        self.log = lane.log
        self.wanted = asyncio.Event()
        self.cycles = Cycles()
        self.configured_interval = 1.0
        self._cycle_ended = cycle_ended
        self._started = 0.0
        self._needed = 0.0
        self._delayed = 0.0
        self._early = False
        self._changed = asyncio.Event()
        lane.demands.append(lambda: self.requests * 60 / self.configured_interval)

    @property
    @abstractmethod
    def requests(self) -> int:
        """Requests that a cycle takes."""

    @abstractmethod
    async def _run_cycle(self, cycle: Cycle) -> None:
        """Poll or read everything once."""

    @property
    def interval(self) -> float:
        """Seconds from the start of a cycle to the start of the next one, at the present rate."""
        return cycle_seconds(self.configured_interval, self.requests, self.lane.rate)

    @property
    def effective_interval(self) -> float:
        """The same, or what the last cycle took if that is longer because the cloud answers slowly."""
        return max(self.interval, self.cycles.last_pass)

    @property
    def stale_after(self) -> float:
        """Seconds that an answer counts by default. Throttling never extends them."""
        at_ceiling = self.requests * 60 / self.lane.ceiling
        running = self._needed if self.cycles.current else 0.0
        return STALE_CYCLES * max(self.configured_interval, at_ceiling, self.cycles.last_pass, running)

    def set_interval(self, configured: float) -> None:
        """Use this interval in seconds from now on; a cycle that is already due begins at once."""
        if configured != self.configured_interval:
            self.configured_interval = configured
            self.lane.pace.forget_demands()
            self._changed.set()

    def wake(self) -> None:
        """Poll users who have joined at once, in the running cycle or else in one that begins now."""
        self._early = self.cycles.current is None
        self._changed.set()

    async def run(self) -> None:
        """Run cycles until cancelled."""
        while True:
            await self.wanted.wait()
            await self._may_begin()
            known = self.cycles.last is not None and self.cycles.last.answered > 0
            now = self.context.now
            self._early, self._needed, self._started = False, 0.0, monotonic()
            self._delayed = self.lane.throttle.delayed
            self.cycles.next_at = now() + self.interval
            cycle = self.cycles.current = Cycle(0, now(), self.entries)
            await self._run_cycle(cycle)
            duration = monotonic() - self._started
            self.cycles.finish(duration, self._needed, now())
            self.log.finished(cycle, duration)
            self._cycle_ended()
            await self._rest(first_answers=cycle.answered > 0 and not known)

    async def _may_begin(self) -> None:  # noqa: B027 - most may begin at once
        """Wait until a cycle may begin."""

    def _note_answer(self, retry_pauses: float = 0.0) -> None:
        """Note that the cycle needs the time until now, apart from pauses for throttling and these for retries."""
        throttled = max(self.lane.throttle.delayed - self._delayed, 0.0)
        self._needed = max(monotonic() - self._started - throttled - retry_pauses, 0.0)

    def _fail(self, cycle: Cycle, error: CloudError | None, entries: int) -> None:
        """Note that so many entries have no answer because of an error; None if none is known."""
        cycle.failed[error.outcome if error else "paused"] += max(entries, 1)
        if error:
            self.log.failed(error)

    async def _sleep_until(self, time: float) -> None:
        """Sleep until this time of the event loop, or until users or settings change."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(time):
                await self._changed.wait()

    async def _rest(self, *, first_answers: bool) -> None:  # noqa: ARG002 - for those who spread their requests
        """Wait for the start of the next cycle, or for the end of a pause for rejected credentials."""
        access = self.lane.access
        if access.paused:
            self.cycles.next_at = self.context.now() + access.rest
            await access.wait()
            return
        while not self._early and (end := self._started + self.interval) > monotonic():
            await self._sleep_until(min(end, monotonic() + _RECHECK))  # it comes earlier while the rate recovers
