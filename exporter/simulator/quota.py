"""The account's call quota: per operation, in every window of 60 seconds.

The reference says "200 calls a minute" without saying how a minute is cut. A sliding window is the strictest reading:
a client that keeps to it keeps to any other.
"""

from collections import deque

from exporter.simulator.errors import throttled

WINDOW = 60.0
"""Seconds."""


class Quota:
    """Admits `limit` calls a minute of each operation; 0 admits all. Refused calls do not use it up."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._admitted: dict[str, deque[float]] = {}

    def admit(self, operation: str, now: float) -> None:
        """Let a call pass and remember it.

        Raises:
            GatewayError: 429, the quota is used up.
        """
        if self._limit == 0:
            return
        admitted = self._admitted.setdefault(operation, deque())
        while admitted and admitted[0] <= now - WINDOW:
            admitted.popleft()
        if len(admitted) >= self._limit:
            raise throttled(self._limit)
        admitted.append(now)
