"""Rounds of one operation that is asked for one user a call."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from itertools import takewhile
from typing import TYPE_CHECKING

from exporter.cloud.client import LIST_SESSION_BY_USER_NAME, LIST_USER_DETAIL
from exporter.cloud.errors import CloudError, NotFound
from exporter.polling.operation import REFUSED, steady
from exporter.polling.refusals import Paused
from exporter.polling.rounds import Round

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.fleet import Member
    from exporter.polling.lookups import Lookups
    from exporter.polling.operation import Line, Operation


A_STEP = 10_000
"""Users that something is done for without a break: some milliseconds."""


class UserRounds(ABC):
    """Rounds of one operation over all users, for as long as :meth:`run` runs."""

    operation: Operation

    def __init__(self, line: Line) -> None:
        self.wanted = asyncio.Event()
        """Set as long as rounds are to begin."""
        self.wanted.set()
        self.last_answer_at = -math.inf
        self._line = line

    async def run(self) -> None:
        """Ask round after round until cancelled."""
        operation, line = self.operation, self._line
        while True:
            await self.wanted.wait()
            known = operation.rounds.known
            interval = operation.interval
            next_round = steady() + interval
            operation.rounds.next_at = line.now() + interval
            await self._round(interval / max(len(line.fleet.members), 1), next_round)
            if await line.paused(operation):
                continue
            if known or not operation.rounds.known:  # the first answers of all are followed by the next round at once
                await asyncio.sleep(next_round - steady())

    async def _round(self, spacing: float, deadline: float) -> None:
        """Ask everybody, and again whom it is worth before the deadline.

        First come those without an answer, as fast as the rate allows; then, evenly spaced, who has waited longest.
        """
        operation, line = self.operation, self._line
        round_ = operation.rounds.current = Round(len(line.fleet.members), line.now())
        began = steady()
        members = await self._members(round_, deadline)
        longest_waiting = await self._longest_waiting(members)
        async with asyncio.TaskGroup() as tasks:
            for asked, member in enumerate(self._in_turn(round_, longest_waiting)):
                try:
                    await line.calls.admit(operation.pacer, spacing if self._answered_at(member) is not None else 0.0)
                except Paused:
                    round_.failed[REFUSED] += max(len(members) - asked, 0)
                    break
                tasks.create_task(self._ask_for(round_, member, deadline))
        duration = steady() - began
        operation.rounds.finish(duration, line.now())
        operation.log.finished(round_, duration)

    async def _longest_waiting(self, members: Sequence[Member]) -> list[Member]:
        """These, in the order of their answers; others have their turn meanwhile, since there may be many."""
        answered: list[float] = []
        for start in range(0, len(members), A_STEP):
            answered += [_time(self._answered_at(member)) for member in members[start : start + A_STEP]]
            await asyncio.sleep(0)
        order = sorted(range(len(members)), key=answered.__getitem__)  # mostly in order already, which takes little
        await asyncio.sleep(0)
        return [members[place] for place in order]

    async def _ask_for(self, round_: Round, member: Member, deadline: float) -> None:
        operation = self.operation
        try:
            await self._line.calls.make(lambda: self._ask(member), operation.pacer, operation.log, deadline)
        except Paused:
            round_.failed[REFUSED] += 1
        except CloudError as error:
            operation.failed(round_, error)
        else:
            round_.answered += 1
            self.last_answer_at = steady()

    async def _members(self, round_: Round, deadline: float) -> Sequence[Member]:  # noqa: ARG002 - nobody is left out
        """Whom to ask, found out before the deadline; those that cannot be asked it enters into the round."""
        return self._line.fleet.members

    def _in_turn(self, round_: Round, longest_waiting: Sequence[Member]) -> Iterator[Member]:  # noqa: ARG002 - in this one
        return iter(longest_waiting)

    @abstractmethod
    async def _ask(self, member: Member) -> None:
        """Ask for a user and take the answer in."""

    @abstractmethod
    def _answered_at(self, member: Member) -> float | None:
        """When the last answer about a user came."""


class Sessions(UserRounds):
    """Of each user's sessions."""

    def __init__(self, line: Line) -> None:
        super().__init__(line)
        self.operation = line.operation(
            LIST_SESSION_BY_USER_NAME, line.poll.interval, lambda: len(line.fleet.members), line.pacer()
        )

    def _in_turn(self, round_: Round, longest_waiting: Sequence[Member]) -> Iterator[Member]:
        """Every other turn goes to whoever sweeps raise a question about."""
        began = steady()
        for member in longest_waiting:
            if due := self._line.fleet.swept.take_due():
                round_.total += _time(due.asked_at) > began  # once more than everybody
                yield due
            if _time(member.asked_at) <= began:
                yield member

    async def _ask(self, member: Member) -> None:
        try:
            sessions = await self._line.cloud.list_session_by_user_name(member.name)
        except NotFound:
            sessions = None
        self._line.fleet.sessions_answered(member, sessions, steady())

    def _answered_at(self, member: Member) -> float | None:
        return member.asked_at


class Accounts(UserRounds):
    """Of each user's account."""

    def __init__(self, line: Line, lookups: Lookups) -> None:
        super().__init__(line)
        self._lookups = lookups
        self.operation = line.operation(
            LIST_USER_DETAIL, line.poll.user_interval, lambda: len(line.fleet.members), line.pacer()
        )

    async def _members(self, round_: Round, deadline: float) -> Sequence[Member]:
        await self._lookups.look_up(self.operation, round_, deadline)
        return [member for member in self._line.fleet.members if member.id is not None]

    def _in_turn(self, round_: Round, longest_waiting: Sequence[Member]) -> Iterator[Member]:  # noqa: ARG002 - in this one
        """Until they are not wanted any more."""
        return takewhile(lambda _: self.wanted.is_set(), longest_waiting)

    async def _ask(self, member: Member) -> None:
        assert member.id is not None
        try:
            account = await self._line.cloud.list_user_detail(member.id)
        except NotFound:
            account = None
            self._line.fleet.found(member, None)  # the name may have got another id
        self._line.fleet.account_answered(member, account, steady())

    def _answered_at(self, member: Member) -> float | None:
        return member.account_at


def _time(answered: float | None) -> float:
    return -math.inf if answered is None else answered
