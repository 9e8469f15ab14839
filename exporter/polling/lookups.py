"""Finding the ids of users by their names."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from exporter.cloud.client import LIST_USERS, PAGE_SIZE
from exporter.cloud.errors import CloudError, InvalidResponse
from exporter.polling.operation import REFUSED, steady
from exporter.polling.refusals import Paused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.polling.operation import Line, Operation
    from exporter.polling.pacer import Pacer
    from exporter.polling.rounds import Round

NAMES_PER_LOOKUP = 50
"""Names in one question for ids: a query of a few kB at most."""

MAX_LOOKUP_PAGES = 50
"""A cloud that goes on paging beyond this is not believed."""


class Lookups:
    """Looks up, a few names a call, the ids that are not known yet; whom the cloud does not find is missing."""

    def __init__(self, line: Line, pacer: Pacer) -> None:
        self._line = line
        self.pacer = pacer

    async def look_up(self, operation: Operation, round_: Round, deadline: float) -> None:
        """Before a round of an operation that needs ids; who has none in the end is entered into the round."""
        unknown = [member for member in self._line.fleet.members if member.id is None]
        for start in range(0, len(unknown), NAMES_PER_LOOKUP):
            members = unknown[start : start + NAMES_PER_LOOKUP]
            try:
                ids = await self._find_ids([member.name for member in members], operation, deadline)
            except Paused:
                round_.failed[REFUSED] += len(members)
                continue
            except CloudError as error:
                operation.failed(round_, error, len(members))
                continue
            for member in members:
                if found := ids.get(member.name):
                    self._line.fleet.found(member, found)
                else:
                    self._line.fleet.account_answered(member, None, steady())
                    round_.answered += 1

    async def _find_ids(self, names: Sequence[str], operation: Operation, deadline: float) -> dict[str, str]:
        """Ids by name, of exactly these names, whatever else the cloud finds."""
        found: dict[str, str] = {}
        seen = 0
        for _ in range(MAX_LOOKUP_PAGES):
            await self._line.calls.admit(self.pacer)
            ask = partial(self._line.cloud.list_users, names, seen)
            page = await self._line.calls.make(ask, self.pacer, operation.log, deadline)
            users = page.users or ()
            found |= {name: user.id for user in users if (name := user.user_name) and name in names and user.id}
            seen += len(users)
            whole = seen >= page.total_count if page.total_count is not None else len(users) < PAGE_SIZE
            if whole or not users:
                return found
        raise InvalidResponse(LIST_USERS, "invalid_response", detail=f"more than {MAX_LOOKUP_PAGES} pages")
