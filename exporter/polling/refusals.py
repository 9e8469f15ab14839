"""Pauses for credentials that are refused, so that no key and no account gets locked."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext

FIRST_PAUSE = 60.0
"""Seconds without a call after a refusal; doubled with each further one."""

LONGEST_PAUSE = 15 * 60.0


class Paused(Exception):
    """Nothing was asked, because the cloud refuses the credentials."""


class Refusals:
    """Whether the cloud accepts a project's credentials. Times are the event loop's."""

    def __init__(self) -> None:
        self.proven = False
        """Whether the cloud took the credentials the last time that it judged them."""
        self._pause = FIRST_PAUSE
        self._resume_at = 0.0
        self._unproven_call = asyncio.Lock()

    @property
    def pausing(self) -> bool:
        """Whether a pause goes on."""
        return asyncio.get_running_loop().time() < self._resume_at

    def check(self) -> None:
        """Raise Paused while a pause goes on."""
        if self.pausing:
            raise Paused

    async def wait(self) -> None:
        """Wait for the end of a pause."""
        await asyncio.sleep(self._resume_at - asyncio.get_running_loop().time())

    def alone(self) -> AbstractAsyncContextManager[object]:
        """A room for one, as long as the credentials are unproven, lest a wrong key be refused many times at once."""
        return nullcontext() if self.proven else self._unproven_call

    def accepted(self) -> None:
        """A call got past the cloud's door; one that ends during a pause began before it, and proves nothing."""
        if not self.pausing:
            self.proven = True
            self._pause = FIRST_PAUSE

    def refused(self) -> float | None:
        """A call was answered 401: seconds of the pause that begins; None where one goes on already.

        So calls that were under way together bring one pause.
        """
        self.proven = False
        if self.pausing:
            return None
        pause = self._pause
        self._resume_at = asyncio.get_running_loop().time() + pause
        self._pause = min(2 * pause, LONGEST_PAUSE)
        return pause
