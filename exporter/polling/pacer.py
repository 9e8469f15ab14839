"""Spreads the calls of one operation evenly over time."""

from __future__ import annotations

import asyncio
import math

from exporter.polling.rate import Rate


class Pacer:
    """Hands out turns, never faster than the rate allows and never two at once. Times are the event loop's.

    A turn that was waited for too long is not made up for: no bursts.
    """

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._last = -math.inf
        self._next = 0.0
        self._held_until = 0.0

    @property
    def next_turn(self) -> float:
        """When the next turn is to be had."""
        return max(asyncio.get_running_loop().time(), self._next)

    def going_on(self, per_minute: float) -> Pacer:
        """One that goes on after the last turn taken, with what has been learned if the rate's limit stays the same."""
        same = per_minute == self.rate.configured
        other = Pacer(self.rate if same else Rate(per_minute))
        other._next = max(self._last + other.rate.spacing, self._held_until)
        other._last, other._held_until = self._last, self._held_until
        return other

    async def turn(self, spacing: float = 0.0) -> None:
        """Wait for the next turn; the one after it comes ``spacing`` seconds later, or as the rate allows if longer."""
        clock = asyncio.get_running_loop().time
        turn = self.next_turn
        self._next = turn + max(spacing, self.rate.spacing)
        await asyncio.sleep(turn - clock())
        await asyncio.sleep(self._last + self.rate.spacing - clock())  # the call before went out late
        if clock() < self._held_until:  # it was called off while it was waited for
            await self.turn(spacing)

    def sent(self) -> None:
        """The call of a turn goes out, perhaps some time after it: the next one keeps its distance from that."""
        self._last = asyncio.get_running_loop().time()
        self._next = max(self._next, self._last + self.rate.spacing)

    def hold(self, seconds: float) -> None:
        """Hand out no turn for so long."""
        self._held_until = max(self._held_until, asyncio.get_running_loop().time() + seconds)
        self._next = max(self._next, self._held_until)
