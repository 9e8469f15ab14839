"""Spreads calls evenly over time."""

from __future__ import annotations

import asyncio


class Pacer:
    """Hands out turns that are at least ``spacing`` seconds apart, never two at once.

    Times are the event loop's. A turn that was waited for too long is not made up for: no bursts.
    """

    def __init__(self) -> None:
        self._next = 0.0

    async def turn(self, spacing: float) -> None:
        """Wait for the next turn; the one after it comes ``spacing`` seconds later at the earliest."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next)
        self._next = turn + spacing
        await asyncio.sleep(turn - now)
