"""Where authentication comes from, and how it is kept alive."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from exporter.cloud.errors import CloudError, NoCredentials, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter.cloud.auth import Auth
    from exporter.cloud.renewal_log import RenewalLog

RENEW_AHEAD = 40 * 60.0
"""Seconds before its end that a lease is renewed, as the official SDK does; half its life where that is less."""

# Seconds until a failed renewal is tried again: the first pause, doubled with every further failure.
_PAUSE_UNREACHABLE = 5.0
_PAUSE_REFUSED = 60.0  # IAM locks an account after a few wrong passwords within 15 minutes
_LONGEST_PAUSE = 15 * 60.0

_SHORTEST_USE = 30.0  # seconds; by a clock that is far ahead every lease has ended already


class Credentials(Protocol):
    """A source of authentication."""

    @property
    def expires_at(self) -> float | None:
        """When the present authentication ends, in seconds since 1970; None where unknown."""

    def fingerprint(self) -> object:
        """What tells these credentials from others, as they stand now: something else once they have been replaced."""

    async def current(self) -> Auth:
        """What to authenticate with now. Raises CloudError where it cannot be had."""

    async def renewed(self, refused: Auth) -> Auth:
        """What to authenticate with after a 401 to ``refused``; the same where nothing else can be had.

        Raises:
            CloudError: the renewal failed.
        """


@dataclass(frozen=True)
class Kept:
    """Authentication that somebody else keeps up to date: values in the configuration, or files read as they change."""

    read: Callable[[], Auth]
    expires_at: None = None

    def fingerprint(self) -> object:
        """See Credentials."""
        with suppress(OSError, ValueError):
            return self.read()
        return None

    async def current(self) -> Auth:
        """See Credentials."""
        try:
            return self.read()
        except (OSError, ValueError) as error:
            raise NoCredentials("credentials", "unreadable", detail=str(error)) from error

    async def renewed(self, refused: Auth) -> Auth:  # noqa: ARG002 - whatever was refused, this is all there is
        """See Credentials."""
        return await self.current()


@dataclass(frozen=True, slots=True)
class Lease:
    """Authentication that ends at ``expires_at``, in seconds since 1970."""

    auth: Auth
    expires_at: float


class _Moment(NamedTuple):
    """A time to come, by two clocks: the one stands still while the machine sleeps, the other may be set back."""

    steady: float
    wall: float


class Leased:
    """Authentication that the cloud lends for a while: renewed ahead of its end, and when it is refused.

    A renewal that failed is not tried again for a while, ever longer, so that no account gets locked; unless what it
    is lent for has been replaced, which ``secret`` reads.
    """

    def __init__(
        self,
        lend: Callable[[], Awaitable[Lease]],
        now: Callable[[], float],
        log: RenewalLog,
        secret: Callable[[], object] = lambda: None,
    ) -> None:
        self._lend = lend
        self._now = now
        self._log = log
        self._secret = secret
        self._lease: Lease | None = None
        self._renew_at = _Moment(0.0, 0.0)
        self._renewing = asyncio.Lock()
        self._failure: CloudError | None = None
        self._failed_with: object = None
        self._pause = 0.0
        self._retry_at = _Moment(0.0, 0.0)

    @property
    def expires_at(self) -> float | None:
        """See Credentials."""
        return self._lease.expires_at if self._lease else None

    def fingerprint(self) -> object:
        """See Credentials."""
        with suppress(OSError, ValueError):
            return self._secret()
        return None

    async def current(self) -> Auth:
        """See Credentials."""
        lease = self._lease
        if lease is None:
            return await self.renewed(None)
        being_renewed = self._renewing.locked() and self._now() < lease.expires_at
        if being_renewed or not self._reached(self._renew_at):
            return lease.auth
        try:
            return await self.renewed(lease.auth)
        except CloudError as error:
            rest = lease.expires_at - self._now()
            if rest <= 0:
                raise
            self._log.failed(error, expires_in=rest)
            return lease.auth

    async def renewed(self, refused: Auth | None) -> Auth:
        """See Credentials. However many calls find the same lease refused, one renewal serves them all."""
        async with self._renewing:
            if self._lease is None or self._lease.auth == refused:
                self._lease = await self._renew()
            return self._lease.auth

    async def _renew(self) -> Lease:
        secret = self.fingerprint()
        if self._failure and not self._reached(self._retry_at) and secret == self._failed_with:
            raise self._failure.bare()
        try:
            lease = await self._lend()
        except CloudError as error:
            first_pause = _PAUSE_REFUSED if isinstance(error, Refused) else _PAUSE_UNREACHABLE
            self._pause = min(max(self._pause * 2, first_pause), _LONGEST_PAUSE)
            self._retry_at = self._in(self._pause)
            self._failure, self._failed_with = error.bare(), secret
            raise
        life = lease.expires_at - self._now()
        self._renew_at = self._in(max(life - RENEW_AHEAD, life / 2, _SHORTEST_USE))
        self._failure, self._pause = None, 0.0
        self._log.succeeded()
        return lease

    def _in(self, seconds: float) -> _Moment:
        return _Moment(asyncio.get_running_loop().time() + seconds, self._now() + seconds)

    def _reached(self, moment: _Moment) -> bool:
        return asyncio.get_running_loop().time() >= moment.steady or self._now() >= moment.wall
