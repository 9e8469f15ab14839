"""The making of calls: at their turn, never too many, and again where that is worth it."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from exporter.cloud.errors import CloudError, Throttled, Unauthorized
from exporter.polling.refusals import Paused
from exporter.polling.retries import asked_pause, attempts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from exporter.polling.failure_log import FailureLog
    from exporter.polling.pacer import Pacer
    from exporter.polling.refusals import Refusals

T = TypeVar("T")


class Calls:
    """The calls of one project, of which ``concurrency`` at most are under way. Times are the event loop's."""

    def __init__(self, refusals: Refusals, concurrency: int) -> None:
        self._refusals = refusals
        self._slots = asyncio.Semaphore(concurrency)

    async def admit(self, pacer: Pacer, spacing: float = 0.0) -> None:
        """Wait for the turn of a call, and for a slot, which :meth:`make` gives back.

        Raises:
            Paused: the credentials have been refused; there is no slot then.
        """
        await self._refusals.settled()
        await pacer.turn(spacing)
        await self._slots.acquire()
        try:
            self._refusals.check()
        except Paused:
            self._slots.release()
            raise

    async def make(self, ask: Callable[[], Awaitable[T]], pacer: Pacer, log: FailureLog, deadline: float) -> T:
        """Make a call that has been admitted, and again until the deadline where it may pass.

        Raises:
            CloudError: no attempt brought an answer.
            Paused: the credentials have been refused meanwhile.
        """
        try:
            try:
                return await self._send(ask, pacer, log)
            except CloudError as error:
                return await self._again(ask, pacer, log, deadline, error)
        finally:
            self._slots.release()

    async def _again(
        self, ask: Callable[[], Awaitable[T]], pacer: Pacer, log: FailureLog, deadline: float, failure: CloudError
    ) -> T:
        """Make a call again that has failed once; what retries by the rules costs as much as the call itself."""
        async for attempt in attempts(deadline):
            with attempt:
                if attempt.num == 1:
                    raise failure
                await _another_turn(pacer, deadline, failure)
                try:
                    return await self._send(ask, pacer, log)
                except CloudError as error:
                    failure = error
                    raise
        raise AssertionError("the last attempt either returns or raises")

    async def _send(self, ask: Callable[[], Awaitable[T]], pacer: Pacer, log: FailureLog) -> T:
        async with self._refusals.room():
            pacer.sent()
            with self._learning(pacer, log):
                return await ask()

    @contextmanager
    def _learning(self, pacer: Pacer, log: FailureLog) -> Iterator[None]:
        """Make of a call's end what there is to learn for the next ones."""
        credentials = self._refusals.present()
        try:
            yield
        except Throttled as error:
            pacer.rate.throttled(error.quota)
            pacer.hold(asked_pause(error))
            raise
        except Unauthorized as error:
            log.failed(error)
            if pause := self._refusals.refused(credentials):
                log.paused(pause)
            raise
        pacer.rate.succeeded()
        self._refusals.accepted(credentials)


async def _another_turn(pacer: Pacer, deadline: float, failure: CloudError) -> None:
    """Wait for a turn to try again. Raises the failure where that would be too late."""
    if pacer.next_turn >= deadline:
        raise failure
    await pacer.turn()
    if asyncio.get_running_loop().time() >= deadline:
        raise failure
