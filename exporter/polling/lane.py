"""The lane: everything that one operation of one project needs to send requests, shared with no other operation."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from exporter.cloud.errors import CloudError, Forbidden, NotFound, Throttled, Unauthorized
from exporter.polling.cycles import FailureLog
from exporter.polling.gate import Access, Permit
from exporter.polling.pace import Pace, Throttle

T = TypeVar("T")

ATTEMPTS = 4  # at one request in all
LONGEST_RETRY_AFTER = 300.0  # seconds for which a Retry-After is honoured; longer ones are cut to this
_FIRST_RETRY_PAUSE = 0.5  # seconds; doubled with each further one
_LONGEST_RETRY_PAUSE = 8.0
_JITTER = 1.0  # seconds at most that are added to a pause


class Lane:
    """The requests of one operation of one project.

    Its slots are its own and are given back during pauses. It shares its pace with lanes of the same operation and
    credentials, and its access key with all lanes that sign with it.
    """

    def __init__(self, operation: str, log: FailureLog, pace: Pace, access: Access) -> None:
        self.operation = operation
        self.log = log
        self.pace = pace
        self.access = access
        self.demands: list[Callable[[], float]] = []  # requests per minute that each user of the lane wants
        self.throttle = Throttle()
        self.retry_pauses = 0.0  # seconds that requests have paused before they were repeated, since the start
        self._concurrency = 1
        self._slots = asyncio.Semaphore()

    def apply(self, concurrency: int, rate_limit: float, pace: Pace, access: Access) -> None:
        """Use these settings from now on. Requests in flight end as they began."""
        if pace is not self.pace:
            self.pace.leave(self)
            self.throttle = Throttle()
        self.pace, self.access = pace, access
        if concurrency != self._concurrency:
            self._concurrency, self._slots = concurrency, asyncio.Semaphore(concurrency)
        pace.join(self, rate_limit)

    @property
    def demand(self) -> float:
        """Requests per minute that the configured intervals require."""
        return sum(demand() for demand in self.demands)

    @property
    def rate(self) -> float:
        """Requests per minute at present: the lane's fair share, or less while the cloud throttles it."""
        return self.throttle.rate(self.ceiling)

    @property
    def ceiling(self) -> float:
        """Its fair share of the rate when nothing throttles it, in requests per minute."""
        return self.pace.share(self)

    async def admit(self, *, ahead: bool = False) -> Permit:
        """Wait until a request may be sent, which :meth:`perform` then has to do at once.

        A request that goes ``ahead`` waits for no other that shares the pace.

        Raises:
            Paused: the cloud rejects the credentials, or there are none.
        """
        while True:
            permit = await self.access.request_permit(self, self._slots)
            try:
                await self.throttle.wait(self.ceiling)
                await self.pace.turn(self, ahead=ahead)
                permit.access.check()
            except BaseException:
                permit.end()
                raise
            if permit.valid and not self.throttle.paused:
                return permit
            permit.end()  # meanwhile the credentials have been replaced, or another request was throttled

    async def perform(
        self,
        send: Callable[[], Awaitable[T]],
        permit: Permit,
        deadline: float,
        *,
        ahead: bool = False,
        optional: bool = False,
    ) -> T:
        """Send an admitted request, and again until the deadline while its failure may pass.

        After a 401 it is repeated once, if other credentials are at hand. If the cloud accepts the credentials for
        other operations, the 401 of an ``optional`` one concerns only this operation.

        Raises:
            CloudError: no attempt brought an answer.
            Paused: the credentials have been rejected meanwhile.
        """
        attempt, may_renew = 1, True
        failure: CloudError
        while True:
            try:
                return await self._send(send, permit)
            except Unauthorized as error:
                if not (may_renew and error.renew and await self._renewed(error, permit)):
                    if not (optional and permit.access.verified):
                        self._reject(error, permit)
                    raise
                failure, pause, may_renew = error, 0.0, False
            except CloudError as error:
                if error.operation != self.operation:  # there are no credentials to send it with
                    self._reject(error, permit)
                    raise
                if attempt == ATTEMPTS or not error.passing:
                    raise
                failure, pause, attempt = error, _pause(error, attempt), attempt + 1
            permit = await self._admit_again(failure.bare(), pause, deadline, ahead=ahead)

    async def request(
        self, send: Callable[[], Awaitable[T]], deadline: float, *, ahead: bool = False, optional: bool = False
    ) -> T:
        """Admit and perform a request. Raises what these raise."""
        return await self.perform(send, await self.admit(ahead=ahead), deadline, ahead=ahead, optional=optional)

    async def _send(self, send: Callable[[], Awaitable[T]], permit: Permit) -> T:
        try:
            answer = await send()
        except Throttled as error:
            explained = self.pace.explains(error.quota)
            self.throttle.slow_down(self.ceiling, retry_after=_retry_after(error), explained=explained)
            raise
        except (NotFound, Forbidden) as error:
            if error.error_code and error.operation == self.operation:  # by the service, so the signature was right
                permit.accept()
            raise
        finally:
            permit.end()
        self.throttle.note_success()
        permit.accept()
        return answer

    async def _renewed(self, error: Unauthorized, permit: Permit) -> bool:
        """Return whether other credentials than the rejected ones are at hand; they are unverified then."""
        assert error.renew
        try:
            renewed = await error.renew()
        except CloudError as failure:
            self._reject(failure, permit)
            raise
        if renewed:
            permit.access.doubt()
        return renewed

    def _reject(self, error: CloudError, permit: Permit) -> None:
        if pause := permit.access.reject(error, permit.credentials):
            self.log.paused(pause, error)

    async def _admit_again(self, failure: CloudError, pause: float, deadline: float, *, ahead: bool) -> Permit:
        """Wait for another permit after a pause. Raises the failure if that would take until the deadline."""
        loop = asyncio.get_running_loop()
        if loop.time() + pause >= deadline:
            raise failure
        await asyncio.sleep(pause)
        self.retry_pauses += pause
        try:
            async with asyncio.timeout_at(deadline):
                return await self.admit(ahead=ahead)
        except TimeoutError:
            raise failure from None


def _retry_after(error: CloudError) -> float:
    return min(error.retry_after or 0.0, LONGEST_RETRY_AFTER)


def _pause(error: CloudError, attempt: int) -> float:
    """Seconds before the next attempt: as the cloud asks, or growing and jittered."""
    growing = min(_FIRST_RETRY_PAUSE * 2 ** (attempt - 1), _LONGEST_RETRY_PAUSE)
    return _retry_after(error) or growing + random.uniform(0, _JITTER)  # noqa: S311 - no secret
