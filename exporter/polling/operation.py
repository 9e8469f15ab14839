"""One operation that is polled round after round."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from exporter.polling.failure_log import FailureLog
from exporter.polling.pacer import Pacer
from exporter.polling.rate import Rate
from exporter.polling.rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter import config
    from exporter.cloud.errors import CloudError
    from exporter.fleet import Fleet
    from exporter.polling.calls import Calls
    from exporter.polling.cloud import Cloud
    from exporter.polling.refusals import Refusals
    from exporter.polling.rounds import Round

STALE_ROUNDS = 3
"""An answer counts for so many of its rounds, unless the configuration says how long."""

REFUSED = "401"
"""What those users fail with that are not asked, because the cloud refuses the credentials."""


@dataclass(frozen=True)
class Line:
    """What all operations of one project share. ``now`` gives the wall clock, in seconds since 1970."""

    fleet: Fleet
    cloud: Cloud
    poll: config.Poll
    now: Callable[[], float]
    refusals: Refusals
    calls: Calls

    def pacer(self) -> Pacer:
        """One for an operation, at the configured rate."""
        return Pacer(Rate(self.poll.rate_limit))

    async def paused(self, operation: Operation) -> bool:
        """Wait for the end of a pause between an operation's rounds, if there is one; whether there was."""
        if not self.refusals.pausing:
            return False
        operation.rounds.next_at = self.now() + self.refusals.rest
        await self.refusals.wait()
        return True

    def operation(self, name: str, configured_interval: float, calls: Callable[[], int], pacer: Pacer) -> Operation:
        """An operation of this project."""
        return Operation(name, configured_interval, calls, FailureLog(self.refusals.project, name, self.now), pacer)


@dataclass(eq=False)
class Operation:
    """One operation with its pace, its rounds, and what fails in them."""

    name: str
    configured_interval: float
    calls: Callable[[], int]
    """How many calls a round takes."""
    log: FailureLog
    pacer: Pacer
    rounds: Rounds = field(default_factory=Rounds)

    @property
    def interval(self) -> float:
        """Seconds that a round takes at the present rate, or the configured ones if longer."""
        return max(self.configured_interval, self.calls() * self.pacer.rate.spacing)

    def stale_after(self, now: float) -> float:
        """Seconds that an answer counts where nobody says how long; ``now`` is wall time.

        Longer than usual where rounds take long because the cloud does, be it the first one.
        """
        first = now - self.rounds.current.started if self.rounds.current and not self.rounds.last else 0.0
        return STALE_ROUNDS * max(self.interval, self.rounds.last_duration or 0.0, first)

    def failed(self, round_: Round, error: CloudError, entries: int = 1) -> None:
        """So many entries of a round have no answer."""
        round_.failed[error.outcome] += entries
        self.log.failed(error)

    def go_on_from(self, before: Operation, rate_limit: float) -> None:
        """Take over the rounds and the pace of the same operation in a poller that ends."""
        self.log, self.rounds = before.log, replace(before.rounds, current=None)
        self.pacer = before.pacer.going_on(rate_limit)


def steady() -> float:
    """Seconds on the event loop's clock."""
    return asyncio.get_running_loop().time()
