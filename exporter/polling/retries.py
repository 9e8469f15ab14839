"""When a failed call is worth another try, and after which pause."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import stamina

from exporter.cloud.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ATTEMPTS = 4
"""How often a call is tried in all."""

LONGEST_RETRY_AFTER = 300.0
"""Seconds that a Retry-After is honoured; who asks for more is asked again then."""

stamina.instrumentation.set_on_retry_hooks([])  # a line of log for each retry would be a flood


def asked_pause(error: CloudError) -> float:
    """Seconds that the cloud asks to wait, as far as that is honoured; 0 where it does not ask."""
    return min(error.retry_after or 0.0, LONGEST_RETRY_AFTER)


def attempts(deadline: float) -> AsyncIterator[stamina.Attempt]:
    """Attempts at one call, with growing, jittered pauses or those that the cloud asks for.

    Another one is arranged before ``deadline`` only, a time of the event loop; its pause, of at most eight seconds, may
    end a little behind it. What the last one raises is raised.
    """

    def another(error: Exception) -> bool | float:
        if not (isinstance(error, CloudError) and error.passing):
            return False
        pause = asked_pause(error)
        if asyncio.get_running_loop().time() + pause >= deadline:
            return False
        return pause or True

    tries = stamina.retry_context(
        on=another, attempts=ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=8.0, wait_jitter=1.0
    )
    return aiter(tries)
