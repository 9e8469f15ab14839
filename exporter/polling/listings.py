"""Listings of all users or sessions, read page by page, cycle after cycle."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from exporter.cloud.client import PAGE_SIZE, SESSIONS_A_PAGE
from exporter.cloud.errors import CloudError, InvalidResponse, Refused, Unreachable
from exporter.cloud.models import User
from exporter.fleet import LIVE_STATES
from exporter.polling.cycles import Cycle
from exporter.polling.gate import Paused
from exporter.polling.lane import Lane
from exporter.polling.loop import CycleLoop, PollContext
from exporter.polling.pace import monotonic
from exporter.polling.paging import Paging, TornError

USERS_A_PAGE = 1000  # the reference names no maximum; PAGE_SIZE if the cloud has one
NAMES_PER_LOOKUP = 50  # in one request for ids: a query of a few kB at most
CLOCK_SKEW = 15 * 60.0  # seconds that the cloud may be ahead: beyond them, it rejects signatures
ZONES = 14 * 3600.0  # seconds that the zone-less start of a session may be ahead of UTC
TOO_LARGE = ("400", "invalid_response", "timeout")  # outcomes of a page that is too large for the cloud


class NotWorthItError(Exception):
    """Reading on would take more requests than polling each user."""


class ForeignError(Exception):
    """The listing names other users than the configured ones for the sessions that these have."""


async def run_steps(steps: Iterator[None]) -> None:
    """Run steps with a chance for other tasks after each."""
    for _ in steps:
        await asyncio.sleep(0)


async def look_up_ids(context: PollContext, lane: Lane, deadline: float) -> tuple[int, CloudError | None]:
    """Find the ids of the users without one, and note those that the cloud does not know.

    Return how many users are unknown to the cloud, and the first failure.

    Raises:
        Paused: a pause for rejected credentials is in effect.
    """
    unknown, failure = 0, None
    members = [member for member in context.fleet.members if member.id is None]
    for start in range(0, len(members), NAMES_PER_LOOKUP):
        part = members[start : start + NAMES_PER_LOOKUP]
        try:
            ids = await _find_ids([member.name for member in part], context, lane, deadline)
        except CloudError as error:
            failure = failure or error
            continue
        for member in part:
            if found := ids.get(member.name):
                context.fleet.found(member, found)
            else:
                context.fleet.account_answered(member, None, monotonic())
                unknown += 1
    return unknown, failure


async def _find_ids(names: Sequence[str], context: PollContext, lane: Lane, deadline: float) -> dict[str, str]:
    """Return ids by name, of these names and perhaps of others."""
    found: dict[str, str] = {}
    paging = Paging(PAGE_SIZE)
    while not (paging.done or found.keys() >= set(names)):
        page = await lane.request(partial(context.cloud.list_users, names, paging.offset), deadline)
        users = page.users or ()
        found |= {user.user_name: user.id for user in users if user.user_name and user.id}
        try:
            paging.take(_keys(users, paging.offset), page.total_count)
        except TornError as error:
            raise InvalidResponse(lane.operation, "invalid_response", detail=str(error)) from error
    return found


def _keys(users: Sequence[User], offset: int) -> list[str]:
    return [user.id or user.user_name or f"at {offset + n}" for n, user in enumerate(users)]


class Listing(CycleLoop):
    """One listing of everything, read again and again."""

    def __init__(self, context: PollContext, lane: Lane, cycle_ended: Callable[[], None]) -> None:
        super().__init__(context, lane, cycle_ended)
        self.total: int | None = None  # entries of the whole listing by the last page; None before that
        self._pages = 0
        self._pauses_before = 0.0

    @property
    def works(self) -> bool:
        """Whether the last cycle read the whole listing."""
        last = self.cycles.last
        return last is not None and not last.failed

    @property
    def requests(self) -> int:
        """What the last whole cycle took. The total that the cloud names is not trusted until it was seen."""
        return self._pages

    async def _run_cycle(self, cycle: Cycle) -> None:
        """Read the whole listing, and once more if its pages did not fit together."""
        cycle.total = max(self.total or 0, 1)
        self._pauses_before = self.lane.retry_pauses
        try:
            try:
                await self._read(cycle)
            except TornError:
                await self._read(cycle)
        except NotWorthItError:
            pass
        except (TornError, ForeignError) as error:
            reason = InvalidResponse(self.lane.operation, "invalid_response", detail=str(error))
            self._fail(cycle, reason, cycle.total)
        except Paused:
            self._fail(cycle, self.lane.access.failure, cycle.total - cycle.answered)
        except CloudError as error:
            self._fail(cycle, error, cycle.total - cycle.answered)

    async def _read(self, cycle: Cycle) -> None:
        paging = Paging(self._limit)
        began = monotonic()
        self._begin()
        while not paging.done:
            deadline = monotonic() + self.configured_interval
            keys, total = await self._page(paging.offset, deadline)
            paging.take(keys, total)
            cycle.answered = len(paging.seen)
            cycle.total = self.total = max(total or 0, cycle.answered)
            self._note_answer(self.lane.retry_pauses - self._pauses_before)
        self._pages = paging.pages
        await run_steps(self._whole(paging.seen, began))

    @property
    @abstractmethod
    def _limit(self) -> int:
        """Entries requested per page."""

    def _begin(self) -> None:
        """Begin reading from the first page."""

    @abstractmethod
    async def _page(self, offset: int, deadline: float) -> tuple[Sequence[str], int | None]:
        """Request a page and take it in. Return the keys of its entries, and how many there are in all."""

    @abstractmethod
    def _whole(self, seen: set[str], began: float) -> Iterator[None]:
        """Take in, in steps, that the entries with these keys are the whole listing since ``began``."""


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

    def _begin(self) -> None:
        now = self.context.now()
        self._window = (max(now - self.context.poll.bulk_lookback, 0.0), now + CLOCK_SKEW)
        self._ours = 0

    async def _page(self, offset: int, deadline: float) -> tuple[Sequence[str], int | None]:
        context = self.context
        send = partial(context.cloud.list_sessions, *self._window, LIVE_STATES, offset)
        page = await self.lane.request(send, deadline)
        self.total = page.total
        if not self._is_worth_it():
            raise NotWorthItError
        self._ours += context.fleet.scan_page(page.sessions, monotonic())
        return [s.id or f"at {offset + n}" for n, (_, s) in enumerate(page.sessions)], page.total

    def _whole(self, seen: set[str], began: float) -> Iterator[None]:
        fleet = self.context.fleet
        if not self._ours and fleet.has_any_of(seen):
            raise ForeignError(
                f"none of {len(seen)} sessions belongs to a configured user by name, but users have some of them"
            )
        return fleet.scan_ended(seen, began, oldest=self._window[0] + ZONES)


class UserListing(Listing):
    """The listing of all users, for their ids and flags."""

    def __init__(self, context: PollContext, lane: Lane, cycle_ended: Callable[[], None]) -> None:
        super().__init__(context, lane, cycle_ended)
        self._page_size = USERS_A_PAGE

    @property
    def _limit(self) -> int:
        return self._page_size

    async def _page(self, offset: int, deadline: float) -> tuple[Sequence[str], int | None]:
        context, limit = self.context, self._page_size
        try:
            page = await self.lane.request(partial(context.cloud.list_users, (), offset, limit), deadline)
        except (Refused, InvalidResponse, Unreachable) as error:
            if limit == PAGE_SIZE or error.outcome not in TOO_LARGE or error.operation != self.lane.operation:
                raise
            self._page_size = PAGE_SIZE
            raise TornError("the cloud rejects such large pages") from error
        users = page.users or ()
        context.fleet.accounts_listed(users, monotonic())
        return _keys(users, offset), page.total_count

    def _whole(self, seen: set[str], began: float) -> Iterator[None]:  # noqa: ARG002 - listed users have been noted
        return self.context.fleet.accounts_not_listed(began, monotonic())
