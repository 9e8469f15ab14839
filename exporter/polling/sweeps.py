"""Sweeps: one listing of everybody, read page by page, round after round."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from exporter.cloud.client import LIST_SESSIONS, LIST_USERS, PAGE_SIZE, SESSIONS_A_PAGE
from exporter.cloud.errors import CloudError, InvalidResponse, Refused
from exporter.fleet import LIVE_STATES
from exporter.polling.operation import REFUSED, steady
from exporter.polling.paging import Paging, TornError
from exporter.polling.refusals import Paused
from exporter.polling.rounds import Round

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.polling.operation import Line, Operation
    from exporter.polling.pacer import Pacer

OVERLAP = 10
"""Entries of a page that have been on the page before."""

USERS_A_PAGE = 1000
"""Entries asked for on a page of the list of all users; the reference knows no most. If the cloud does: PAGE_SIZE."""

_SKEW = 60.0  # seconds that the cloud's clock may be ahead of ours without new sessions being swept later for that
_BAD_REQUEST = 400


class NotWorthItError(Exception):
    """To read on would take more calls than to ask for each user."""


class Sweeps(ABC):
    """Sweeps of one listing, for as long as :meth:`run` runs."""

    operation: Operation

    def __init__(self, line: Line, ended: Callable[[], None]) -> None:
        """``ended`` is called whenever a sweep has ended, well or not."""
        self.total: int | None = None
        """Entries of the whole listing, as last told; None before that."""
        self._line = line
        self._ended = ended

    @property
    def works(self) -> bool:
        """Whether the last sweep has brought all that it is for."""
        last = self.operation.rounds.last
        return last is not None and not last.failed

    def go_on_from(self, before: Sweeps, rate_limit: float) -> None:
        """Take over what sweeps of a poller that ends have come to."""
        self.operation.go_on_from(before.operation, rate_limit)
        self.total = before.total

    async def run(self) -> None:
        """Sweep until cancelled."""
        operation, line = self.operation, self._line
        while True:
            interval = operation.interval
            next_round = steady() + interval
            operation.rounds.next_at = line.now() + interval
            await self._sweep(next_round)
            self._ended()
            if line.refusals.pausing:
                operation.rounds.next_at = line.now() + line.refusals.rest
                await line.refusals.wait()
            else:
                await asyncio.sleep(next_round - steady())

    async def _sweep(self, deadline: float) -> None:
        """Read the whole listing, and once more if it was torn."""
        operation = self.operation
        round_ = operation.rounds.current = Round(self.total or 0, self._line.now(), self._entries)
        began = steady()
        try:
            try:
                await self._read(round_, deadline)
            except TornError:
                await self._read(round_, deadline)
        except NotWorthItError:
            pass
        except TornError as error:
            operation.failed(
                round_, InvalidResponse(operation.name, "invalid_response", detail=str(error)), max(round_.total, 1)
            )
        except Paused:
            round_.failed[REFUSED] += max(round_.total - round_.answered, 1)
        except CloudError as error:
            operation.failed(round_, error, max(round_.total - round_.answered, 1))
        duration = steady() - began
        operation.rounds.finish(duration, self._line.now())
        operation.log.finished(round_, duration)

    async def _read(self, round_: Round, deadline: float) -> None:
        paging = Paging(self._limit, OVERLAP)
        began = steady()
        self._begin()
        while not paging.done:
            await self._line.calls.admit(self.operation.pacer)
            keys, total = await self._line.calls.make(
                lambda: self._page(paging.offset), self.operation.pacer, self.operation.log, deadline
            )
            paging.take(keys, total)
            round_.answered = len(paging.seen)
            round_.total = self.total = max(total or 0, round_.answered)
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
        return math.ceil((self.total or 0) / (self._limit - OVERLAP))

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
        self._near_the_edge: set[str] = set()
        self._window = (0.0, 0.0)

    def _begin(self) -> None:
        now = self._line.now()
        self._near_the_edge = set()
        self._window = (now - self._line.poll.bulk_lookback, now + _SKEW)

    async def _page(self, offset: int) -> tuple[Sequence[str], int | None]:
        begin, end = self._window
        page = await self._line.cloud.list_sessions(begin, end, LIVE_STATES, offset)
        self.total = page.total
        if not self._worth_it():
            raise NotWorthItError
        self._line.fleet.sessions_sighted(((o.user_name, session) for o, session in page.sessions), steady())
        edge = begin + 2 * self.operation.interval + _SKEW
        self._near_the_edge |= {s.id for o, s in page.sessions if s.id and (o.started is None or o.started < edge)}
        return [s.id or f"at {offset + n}" for n, (_, s) in enumerate(page.sessions)], page.total

    def _whole(self, seen: set[str], began: float) -> None:
        self._line.fleet.sweep_ended(seen, self._near_the_edge, began)


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
        except Refused as error:
            if error.status != _BAD_REQUEST or self._page_size == PAGE_SIZE:
                raise
            self._page_size = PAGE_SIZE
            raise TornError("so large a page is not to be had") from error
        users = page.users or ()
        self._line.fleet.accounts_listed(users, steady())
        return [user.id or user.user_name or f"at {offset + n}" for n, user in enumerate(users)], page.total_count

    def _whole(self, seen: set[str], began: float) -> None:  # noqa: ARG002 - who was seen has been answered
        self._line.fleet.accounts_not_listed(began, steady())
