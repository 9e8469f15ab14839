"""The polling of one project: which operations, and how long their answers count."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from exporter.polling.calls import Calls
from exporter.polling.lookups import Lookups
from exporter.polling.operation import STALE_ROUNDS, Line, Operation, steady
from exporter.polling.source import Source, decided, fitting
from exporter.polling.sweeps import Directory, SessionSweeps
from exporter.polling.user_rounds import Accounts, Sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter import config
    from exporter.fleet import Counts, Fleet
    from exporter.polling.cloud import Cloud
    from exporter.polling.refusals import Refusals

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Poller:
    """Polls one project's users for as long as :meth:`run` runs.

    Each user's sessions are always asked for, round after round. Where that takes longer than the interval, sweeps tell
    of all that started lately, and a list of all users of their accounts, for as long as these work.

    Steady times are the event loop's; ``now`` gives the wall clock's, in seconds since 1970.
    """

    def __init__(
        self, fleet: Fleet, cloud: Cloud, poll: config.Poll, now: Callable[[], float], refusals: Refusals
    ) -> None:
        self.refusals = refusals
        self._fleet = fleet
        self._poll = poll
        self._now = now
        line = Line(fleet, cloud, poll, now, refusals, Calls(refusals, poll.concurrency))
        self._lookups = Lookups(line, line.pacer())
        self._sessions = Sessions(line)
        self._accounts = Accounts(line, self._lookups)
        self._sweeps = SessionSweeps(line, self._sweep_ended, lambda: self._decided.name == "bulk")
        self._directory = Directory(line, self._lookups.pacer, self._sweep_ended)
        self._told: dict[str, str] = {}
        self.sweeping = poll.source == "bulk" or (poll.source == "auto" and not fitting(poll, len(fleet.members)))
        """Whether sweeps are tried at all."""
        if self.sweeping:
            self._accounts.wanted.clear()

    @property
    def sessions(self) -> Operation:
        """The operation that asks for each user's sessions."""
        return self._sessions.operation

    @property
    def accounts(self) -> Operation:
        """The operation that asks for each user's account."""
        return self._accounts.operation

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All that are in use."""
        if not self.sweeping:
            return self.sessions, self.accounts
        sweeps = (self._sweeps.operation,) if self._decided.name == "bulk" else ()
        accounts = (self.accounts,) if self._accounts.wanted.is_set() else ()
        return *sweeps, self.sessions, self._directory.operation, *accounts

    @property
    def source(self) -> Source:
        """Where sessions come from at present."""
        source = self._decided
        last = self._sweeps.operation.rounds.last
        if source.name == "bulk" and last and not self._sweeps.works:
            outcomes = ", ".join(last.failed) or "torn"
            return Source("per_user", f"{self._sweeps.operation.name} fails ({outcomes})")
        return source

    @property
    def ready(self) -> bool:
        """Whether a first round has told of the sessions, and one of the accounts."""
        sessions = self._sweeps.operation.rounds.last or self.sessions.rounds.last
        accounts = self._directory.operation.rounds.last or self.accounts.rounds.last
        return bool(sessions and accounts)

    @property
    def up(self) -> bool:
        """Whether the cloud answers about anybody's sessions; where rounds take long, whether it has done so lately."""
        if not self.sweeping:
            return self.sessions.rounds.up
        lately = self._sessions.last_answer_at + STALE_ROUNDS * self._poll.interval > steady()
        return self._sweeps.operation.rounds.up or (lately and self.sessions.rounds.up)

    def go_on_from(self, before: Poller) -> None:
        """Take over the rounds and the pace of a poller that ends, with what it has learned of the cloud."""
        self.refusals.go_on_from(before.refusals)
        rate_limit = self._poll.rate_limit
        self.sessions.go_on_from(before.sessions, rate_limit)
        self.accounts.go_on_from(before.accounts, rate_limit)
        self._lookups.pacer = before._lookups.pacer.going_on(rate_limit)
        self._sweeps.go_on_from(before._sweeps, rate_limit)
        self._directory.go_on_from(before._directory, rate_limit)
        self._directory.operation.pacer = self._lookups.pacer
        self._told = before._told

    async def run(self) -> None:
        """Poll until cancelled."""
        self._tell_sources()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sessions.run())
            group.create_task(self._accounts.run())
            if self.sweeping:
                group.create_task(self._sweeps.run())
                group.create_task(self._directory.run())

    def counts(self) -> Counts:
        """The fleet, counted over what is not stale."""
        now, configured = steady(), self._poll.stale_after
        swept_since = now - (configured or self._sweeps.operation.stale_after(self._now()))
        asked = STALE_ROUNDS * self.sessions.interval
        accounts = STALE_ROUNDS * max(each.interval for each in self.operations if each in self._of_accounts)
        # While sweeps tell of everybody, who is asked one by one waits long, and must not come and go.
        last = self._fleet.swept.since if self._fleet.swept.whole else None
        swept = self._decided.name == "bulk" and last is not None and last >= swept_since
        return self._fleet.counts(
            sessions_since=now - (max(configured or 0, asked) if swept else configured or asked),
            swept_since=swept_since,
            accounts_since=now - max(configured or 0, accounts),
        )

    def fresh(self, operation: Operation, counts: Counts) -> int:
        """Of how many users an operation has told lately."""
        if operation is self.sessions:
            return counts.asked
        if operation is self._sweeps.operation:
            return counts.swept
        return counts.accounts if (operation is self.accounts) == self._accounts.wanted.is_set() else 0

    @property
    def _of_accounts(self) -> tuple[Operation, ...]:
        return self._directory.operation, self.accounts

    @property
    def _decided(self) -> Source:
        return decided(self._poll, len(self._fleet.members), self._sweeps.total)

    def _sweep_ended(self) -> None:
        listing = self._directory.operation.rounds
        if self._directory.works:
            self._accounts.wanted.clear()
        elif listing.last and self._now() - (listing.last_success or 0.0) > 2 * self._directory.operation.interval:
            self._accounts.wanted.set()
        self._tell_sources()

    def _tell_sources(self) -> None:
        """One line for each of the two that has changed."""
        self._tell("source_decided", self.source)
        if self._accounts.wanted.is_set() and self.sweeping:
            self._tell("account_source_decided", Source("per_user", f"{self._directory.operation.name} fails"))
        elif self.sweeping:
            self._tell("account_source_decided", Source("bulk", f"{self._directory.operation.name} tells of all users"))

    def _tell(self, event: str, source: Source) -> None:
        if self._told.get(event) != source.name:
            self._told[event] = source.name
            _logger.info(event, project=self.refusals.project, source=source.name, reason=source.reason)
