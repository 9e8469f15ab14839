"""Listings of all users or sessions, read page by page, cycle after cycle."""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from msgspec.structs import replace

from exporter.cloud.client import PAGE_SIZE
from exporter.cloud.errors import CloudError, InvalidResponse, Refused, Unreachable
from exporter.cloud.models import User
from exporter.config.names import folded
from exporter.fleet import in_steps
from exporter.polling.cycles import Cycle
from exporter.polling.discovery import Filters, ImplausibleError
from exporter.polling.gate import Paused
from exporter.polling.lane import Lane
from exporter.polling.loop import CycleLoop, PollContext
from exporter.polling.pace import monotonic
from exporter.polling.paging import Paging, TornError, entry_keys
from exporter.wording import counted

USERS_A_PAGE = 1000  # the reference names no maximum; PAGE_SIZE if the cloud has one
NAMES_PER_LOOKUP = 50  # in one request for ids: a query of a few kB at most
PageKeys = tuple[Sequence[str], int | None]  # the keys of a page's entries, and how many entries there are in all
REJECTED = "401"
UNAVAILABLE = {REJECTED, "403", "404"}  # outcomes of an operation that the account may not use, or the region lacks
RETRY_UNAVAILABLE = 3600.0  # seconds
RETRY_REJECTED = 300.0  # seconds
TOO_LARGE = ("400", "invalid_response", "timeout")  # outcomes of a page that is too large for the cloud


class NotWorthItError(Exception):
    """Reading on would take more requests than polling each user."""


async def run_steps(steps: Iterable[None]) -> None:
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
            users = await _find_users([member.user_name for member in part], context, lane, deadline)
        except CloudError as error:
            failure = failure or error
            continue
        context.fleet.names_listed(part, users, monotonic())
        unknown += sum(member.fresh.without_account for member in part)
    return unknown, failure


async def _find_users(names: Sequence[str], context: PollContext, lane: Lane, deadline: float) -> list[User]:
    """Return the users with these names in any case, and perhaps others."""
    wanted = set(map(folded, names))
    found: list[User] = []
    paging = Paging(PAGE_SIZE)
    while not (paging.done or {folded(user.user_name or "") for user in found} >= wanted):
        page = await lane.request(partial(context.cloud.list_users, names, paging.offset), deadline)
        users = page.users or ()
        found += users
        try:
            paging.take(_keys(users, paging.offset), page.total_count)
        except TornError as error:
            raise InvalidResponse(lane.operation, "invalid_response", detail=str(error)) from error
    return found


def _keys(users: Sequence[User], offset: int) -> list[str]:
    return entry_keys((user.id or user.user_name for user in users), offset)


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
                cycle.answered = 0
                await self._read(cycle)
        except NotWorthItError:
            pass
        except (TornError, ImplausibleError) as error:
            reason = InvalidResponse(self.lane.operation, "invalid_response", detail=str(error))
            self._fail(cycle, reason, cycle.total)
        except Paused:
            self._fail(cycle, self.lane.access.failure, cycle.total - cycle.answered)
        except CloudError as error:
            self._fail(cycle, error, cycle.total - cycle.answered)

    @abstractmethod
    async def _read(self, cycle: Cycle) -> None:
        """Read everything once, and take it in."""

    async def _read_pages(
        self, cycle: Cycle, request: Callable[[int, float], Awaitable[PageKeys]], paging: Paging | None = None
    ) -> Paging:
        """Read all pages. ``request`` requests the one at an offset until a deadline, and takes it in."""
        paging = paging or Paging(self._limit)
        read_before = cycle.answered
        while not paging.done:
            deadline = monotonic() + self.configured_interval
            keys, total = await request(paging.offset, deadline)
            paging.take(keys, total)
            cycle.answered = read_before + len(paging.seen)
            cycle.total = self.total = read_before + max(total or 0, len(paging.seen))
            self._note_answer(self.lane.retry_pauses - self._pauses_before)
        return paging

    @property
    @abstractmethod
    def _limit(self) -> int:
        """Entries requested per page."""


class OptionalListing(Listing):
    """A listing that not every account permits or region has. After a 403 or 404, it is tried again once an hour.

    After a 401 it is tried again after some minutes, since other operations show whether the credentials are right.
    """

    @property
    def permitted(self) -> bool:
        """Whether a first cycle has ended, and the last one not with such an answer."""
        last = self.cycles.last
        return last is not None and UNAVAILABLE.isdisjoint(last.failed)

    async def _may_begin(self) -> None:
        await self.lane.access.wait_until_verified()  # other operations try the credentials: rejections lock the key

    async def _rest(self, *, first_answers: bool) -> None:
        if self.permitted or self.lane.access.paused:
            await super()._rest(first_answers=first_answers)
            return
        rejected = self.cycles.last is not None and REJECTED in self.cycles.last.failed
        pause = RETRY_REJECTED if rejected else RETRY_UNAVAILABLE
        self.cycles.next_at = self.context.now() + pause
        while not self._early and (end := self._started + pause) > monotonic():
            await self._sleep_until(end)


class UserListing(Listing):
    """The listing of all users for their ids and flags, and the listings of discovery."""

    def __init__(
        self,
        context: PollContext,
        lane: Lane,
        cycle_ended: Callable[[], None],
        users_found: Callable[[], Awaitable[None]],
    ) -> None:
        """``users_found`` watches the users of discovery. It is called when these have changed."""
        super().__init__(context, lane, cycle_ended)
        self._users_found = users_found
        self._page_size = USERS_A_PAGE
        self._listings: tuple[Filters, ...] = ()  # of the present cycle
        self._unclear: list[User] = []

    @property
    def _limit(self) -> int:
        return self._page_size

    async def _read(self, cycle: Cycle) -> None:
        discovery, began, pages = self.context.discovery, monotonic(), 0
        self._listings, self._unclear = discovery.listings, []
        found: dict[str, User] = {}
        for filters in self._listings:
            users: dict[str, User] = {}
            paging = await self._read_pages(cycle, partial(self._page, filters, users, began))
            pages += paging.pages
            if filters not in discovery.entries:
                continue
            if paging.missing:
                raise TornError(f"the listing lacks {counted(paging.missing, 'user')} that the cloud counts")
            found |= _in_domain(users, dict(filters).get("domain"))
        self._pages = pages
        if discovery.entries and discovery.listed(tuple(found.values())):
            await self._users_found()
            for part in in_steps(found.values()):
                self._take(part, began)
                await asyncio.sleep(0)
        self.context.fleet.accounts_distinguished(self._unclear, monotonic())
        await run_steps(self.context.fleet.accounts_not_listed(began, monotonic()))

    async def _page(
        self, filters: Filters, into: dict[str, User], began: float, offset: int, deadline: float
    ) -> PageKeys:
        cloud, limit = self.context.cloud, self._page_size
        try:
            page = await self.lane.request(partial(cloud.list_users, (), offset, limit, filters), deadline)
        except (Refused, InvalidResponse, Unreachable) as error:
            if limit == PAGE_SIZE or error.outcome not in TOO_LARGE or error.operation != self.lane.operation:
                raise
            self._page_size = PAGE_SIZE
            raise TornError("the cloud rejects such large pages") from error
        if self._listings != self.context.discovery.listings:
            raise TornError("other users are to be discovered")
        users = page.users or ()
        keys = _keys(users, offset)
        into |= zip(keys, users, strict=True)
        self._take(users, began)
        return keys, page.total_count

    def _fail(self, cycle: Cycle, error: CloudError | None, entries: int) -> None:
        super()._fail(cycle, error, entries)
        self.context.discovery.successful = False

    def _take(self, users: Sequence[User], began: float) -> None:
        self._unclear += self.context.fleet.accounts_listed(users, monotonic(), began)


def _in_domain(users: dict[str, User], domain: str | None) -> dict[str, User]:
    """Return the users with the domain that they were listed by, if they name none themselves."""
    return {key: user if user.domain or not domain else replace(user, domain=domain) for key, user in users.items()}
