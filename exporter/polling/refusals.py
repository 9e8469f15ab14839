"""Pauses for credentials that are refused, so that no key and no account gets locked."""

from __future__ import annotations

import asyncio

FIRST_PAUSE = 60.0
"""Seconds without a call after a refusal; doubled with each further one."""

LONGEST_PAUSE = 15 * 60.0


class Refusals:
    """Whether the cloud accepts a project's credentials. Times are the event loop's."""

    def __init__(self) -> None:
        self.proven = False
        """Whether the cloud took the credentials the last time that it judged them."""
        self._pause = FIRST_PAUSE
        self._resume_at = 0.0

    async def wait(self) -> None:
        """Wait for the end of a pause."""
        await asyncio.sleep(self._resume_at - asyncio.get_running_loop().time())

    def accepted(self) -> None:
        """A call got past the cloud's door."""
        self.proven = True
        self._pause = FIRST_PAUSE

    def refused(self) -> None:
        """A call was answered 401. Calls that were under way together bring one pause."""
        self.proven = False
        now = asyncio.get_running_loop().time()
        if now >= self._resume_at:
            self._resume_at = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
