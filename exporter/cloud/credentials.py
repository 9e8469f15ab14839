"""Where authentication comes from, and how temporary credentials are renewed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from exporter.cloud.auth import Auth
from exporter.cloud.errors import CloudError, NoCredentials, Unauthorized

# Seconds before their end that credentials are renewed, as in the official SDK; half their life if that is less.
RENEW_AHEAD = 40 * 60.0
# Seconds between attempts to renew credentials that are still valid: IAM locks after a few wrong passwords.
RETRY_AHEAD = 5 * 60.0
_ASSUMED_LIFE = 3600.0  # seconds of credentials with an unknown end. Others live longer.
_SHORTEST_USE = 30.0  # seconds; by a clock that is far ahead all credentials have expired already

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Credentials(Protocol):
    """A source of authentication."""

    @property
    def expires_at(self) -> float | None:
        """When the present authentication expires, in seconds since 1970; None if unknown."""

    def fingerprint(self) -> object:
        """Return something that changes when the configured credentials are replaced."""

    async def current(self) -> Auth:
        """Return what to authenticate with now. Raises CloudError."""

    async def renewed(self, rejected: Auth) -> Auth:
        """Return what to authenticate with after a 401; the rejected one if there is nothing else.

        Raises:
            CloudError: the renewal failed.
        """


class Lockout(Protocol):
    """Knows when further rejections would lock the key or account."""

    @property
    def closed(self) -> bool:
        """Whether no request must be sent."""

    def note_rejection(self) -> None:
        """Note that the cloud rejected a request."""


@dataclass(frozen=True)
class StaticCredentials:
    """Authentication that somebody else keeps up to date: configured values, or files that are read as they change."""

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

    async def renewed(self, rejected: Auth) -> Auth:  # noqa: ARG002 - there is nothing else
        """See Credentials."""
        return await self.current()


@dataclass(frozen=True, slots=True)
class TemporaryCredentials:
    """Authentication that expires at ``expires_at``, in seconds since 1970; None if the cloud does not say when."""

    auth: Auth
    expires_at: float | None


class RenewedCredentials:
    """Temporary credentials, renewed ahead of their end and after a 401.

    However many requests need a renewal at once, one attempt serves them all. ``secret`` reads what the cloud grants
    the credentials for. Failures while the present ones are still valid are logged, once per kind.
    """

    def __init__(
        self,
        obtain: Callable[[], Awaitable[TemporaryCredentials]],
        now: Callable[[], float],
        project: str,
        lockout: Lockout,
        secret: Callable[[], object] = lambda: None,
    ) -> None:
        self._obtain = obtain
        self._now = now
        self._log = _logger.bind(project=project)
        self._lockout = lockout
        self._secret = secret
        self._present: TemporaryCredentials | None = None
        self._ends_at = 0.0  # of the present ones, known or assumed
        # by two clocks: one stands still while the machine sleeps, the other may be set back
        self._renew_at = (0.0, 0.0)
        self._renewing = asyncio.Lock()
        self._failures = 0
        self._failure: CloudError | None = None
        self._logged: set[tuple[str, str]] = set()

    @property
    def expires_at(self) -> float | None:
        """See Credentials."""
        return self._present.expires_at if self._present else None

    def fingerprint(self) -> object:
        """See Credentials."""
        with suppress(OSError, ValueError):
            return self._secret()
        return None

    async def current(self) -> Auth:
        """See Credentials."""
        present = self._present
        if present is None:
            return await self.renewed(None)
        being_renewed = self._renewing.locked() and self._now() < self._ends_at
        if being_renewed or not self._renewal_due():
            return present.auth
        left = self._ends_at - self._now()
        if left > 0 and self._lockout.closed:
            return present.auth
        try:
            return await self.renewed(present.auth)
        except CloudError as error:
            left = self._ends_at - self._now()
            if left <= 0:
                raise
            if isinstance(error, Unauthorized):
                self._lockout.note_rejection()
            self._renew_in(min(RETRY_AHEAD, left))
            if (kind := (error.operation, error.outcome)) not in self._logged:
                self._logged.add(kind)
                self._log.warning("renewal_failing", **error.facts(), expires_in_seconds=round(left))
            return present.auth

    async def renewed(self, rejected: Auth | None) -> Auth:
        """See Credentials."""
        failures = self._failures
        async with self._renewing:
            if self._present is None or self._present.auth == rejected:
                if self._failures > failures and self._failure:  # an attempt failed while this one waited
                    raise self._failure.bare()
                self._present = await self._renew()
            return self._present.auth

    async def _renew(self) -> TemporaryCredentials:
        try:
            obtained = await self._obtain()
        except CloudError as error:
            self._failures += 1
            self._failure = error.bare()
            raise
        life = _ASSUMED_LIFE if obtained.expires_at is None else obtained.expires_at - self._now()
        self._ends_at = self._now() + life
        self._renew_in(max(life - RENEW_AHEAD, life / 2, _SHORTEST_USE))
        for operation in {operation for operation, _ in self._logged}:
            self._log.info("renewal_recovered", operation=operation)
        self._logged.clear()
        return obtained

    def _renew_in(self, seconds: float) -> None:
        self._renew_at = asyncio.get_running_loop().time() + seconds, self._now() + seconds

    def _renewal_due(self) -> bool:
        monotonic, wall = self._renew_at
        return asyncio.get_running_loop().time() >= monotonic or self._now() >= wall
