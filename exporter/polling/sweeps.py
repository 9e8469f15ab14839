"""Sweeps: one listing of everybody, read page by page, round after round."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from exporter.cloud.client import LIST_SESSIONS, LIST_USERS, PAGE_SIZE, SESSIONS_A_PAGE
from exporter.cloud.errors import CloudError, InvalidResponse, Refused, Unreachable
from exporter.fleet import LIVE_STATES
from exporter.polling.operation import REFUSED, steady
from exporter.polling.paging import Paging, TornError
from exporter.polling.refusals import Paused
from exporter.polling.rounds import Round

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.polling.operation import Line, Operation
    from exporter.polling.pacer import Pacer

USERS_A_PAGE = 1000
"""Entries asked for on a page of the list of all users; the reference knows no most. If the cloud does: PAGE_SIZE."""

CLOCK_SKEW = 15 * 60.0
"""Seconds that the cloud's clock may be ahead of ours, or it would refuse signatures; sessions start by its clock."""

ZONES = 14 * 3600.0
"""Seconds that a session's time, which carries no zone, may be ahead of UTC."""

TOO_LARGE = ("400", "invalid_response", "timeout")
"""How a page may fail because it is too large."""


class NotWorthItError(Exception):
    """To read on would take more calls than to ask for each user."""


class ForeignError(Exception):
    """Sessions are listed under other names than the configured users have."""


class Sweeps(ABC):
    """Sweeps of one listing, for as long as :meth:`run` runs."""

    operation: Operation

    def __init__(self, line: Line, ended: Callable[[], None]) -> None:
        """``ended`` is called whenever a sweep has ended, well or not."""
        self.total: int | None = None
        """Entries of the whole listing, as last told; None before that."""
        self._line = line
        self._ended = ended
        self._pages = 0

    @property
    def works(self) -> bool:
        """Whether the last sweep has brought all that it is for."""
        last = self.operation.rounds.last
        return last is not None and not last.failed

    def go_on_from(self, before: Sweeps, rate_limit: float) -> None:
        """Take over what sweeps of a poller that ends have come to."""
        self.operation.go_on_from(before.operation, rate_limit)
        self.total, self._pages = before.total, before._pages

    async def run(self) -> None:
        """Sweep until cancelled."""
        operation, line = self.operation, self._line
        while True:
            interval = operation.interval
            next_round = steady() + interval
            operation.rounds.next_at = line.now() + interval
            await self._sweep()
            self._ended()
            if not await line.paused(operation):
                await asyncio.sleep(next_round - steady())

    async def _sweep(self) -> None:
        """Read the whole listing, and once more if it was torn."""
        operation = self.operation
        round_ = operation.rounds.current = Round(max(self.total or 0, 1), self._line.now(), self._entries)
        began = steady()
        try:
            try:
                await self._read(round_)
            except TornError:
                await self._read(round_)
        except NotWorthItError:
            pass
        except (TornError, ForeignError) as error:
            reason = InvalidResponse(operation.name, "invalid_response", detail=str(error))
            operation.failed(round_, reason, max(round_.total, 1))
        except Paused:
            round_.failed[REFUSED] += max(round_.total - round_.answered, 1)
        except CloudError as error:
            operation.failed(round_, error, max(round_.total - round_.answered, 1))
        duration = steady() - began
        operation.rounds.finish(duration, self._line.now())
        operation.log.finished(round_, duration)

    async def _read(self, round_: Round) -> None:
        operation, calls = self.operation, self._line.calls
        paging = Paging(self._limit)
        began = steady()
        self._begin()
        while not paging.done:
            await calls.admit(operation.pacer)
            deadline = steady() + operation.configured_interval
            keys, total = await calls.make(lambda: self._page(paging.offset), operation.pacer, operation.log, deadline)
            paging.take(keys, total)
            round_.answered = len(paging.seen)
            round_.total = self.total = max(total or 0, round_.answered)
        self._pages = paging.pages
        self._whole(paging.seen, began)

    @property
    @abstractmethod
    def _entries(self) -> str:
        """What the listing is of."""

    @property
    @abstractmethod
    def _limit(self) -> int:
        """Entries on a page."""

    def _calls(self) -> int:
        """As many as the last whole sweep took: what the cloud says of its total is not believed before it is seen."""
        return self._pages

    @abstractmethod
    def _begin(self) -> None:
        """A reading of the listing begins."""

    @abstractmethod
    async def _page(self, offset: int) -> tuple[Sequence[str], int | None]:
        """Ask for a page and take it in: the keys of its entries, and how many there are in all."""

    @abstractmethod
    def _whole(self, seen: set[str], began: float) -> None:
        """A reading that began at this time has seen the whole listing."""


class SessionSweeps(Sweeps):
    """Of all live sessions that started within ``poll.bulk_lookback``."""

    _entries = "sessions"
    _limit = SESSIONS_A_PAGE

    def __init__(self, line: Line, ended: Callable[[], None], worth_it: Callable[[], bool]) -> None:
        """``worth_it`` tells, once the total is known, whether to read on."""
        super().__init__(line, ended)
        self._worth_it = worth_it
        self.operation = line.operation(LIST_SESSIONS, line.poll.interval, self._calls, line.pacer())
        self._window = (0.0, 0.0)
        self._ours = 0

    def _begin(self) -> None:
        now = self._line.now()
        self._window = (now - self._line.poll.bulk_lookback, now + CLOCK_SKEW)
        self._ours = 0

    async def _page(self, offset: int) -> tuple[Sequence[str], int | None]:
        page = await self._line.cloud.list_sessions(*self._window, LIVE_STATES, offset)
        self.total = page.total
        if not self._worth_it():
            raise NotWorthItError
        self._ours += self._line.fleet.sessions_sighted(page.sessions, steady())
        return [s.id or f"at {offset + n}" for n, (_, s) in enumerate(page.sessions)], page.total

    def _whole(self, seen: set[str], began: float) -> None:
        fleet = self._line.fleet
        if not self._ours and fleet.has_any_of(seen):
            raise ForeignError(
                f"none of {len(seen)} sessions is told to be a configured user's, though users have some of them"
            )
        fleet.sweep_ended(seen, began, oldest=self._window[0] + ZONES)


class Directory(Sweeps):
    """Of all users, for their ids and flags."""

    _entries = "users"

    def __init__(self, line: Line, pacer: Pacer, ended: Callable[[], None]) -> None:
        """``pacer`` paces ListUsers, which is asked for single names as well."""
        super().__init__(line, ended)
        self._page_size = USERS_A_PAGE
        self.operation = line.operation(LIST_USERS, line.poll.user_interval, self._calls, pacer)

    @property
    def _limit(self) -> int:
        return self._page_size

    def _begin(self) -> None:
        pass

    async def _page(self, offset: int) -> tuple[Sequence[str], int | None]:
        try:
            page = await self._line.cloud.list_users((), offset, self._page_size)
        except (Refused, InvalidResponse, Unreachable) as error:
            if self._page_size == PAGE_SIZE or error.outcome not in TOO_LARGE:
                raise
            self._page_size = PAGE_SIZE
            raise TornError("so large a page is not to be had") from error
        users = page.users or ()
        self._line.fleet.accounts_listed(users, steady())
        return [user.id or user.user_name or f"at {offset + n}" for n, user in enumerate(users)], page.total_count

    def _whole(self, seen: set[str], began: float) -> None:  # noqa: ARG002 - who was seen has been answered
        self._line.fleet.accounts_not_listed(began, steady())
