"""How fast one operation may be called: as configured, slower after the cloud throttled it, and slowly faster again."""

from __future__ import annotations

import asyncio

BACK_OFF = 0.7
"""What is left of the rate after a 429."""

SETTLING = 10.0
"""Seconds after a slow-down in which further 429 are put down to calls that were under way."""

SHARE_OF_QUOTA = 0.97
"""How much of a quota that the cloud names is used: its minutes are not quite ours."""

_SLOWEST_SHARE = 0.05  # of the configured rate; slower, nothing would ever be fresh
_RECOVERY = 0.002  # of the configured rate, regained with each success: from the slowest in some 500 calls


class Rate:
    """Calls a minute of one operation. Times are the event loop's."""

    def __init__(self, configured: float) -> None:
        self.configured = configured
        self._ceiling = configured
        self._per_minute = configured
        self._settled_at = 0.0

    @property
    def spacing(self) -> float:
        """Seconds between two calls."""
        return 60 / self._per_minute

    def throttled(self, quota: float | None) -> bool:
        """The cloud answered 429, and perhaps named its quota, in calls a minute. Tells whether the rate went down."""
        if quota is not None:
            self._ceiling = min(self.configured, max(SHARE_OF_QUOTA * quota, _SLOWEST_SHARE * self.configured))
            self._per_minute = min(self._per_minute, self._ceiling)
        now = asyncio.get_running_loop().time()
        if now < self._settled_at:
            return False
        self._settled_at = now + SETTLING
        self._per_minute = max(BACK_OFF * self._per_minute, _SLOWEST_SHARE * self.configured)
        return True

    def succeeded(self) -> None:
        """A call went through."""
        self._per_minute = min(self._per_minute + _RECOVERY * self.configured, self._ceiling)
