"""Polling of one operation with one request per user."""

import asyncio
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from exporter.cloud.errors import CloudError, NotFound
from exporter.fleet import Member
from exporter.polling.cycles import Cycle
from exporter.polling.gate import Paused, Permit
from exporter.polling.lane import Lane
from exporter.polling.listings import look_up_ids
from exporter.polling.loop import CycleLoop, PollContext
from exporter.polling.pace import monotonic

STEP = 10_000  # users that are sorted without a chance for other tasks: some milliseconds


class UserCycles(CycleLoop):
    """One request per user in each cycle."""

    def __init__(self, context: PollContext, lane: Lane, cycle_ended: Callable[[], None]) -> None:
        super().__init__(context, lane, cycle_ended)
        self.last_answer_at = -math.inf
        self._watched = context.fleet.members

    @property
    def requests(self) -> int:
        """One per user."""
        return len(self.context.fleet.members)

    async def _rest(self, *, first_answers: bool) -> None:
        """Rest, but spread the requests evenly right after the first answers of all."""
        if not first_answers or self.lane.access.paused:
            await super()._rest(first_answers=first_answers)

    async def _run_cycle(self, cycle: Cycle) -> None:
        """Poll every user, and repeat before the deadline what may pass.

        Users without an answer come first, as fast as the rate allows. The others follow evenly spread, in the order
        of their answers.
        """
        self._watched = self.context.fleet.members
        cycle.total = len(self._watched)
        deadline = monotonic() + self.interval
        with suppress(Paused):  # the users without an answer are counted below
            members = await self._by_last_answer(await self._members(cycle, deadline))
            async with asyncio.TaskGroup() as tasks:
                await self._poll_all(cycle, members, tasks, deadline)
        if self.lane.access.paused and cycle.done < cycle.total:
            self._fail(cycle, self.lane.access.failure, cycle.total - cycle.done)

    async def _poll_all(
        self, cycle: Cycle, members: Sequence[Member], tasks: asyncio.TaskGroup, deadline: float
    ) -> None:
        async def poll(member: Member) -> None:
            permit = await self.lane.admit()
            if member.removed:
                permit.end()
            else:
                tasks.create_task(self._poll(cycle, member, permit, deadline))

        due = monotonic()
        try:
            for member in self._in_order(cycle, members):
                while True:
                    for newcomer in await self._newcomers(cycle):
                        await poll(newcomer)
                    if self._answered_at(member) is None or due <= monotonic():
                        break
                    await self._sleep_until(due)
                await poll(member)
                spacing = self.interval / max(cycle.total, 1)
                due = max(due, monotonic() - spacing) + spacing  # so that waiting for turns makes no cycle longer
        except Paused:
            return

    async def _newcomers(self, cycle: Cycle) -> Sequence[Member]:
        """Return users to poll who have joined since this was last called in the cycle."""
        known, self._watched = self._watched, self.context.fleet.members
        if known is self._watched:
            return ()
        cycle.total = len(self._watched)
        before = set(known)
        await asyncio.sleep(0)  # with many users, each half takes some milliseconds
        return [member for member in self._watched if member not in before and self._can_be_polled(member)]

    async def _by_last_answer(self, members: Sequence[Member]) -> list[Member]:
        """Return these in the order of their answers, with chances for other tasks, since there may be many."""
        answered: list[float] = []
        for start in range(0, len(members), STEP):
            answered += [_time(self._answered_at(member)) for member in members[start : start + STEP]]
            await asyncio.sleep(0)
        order = sorted(range(len(members)), key=answered.__getitem__)  # mostly in order already, which is fast
        await asyncio.sleep(0)
        return [members[place] for place in order]

    def _in_order(self, cycle: Cycle, members: Sequence[Member]) -> Iterator[Member]:  # noqa: ARG002 - in this case
        """Yield these without those who have left."""
        return (member for member in members if not member.removed)

    async def _poll(self, cycle: Cycle, member: Member, permit: Permit, deadline: float) -> None:
        try:
            cycle.answered += await self.lane.perform(lambda: self._query(member), permit, deadline)
        except Paused:
            pass  # counted with the rest of the cycle
        except CloudError as error:
            self._fail(cycle, error, 1)
        else:
            self.last_answer_at = monotonic()
            self._note_answer()

    async def _members(self, cycle: Cycle, deadline: float) -> Sequence[Member]:  # noqa: ARG002 - all can be polled
        """Return the users to poll. Note in the cycle those that cannot be polled."""
        return self.context.fleet.members

    def _can_be_polled(self, member: Member) -> bool:  # noqa: ARG002 - all can
        return True

    @abstractmethod
    async def _query(self, member: Member) -> int:
        """Query a user and take in the answer. Return how many users it is about."""

    @abstractmethod
    def _answered_at(self, member: Member) -> float | None:
        """Return when the last answer about a user came."""


class UserSessions(UserCycles):
    """The sessions of each user."""

    def _in_order(self, cycle: Cycle, members: Sequence[Member]) -> Iterator[Member]:
        """Give every other turn to users that a scan raises a question about."""
        began = monotonic()
        for member in super()._in_order(cycle, members):
            if due := self.context.fleet.take_priority():
                cycle.total += _time(due.queried_at) > began  # polled twice in this cycle
                yield due
            if _time(member.queried_at) <= began and self._can_be_polled(member):
                yield member

    def _can_be_polled(self, member: Member) -> bool:
        """Return whether the user is the first with the name, as one query is about all users with a name."""
        return self.context.fleet.namesakes(member)[:1] == [member]

    async def _query(self, member: Member) -> int:
        fleet = self.context.fleet
        try:
            sessions = await self.context.cloud.list_session_by_user_name(member.query_name)
        except NotFound:
            sessions = None
        fleet.sessions_answered(member, sessions, monotonic(), self.context.clock)
        return max(len(fleet.namesakes(member)), 1)

    def _answered_at(self, member: Member) -> float | None:
        return member.queried_at


class UserAccounts(UserCycles):
    """The account of each user."""

    def __init__(self, context: PollContext, lane: Lane, cycle_ended: Callable[[], None], lookups: Lane) -> None:
        """``lookups`` is the lane of ListUsers, which finds ids."""
        super().__init__(context, lane, cycle_ended)
        self._lookups = lookups

    async def _members(self, cycle: Cycle, deadline: float) -> Sequence[Member]:
        unknown, failure = await look_up_ids(self.context, self._lookups, deadline)
        cycle.answered += unknown
        members = [member for member in self.context.fleet.members if self._can_be_polled(member)]
        if failure:
            self._fail(cycle, failure, cycle.total - unknown - len(members))
        return members

    def _can_be_polled(self, member: Member) -> bool:
        return member.id is not None

    def _in_order(self, cycle: Cycle, members: Sequence[Member]) -> Iterator[Member]:
        """Stop as soon as the listing of all users reports the accounts."""
        for member in super()._in_order(cycle, members):
            if not self.wanted.is_set():
                return
            yield member

    async def _query(self, member: Member) -> int:
        assert member.id is not None
        fleet = self.context.fleet
        try:
            account = await self.context.cloud.list_user_detail(member.id)
        except NotFound:
            account = None
            fleet.found(member, None)  # the name may belong to another id now
        fleet.account_answered(member, account, monotonic())
        return 1

    def _answered_at(self, member: Member) -> float | None:
        return member.account_at


def _time(answered: float | None) -> float:
    return -math.inf if answered is None else answered
