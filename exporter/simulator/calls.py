"""The record of what was asked, for tests and for the curious."""

from collections import Counter, deque
from dataclasses import dataclass

REMEMBERED = 100_000
"""So many calls are remembered with their times; the counts go on for ever."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when by the clock, what (`unknown` for a path of no operation), and the status it was answered with.

    An answer that a fault held back or cut off counts with the status it would have had.
    """

    at: float
    operation: str
    status: int
    target: str


class Calls:
    """All calls since the start."""

    def __init__(self) -> None:
        self.log: deque[Call] = deque(maxlen=REMEMBERED)
        self.counts: Counter[tuple[str, int]] = Counter()

    def record(self, call: Call) -> None:
        """Note a call."""
        self.log.append(call)
        self.counts[call.operation, call.status] += 1

    def total(self, operation: str) -> int:
        """The calls of an operation, whatever came of them."""
        return sum(count for (name, _), count in self.counts.items() if name == operation)

    def times(self, operation: str) -> list[float]:
        """When the remembered calls of an operation arrived, in seconds of the clock."""
        return [call.at for call in self.log if call.operation == operation]
