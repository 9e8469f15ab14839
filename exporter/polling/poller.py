"""Rounds over the users of one project: when to ask, how fast, and when an answer is stale."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from exporter.cloud.client import LIST_SESSION_BY_USER_NAME, LIST_USER_DETAIL, LIST_USERS, PAGE_SIZE
from exporter.cloud.errors import CloudError, InvalidResponse, NotFound
from exporter.polling.calls import Calls
from exporter.polling.failure_log import FailureLog
from exporter.polling.pacer import Pacer
from exporter.polling.rate import Rate
from exporter.polling.refusals import Paused
from exporter.polling.rounds import Round, Rounds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from exporter import config
    from exporter.cloud.models import Session, UserDetail, UserPage
    from exporter.fleet import Answer, Fleet, Member
    from exporter.polling.refusals import Refusals

STALE_ROUNDS = 3
"""An answer counts for so many of its rounds, unless the configuration says how long."""

REFUSED = "401"
"""What those users fail with that are not asked, because the cloud refuses the credentials."""

NAMES_PER_LOOKUP = 50
"""Names in one question for ids: a query of a few kB at most."""

MAX_LOOKUP_PAGES = 50
"""A cloud that goes on paging beyond this is not believed."""


class Cloud(Protocol):
    """The operations that the poller asks for; each is one call and raises CloudError."""

    async def list_session_by_user_name(self, user_name: str) -> tuple[Session, ...]:
        """The sessions of one user."""

    async def list_user_detail(self, user_id: str) -> UserDetail:
        """The flags of one account."""

    async def list_users(self, user_names: Sequence[str], offset: int) -> UserPage:
        """A page of the users that the cloud finds for these names."""


@dataclass
class Operation:
    """One operation that every user is asked for, round after round."""

    name: str
    configured_interval: float
    members: Callable[[Round, float], Awaitable[Sequence[Member]]]
    """Whom to ask in a round, found out before its deadline; those that cannot be asked it enters into the round."""
    ask: Callable[[Member], Awaitable[None]]
    answer: Callable[[Member], Answer[object] | None]
    """The last answer about somebody."""
    log: FailureLog
    pacer: Pacer
    rounds: Rounds = field(default_factory=Rounds)


class Poller:
    """Polls one project's users for as long as :meth:`run` runs.

    Steady times are the event loop's; ``now`` gives the wall clock's, in seconds since 1970.
    """

    def __init__(
        self, fleet: Fleet, cloud: Cloud, poll: config.Poll, now: Callable[[], float], refusals: Refusals
    ) -> None:
        self.refusals = refusals
        self._fleet = fleet
        self._cloud = cloud
        self._poll = poll
        self._now = now
        self._calls = Calls(refusals, poll.concurrency)
        self._lookups = Pacer(Rate(poll.rate_limit))
        self.sessions = Operation(
            LIST_SESSION_BY_USER_NAME,
            poll.interval,
            self._everyone,
            self._ask_sessions,
            lambda member: member.sessions,
            FailureLog(refusals.project, LIST_SESSION_BY_USER_NAME, now),
            Pacer(Rate(poll.rate_limit)),
        )
        self.accounts = Operation(
            LIST_USER_DETAIL,
            poll.user_interval,
            self._everyone_with_id,
            self._ask_account,
            lambda member: member.account,
            FailureLog(refusals.project, LIST_USER_DETAIL, now),
            Pacer(Rate(poll.rate_limit)),
        )
        self.operations = (self.sessions, self.accounts)

    def go_on_from(self, before: Poller) -> None:
        """Take over the rounds and the pace of a poller that ends, with what it has learned of the cloud."""
        self.refusals.go_on_from(before.refusals)
        self._lookups = before._lookups.going_on(self._poll.rate_limit)
        for operation, earlier in zip(self.operations, before.operations, strict=True):
            operation.log, operation.rounds = earlier.log, earlier.rounds
            operation.pacer = earlier.pacer.going_on(self._poll.rate_limit)

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as group:
            for operation in self.operations:
                group.create_task(self._poll_rounds(operation))

    def interval(self, operation: Operation) -> float:
        """Seconds that a round of this operation takes at its present rate, or the configured ones if longer."""
        return max(operation.configured_interval, len(self._fleet.members) * operation.pacer.rate.spacing)

    def fresh_since(self, operation: Operation) -> float:
        """The time of the oldest answer that still counts."""
        usual = STALE_ROUNDS * self.interval(operation)
        if operation is self.sessions:
            stale_after = self._poll.stale_after or usual
        else:  # flags are asked for more rarely, and must not come and go between two rounds
            stale_after = max(self._poll.stale_after or 0, usual)
        return _steady() - stale_after

    async def _poll_rounds(self, operation: Operation) -> None:
        while True:
            known = operation.rounds.known
            interval = self.interval(operation)
            next_round = _steady() + interval
            operation.rounds.next_at = self._now() + interval
            await self._poll_round(operation, interval / max(len(self._fleet.members), 1), next_round)
            if self.refusals.pausing:
                operation.rounds.next_at = self._now() + self.refusals.rest
                await self.refusals.wait()
            elif known or not operation.rounds.known:  # the first answers of all are followed by the next round at once
                await asyncio.sleep(next_round - _steady())

    async def _poll_round(self, operation: Operation, spacing: float, deadline: float) -> None:
        """Ask everybody, and again whom it is worth before the deadline.

        First come those without an answer, as fast as the rate allows; then, evenly spaced, who has waited longest.
        """
        round_ = operation.rounds.current = Round(users=len(self._fleet.members), started=self._now())
        began = _steady()
        members = await operation.members(round_, deadline)
        longest_waiting = sorted(members, key=lambda member: _answered_at(operation.answer(member)))
        async with asyncio.TaskGroup() as tasks:
            for asked, member in enumerate(longest_waiting):
                try:
                    await self._calls.admit(operation.pacer, spacing if operation.answer(member) else 0.0)
                except Paused:
                    round_.failed[REFUSED] += len(members) - asked
                    break
                tasks.create_task(self._ask(operation, round_, member, deadline))
        duration = _steady() - began
        operation.rounds.finish(duration, self._now())
        operation.log.finished(round_, duration)

    async def _ask(self, operation: Operation, round_: Round, member: Member, deadline: float) -> None:
        try:
            await self._calls.make(lambda: operation.ask(member), operation.pacer, operation.log, deadline)
        except Paused:
            round_.failed[REFUSED] += 1
        except CloudError as error:
            self._failed(operation, round_, error)
        else:
            round_.answered += 1

    def _failed(self, operation: Operation, round_: Round, error: CloudError, users: int = 1) -> None:
        round_.failed[error.outcome] += users
        operation.log.failed(error)

    async def _everyone(self, round_: Round, deadline: float) -> Sequence[Member]:  # noqa: ARG002 - nobody is left out
        return self._fleet.members

    async def _ask_sessions(self, member: Member) -> None:
        try:
            sessions = await self._cloud.list_session_by_user_name(member.name)
        except NotFound:
            sessions = None
        self._fleet.sessions_answered(member, sessions, _steady())

    async def _everyone_with_id(self, round_: Round, deadline: float) -> Sequence[Member]:
        """Find the ids that are not known yet, a few names a call; whom the cloud does not find is missing."""
        unknown = [member for member in self._fleet.members if member.id is None]
        for start in range(0, len(unknown), NAMES_PER_LOOKUP):
            members = unknown[start : start + NAMES_PER_LOOKUP]
            try:
                ids = await self._find_ids([member.name for member in members], deadline)
            except Paused:
                round_.failed[REFUSED] += len(members)
                continue
            except CloudError as error:
                self._failed(self.accounts, round_, error, users=len(members))
                continue
            for member in members:
                member.found_id = ids.get(member.name)
                if member.found_id is None:
                    self._fleet.account_answered(member, None, _steady())
                    round_.answered += 1
        return [member for member in self._fleet.members if member.id is not None]

    async def _find_ids(self, names: Sequence[str], deadline: float) -> dict[str, str]:
        """Ids by name, of exactly these names, whatever else the cloud finds."""
        found: dict[str, str] = {}
        seen = 0
        for _ in range(MAX_LOOKUP_PAGES):
            await self._calls.admit(self._lookups)
            ask = partial(self._cloud.list_users, names, seen)
            page = await self._calls.make(ask, self._lookups, self.accounts.log, deadline)
            users = page.users or ()
            found |= {name: user.id for user in users if (name := user.user_name) and name in names and user.id}
            seen += len(users)
            whole = seen >= page.total_count if page.total_count is not None else len(users) < PAGE_SIZE
            if whole or not users:
                return found
        raise InvalidResponse(LIST_USERS, "invalid_response", detail=f"more than {MAX_LOOKUP_PAGES} pages")

    async def _ask_account(self, member: Member) -> None:
        assert member.id is not None
        try:
            account = await self._cloud.list_user_detail(member.id)
        except NotFound:
            account = None
            member.found_id = None  # the name may have got another id
        self._fleet.account_answered(member, account, _steady())


def _answered_at(answer: Answer[object] | None) -> float:
    return answer.at if answer else -math.inf


def _steady() -> float:
    """Seconds on the event loop's clock."""
    return asyncio.get_running_loop().time()
