"""The scans of ListSessions: of all live sessions, of those that have started, and of those that have failed."""

from collections.abc import Callable, Sequence
from functools import partial

import structlog

from exporter.cloud.client import SESSIONS_A_PAGE
from exporter.cloud.models import SessionPage
from exporter.fleet import INIT_FAIL, LIVE_STATES, Attempts, Fleet
from exporter.polling.cycles import Cycle, FailureLog
from exporter.polling.discovery import ImplausibleError
from exporter.polling.lane import Lane
from exporter.polling.listings import Listing, NotWorthItError, OptionalListing, PageKeys, run_steps
from exporter.polling.loop import PollContext
from exporter.polling.pace import monotonic
from exporter.polling.paging import LoosePaging, Paging, entry_keys
from exporter.polling.source import cycle_seconds
from exporter.wording import counted

CLOCK_SKEW = 15 * 60.0  # seconds that the cloud may be ahead: beyond them, it rejects signatures
ZONES = 14 * 3600.0  # seconds that the zone-less start of a session may be ahead of UTC
FIRST_LOOKBACK = 15 * 60.0  # seconds before its beginning that the first scan of starts reads
FEW_USERS = 500
LONGEST_LOOKBACK = 3600.0  # seconds that a scan of starts catches up on; counted sessions are remembered as long
LISTED_LATE = 60.0  # seconds after its start within which the cloud lists a session at the latest
LISTED_LATE_USUALLY = 5.0  # the same for most sessions
FAILURES_LOOKBACK = 15 * 60.0  # seconds before a failures scan within which the sessions it reads have started
FAILURES_LOOKBACK_SHORT = 2 * 60.0  # the same between two such scans, while there are several pages of failures
SHARE_OF_FAILURES = 1 / 3  # of a pace that failures scans use at most
SHARE_AHEAD = 2 / 3  # the same together with the starts that they catch up on
CHANGED_MEANWHILE = 10  # sessions at most that start or fail while they are listed; the next scan counts them
LONGEST_HOLD = 10.0  # seconds that failures wait at most until the starts of the same moment begin to be counted
LONGEST_CATCH_UP = 60.0  # seconds that they wait at most until these are counted
MANY_MISSED = 3  # failures that the failures scan did not list, one after the other

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class SessionScan(Listing):
    """A scan of all live sessions that started within ``poll.bulk_lookback``."""

    entries = "sessions"
    _limit = SESSIONS_A_PAGE

    def __init__(
        self, context: PollContext, lane: Lane, cycle_ended: Callable[[], None], is_worth_it: Callable[[], bool]
    ) -> None:
        """``is_worth_it`` returns, once the total is known, whether to read on."""
        super().__init__(context, lane, cycle_ended)
        self._is_worth_it = is_worth_it
        self._window = (0.0, 0.0)
        self._ours = 0

    async def _read(self, cycle: Cycle) -> None:
        now, began, fleet = self.context.now(), monotonic(), self.context.fleet
        self._window = (max(now - self.context.poll.bulk_lookback, 0.0), now + CLOCK_SKEW)
        self._ours = 0
        paging = await self._read_pages(cycle, self._page)
        self._pages = paging.pages
        if not self._ours and fleet.has_any_of(paging.seen):
            raise ImplausibleError(
                f"none of {counted(len(paging.seen), 'session')} belongs to a watched user by name, "
                "but users have some of them"
            )
        await run_steps(fleet.scan_ended(paging.seen, began, oldest=self._window[0] + ZONES))

    async def _page(self, offset: int, deadline: float) -> PageKeys:
        context = self.context
        send = partial(context.cloud.list_sessions, *self._window, LIVE_STATES, offset)
        page = await self.lane.request(send, deadline)
        self.total = page.total
        if not self._is_worth_it():
            raise NotWorthItError
        self._ours += context.fleet.scan_page(page.sessions, monotonic(), context.clock)
        return _taken(page, offset, context)


def _taken(page: SessionPage, offset: int, context: PollContext) -> PageKeys:
    """Note the names of server groups on a page, and return the keys of its sessions and the total."""
    context.servers.name((each.session.kind.app_server_group_id, each.group_name) for each in page.sessions)
    return entry_keys((each.session.id for each in page.sessions), offset), page.total


class PublishedAttempts:
    """Starts and failures as they are published: always those of the same moment."""

    def __init__(self, fleet: Fleet, announce: Callable[[], None]) -> None:
        """``announce`` is called when there are failures to publish."""
        self._fleet = fleet
        self._announce = announce
        self.catching_up = False  # whether the starts of the latest failures are being counted
        self._published = Attempts()
        self._unsettled_since: float | None = None

    @property
    def unsettled(self) -> bool:
        """Whether failures have been counted since the last time, so that starts may be missing."""
        return self._fleet.attempts.failures.total != self._published.failures.total

    def settle(self) -> None:
        """Publish everything counted so far, since its starts are known."""
        unsettled = self.unsettled
        self._published, self._unsettled_since = self._fleet.attempts.copy(), None
        if unsettled:
            self._announce()

    def current(self, *, waiting: bool) -> Attempts:
        """Return what to publish. ``waiting`` says whether a scan will soon find the starts that are missing."""
        now = monotonic()
        if self.unsettled and self._unsettled_since is None:
            self._unsettled_since = now
        hold = LONGEST_CATCH_UP if self.catching_up else LONGEST_HOLD
        if not (self.unsettled and waiting and now < (self._unsettled_since or now) + hold):
            self.settle()
        return self._published


class CountingScan(OptionalListing):
    """A scan that counts sessions as started and failed, and changes nothing else."""

    entries = "sessions"
    _limit = SESSIONS_A_PAGE

    def __init__(
        self,
        context: PollContext,
        lane: Lane,
        cycle_ended: Callable[[], None],
        log: FailureLog,
        published: PublishedAttempts,
    ) -> None:
        super().__init__(context, lane, cycle_ended)
        self.log = log
        self.published = published

    @property
    def requests(self) -> int:
        """What the last whole cycle took."""
        return super().requests if self.wanted.is_set() else 0

    async def _count(
        self, cycle: Cycle, since: float, states: Sequence[str] = (), *, ahead: bool = False, tolerance: int = 0
    ) -> Paging:
        """Count the sessions in these states, or in any, that have started since a time of the event loop.

        Up to ``tolerance`` sessions that were not listed do not matter.
        """
        context, clock = self.context, self.context.clock
        skew = CLOCK_SKEW if context.cloud.clock_skew is None else 0.0
        # Without what starts while the pages are read: a listing that grows has to be read twice.
        window = (max(since + clock - skew, 0.0), monotonic() + clock + skew)

        async def request(offset: int, deadline: float) -> PageKeys:
            send = partial(context.cloud.list_sessions, *window, states, offset)
            page = await self.lane.request(send, deadline, ahead=ahead, optional=True)
            context.fleet.listed_by_scan(page.sessions, monotonic(), context.clock)
            return _taken(page, offset, context)

        return await self._read_pages(cycle, request, LoosePaging(self._limit, tolerance))


class StartsScan(CountingScan):
    """A scan of everything that has started since the previous one."""

    complete_since: float | None = None  # when the last scan began, after which sessions may be missing
    _thorough_since: float | None = None

    async def _read(self, cycle: Cycle) -> None:
        began, before = monotonic(), self._thorough_since
        lookback = self._first_lookback if before is None else min(began - before + LISTED_LATE, LONGEST_LOOKBACK)
        paging = await self._count(cycle, began - lookback)
        self._pages = paging.pages
        self._thorough_since = began
        self.complete_since = max(began, self.complete_since or began)  # failures scans may be ahead by now

    @property
    def _first_lookback(self) -> float:
        """Seconds: with few users a whole day, since known sessions tell the time zone of the other operation."""
        few = len(self.context.fleet.members) <= FEW_USERS
        return self.context.poll.bulk_lookback if few else FIRST_LOOKBACK


class FailuresScan(CountingScan):
    """A scan of the sessions that have failed lately. It only makes it faster to see them."""

    incomplete = False  # whether users' own queries find failures that it did not list
    _failure_pages = 0  # of the last whole cycle
    _several_pages = False
    _whole_at: float | None = None  # when the last scan of the whole look-back began
    _missed = 0

    def __init__(self, starts: StartsScan, cycle_ended: Callable[[], None], log: FailureLog) -> None:
        """``starts`` is the scan that finds the other sessions of the same moment."""
        super().__init__(starts.context, starts.lane, cycle_ended, log, starts.published)
        self._starts = starts

    @property
    def interval(self) -> float:
        """The configured interval, or longer if these scans would use too much of the pace."""
        pace = self.lane.pace
        rate = min(self.lane.rate, pace.ceiling / max(pace.lanes, 1))
        return max(
            cycle_seconds(self.configured_interval, self._failure_pages, rate * SHARE_OF_FAILURES),
            cycle_seconds(self.configured_interval, self.requests, rate * SHARE_AHEAD),
        )

    async def _read(self, cycle: Cycle) -> None:
        began, whole = monotonic(), self._whole_at
        short = self._several_pages and whole is not None and began < whole + self.context.poll.interval
        lookback = FAILURES_LOOKBACK_SHORT if short else FAILURES_LOOKBACK
        paging = await self._count(cycle, began - lookback, (INIT_FAIL,), ahead=True, tolerance=CHANGED_MEANWHILE)
        self._pages = self._failure_pages = paging.pages
        if not short:
            self._several_pages, self._whole_at = len(paging.seen) > SESSIONS_A_PAGE, began
        self._check(paging.seen, began)
        if self.published.unsettled:
            self.published.catching_up = True
            try:
                await self._catch_up(cycle)
            finally:
                self.published.catching_up = False
        self.published.settle()

    async def _catch_up(self, cycle: Cycle) -> None:
        """Count what has started by now, so that failures are seen together with their starts and all others."""
        if self._starts.complete_since is not None:
            began = monotonic()
            since = self._starts.complete_since - LISTED_LATE_USUALLY
            paging = await self._count(cycle, since, ahead=True, tolerance=CHANGED_MEANWHILE)
            self._pages += paging.pages
            self._starts.complete_since = began

    def _check(self, listed: set[str], began: float) -> None:
        """Note whether the scan listed the failures that users' own queries found before it."""
        for session_id, found_at in self.context.fleet.take_failed_answers().items():
            if session_id in listed:
                self._missed = 0
            elif found_at < began:
                self._missed += 1
        if (incomplete := self._missed >= MANY_MISSED) and not self.incomplete:
            reason = "users' own queries find failed sessions that ListSessions does not list as InitFail"
            _logger.warning("failures_scan_incomplete", project=self.lane.access.project, reason=reason)
        self.incomplete = incomplete
