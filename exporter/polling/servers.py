"""The listings of the servers that sessions run on, and of their groups."""

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from exporter.cloud.client import SERVERS_A_PAGE
from exporter.cloud.models import Server, ServerGroup
from exporter.polling.cycles import Cycle
from exporter.polling.lane import Lane
from exporter.polling.listings import OptionalListing, PageKeys
from exporter.polling.loop import Cloud, PollContext
from exporter.polling.pace import monotonic
from exporter.polling.paging import entry_keys


class _Entry(Protocol):
    @property
    def id(self) -> str | None: ...


E = TypeVar("E", bound=_Entry)


class Inventory(OptionalListing, Generic[E]):
    """A listing of servers or of server groups."""

    _limit = SERVERS_A_PAGE

    def __init__(
        self,
        context: PollContext,
        lane: Lane,
        cycle_ended: Callable[[], None],
        query: Callable[[Cloud, int], Awaitable[tuple[Sequence[E], int | None]]],
        apply: Callable[[Iterable[E] | None], None],
    ) -> None:
        """``query`` returns the page at an offset and the total, ``apply`` takes a whole listing, or None if stale."""
        super().__init__(context, lane, cycle_ended)
        self._query = query
        self._apply = apply
        self._listed_at = -math.inf

    async def _read(self, cycle: Cycle) -> None:
        found: dict[str, E] = {}

        async def request(offset: int, deadline: float) -> PageKeys:
            entries, total = await self.lane.request(
                partial(self._query, self.context.cloud, offset), deadline, optional=True
            )
            keys = entry_keys((entry.id for entry in entries), offset)
            found.update(zip(keys, entries, strict=True))
            return keys, total

        self._pages = (await self._read_pages(cycle, request)).pages
        self._apply(found.values())
        self._listed_at = monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last whole listing; infinity before the first one."""
        return monotonic() - self._listed_at

    def expire(self) -> None:
        """Let go of what the last whole listing reported if it is stale."""
        if self.age > self.stale_after:
            self._apply(None)


def servers(context: PollContext, lane: Lane, cycle_ended: Callable[[], None]) -> Inventory[Server]:
    """Return the listing of servers."""
    apply = context.servers.servers_listed
    listing = Inventory(context, lane, cycle_ended, lambda cloud, offset: cloud.list_servers(offset), apply)
    listing.entries = "servers"
    return listing


def server_groups(context: PollContext, lane: Lane, cycle_ended: Callable[[], None]) -> Inventory[ServerGroup]:
    """Return the listing of server groups."""
    apply = context.servers.groups_listed
    listing = Inventory(context, lane, cycle_ended, lambda cloud, offset: cloud.list_server_groups(offset), apply)
    listing.entries = "groups"
    return listing
