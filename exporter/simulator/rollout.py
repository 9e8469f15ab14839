"""Releases that reach the machines little by little."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rollout:
    """A new release every `period` seconds since `begin`, each spread over `duration` seconds."""

    begin: float
    duration: float
    period: float

    def release(self, share: float, at: float) -> int:
        """The number of the release that a machine runs; `share` in [0, 1) is its place in the queue."""
        latest = math.floor((at - self.begin) / self.period)
        since = (at - self.begin) % self.period
        return latest if since >= share * self.duration else latest - 1
