"""The pace of one operation: requests spread evenly within the rate limit, fewer while the cloud throttles."""

import asyncio
import math
from collections import deque
from collections.abc import Hashable
from typing import Protocol

from exporter.polling.source import fair_level

SHARE_OF_QUOTA = 0.97  # share of a quota named by a 429 that is used: the cloud's minutes do not begin with ours
WINDOW = 60.5  # seconds within which no more than a named quota is sent, with a margin for the way to the cloud
MINIMUM_SHARE = 0.05  # share of the rate limit that always remains: slower, no number would ever be fresh
# Share of the rate limit that each minute restores after a 429: from the minimum to the full rate in 5 minutes.
RECOVERY_PER_MINUTE = 0.2
SETTLING = 10.0  # seconds after a slow-down in which further 429 are attributed to requests that were already in flight
SLOW_DOWN = 0.97  # factor for a 429 among successes: a few random ones must not cost much throughput
# Factor once MANY of the last RECENT requests were throttled: the rate is above a quota that nobody names.
STRONG_SLOW_DOWN = 0.7
MANY, RECENT = 4, 20

_DEMANDS_LAST = 0.5  # seconds for which the demands of all lanes are remembered
_RECHECK = 1.0  # seconds; while the rate recovers, the next turn comes earlier than it seemed


def monotonic() -> float:
    """Return seconds on the event loop's clock."""
    return asyncio.get_running_loop().time()


class Sharer(Hashable, Protocol):
    """A lane that sends its requests at a pace."""

    @property
    def demand(self) -> float:
        """Requests per minute that the configured interval asks for."""


class Pace:
    """Gives one turn at a time, in rotation, to the lanes that share a rate limit. Times are the event loop's.

    A turn that nobody took in time is lost: there are no bursts.
    """

    def __init__(self) -> None:
        self._limits: dict[Sharer, float] = {}
        self._waiting: dict[Sharer, deque[asyncio.Future[None]]] = {}
        self._timer: asyncio.Handle | None = None
        self._sent: deque[float] = deque()
        self._wanted_since = 0.0
        self._held_until = 0.0
        self._quota: float | None = None
        self._slowed_to = math.inf
        self._slowed_at = 0.0
        self._settled_at = 0.0
        self._factor = 1.0
        self._throttled: deque[bool] = deque(maxlen=RECENT)  # whether the last requests were throttled
        self._demands: list[float] = []
        self._demands_expire_at = 0.0
        self._total = 0.0
        self._levels: dict[float, float] = {}
        self.delayed = 0.0  # seconds by which throttling has delayed turns since the start, of all lanes together

    def join(self, lane: Sharer, rate_limit: float) -> None:
        """Let a lane take turns, or change its rate limit in requests per minute. The lowest limit applies to all."""
        before = self.limit if self._limits else rate_limit
        self._limits[lane] = rate_limit
        self.forget_demands()
        if before != self.limit:
            self._quota, self._slowed_to = None, math.inf

    def leave(self, lane: Sharer) -> None:
        """Stop counting on a lane's demand."""
        self._limits.pop(lane, None)
        self.forget_demands()

    @property
    def must_be_kept(self) -> bool:
        """Whether lanes use the pace, or sent so lately that the cloud still counts it."""
        return bool(self._limits) or (bool(self._sent) and self._sent[-1] > monotonic() - WINDOW)

    @property
    def limit(self) -> float:
        """The rate limit in requests per minute."""
        return min(self._limits.values(), default=math.inf)

    @property
    def ceiling(self) -> float:
        """Requests per minute when nothing throttles: the rate limit, or what a named quota leaves of it."""
        if self._quota is None:
            return self.limit
        return min(self.limit, SHARE_OF_QUOTA * self._quota)

    @property
    def rate(self) -> float:
        """Requests per minute at present."""
        minutes = (monotonic() - self._slowed_at) / 60
        return min(self.ceiling, self._slowed_to + RECOVERY_PER_MINUTE * self.ceiling * minutes)

    def share(self, lane: Sharer, rate: float | None = None) -> float:
        """Return at least a lane's fair share of a rate, by default of the ceiling, in requests per minute.

        A demand fits exactly if it does not exceed the share.
        """
        rate = self.ceiling if rate is None else rate
        if not self._demands or monotonic() >= self._demands_expire_at:  # there may be a thousand lanes
            self._demands = [each.demand for each in self._limits]
            self._total = sum(self._demands)
            self._demands_expire_at = monotonic() + _DEMANDS_LAST
            self._levels = {}
        if rate not in self._levels:
            self._levels[rate] = fair_level(rate, self._demands)
        level = self._levels[rate]
        if level < math.inf:
            return level
        return max(rate - self._total + lane.demand, rate / len(self._demands))

    def forget_demands(self) -> None:
        """Note that the demand of a lane has changed."""
        self._demands = []

    async def turn(self, lane: Sharer) -> None:
        """Wait for a lane's turn to send one request."""
        if not self._waiting:
            self._wanted_since = monotonic()
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(lane, deque()).append(turn)
        if self._timer is None:
            self._give_turns()
        await turn

    def throttled(self, quota: float | None, retry_after: float) -> None:
        """Slow down after a 429 that may name a quota in requests per minute, and pause for ``retry_after`` seconds."""
        now, rate = monotonic(), self.rate
        self._held_until = max(self._held_until, now + retry_after)
        self._throttled.append(True)
        if quota is not None and quota >= 1:  # less than one per minute is not plausible
            self._quota = quota
        factor = SLOW_DOWN if sum(self._throttled) < MANY else STRONG_SLOW_DOWN
        if now < self._settled_at and factor >= self._factor:
            return
        self._settled_at, self._factor = now + SETTLING, factor
        if self.ceiling < rate:  # the named quota explains the 429
            self._factor = STRONG_SLOW_DOWN
            return
        self._slowed_to, self._slowed_at = max(factor * rate, MINIMUM_SHARE * self.limit), now

    def succeeded(self) -> None:
        """Note that the cloud did not throttle a request."""
        self._throttled.append(False)

    def _give_turns(self) -> None:
        """Give the next turn, at most one in each round of the event loop: others must not wait for bursts."""
        loop, self._timer = asyncio.get_running_loop(), None
        while self._waiting:
            now, ready = monotonic(), self._ready_at()
            if ready > now:
                self._timer = loop.call_at(min(ready, now + _RECHECK), self._give_turns)
                return
            lane, turns = next(iter(self._waiting.items()))
            del self._waiting[lane]
            turn = turns.popleft()
            if turns:
                self._waiting[lane] = turns  # behind the others
            if not turn.done():
                self._note_sent(now)
                turn.set_result(None)
                self._timer = loop.call_soon(self._give_turns)
                return

    def _ready_at(self) -> float:
        """When the next request may be sent."""
        ready = self._held_until
        if self._sent:
            ready = max(ready, self._sent[-1] + 60 / self.rate)
        if self._quota is not None and len(self._sent) >= (most := math.ceil(self.ceiling)):
            ready = max(ready, self._sent[-most] + WINDOW)
        return ready

    def _note_sent(self, now: float) -> None:
        expected = self._wanted_since
        if self._sent:
            expected = max(expected, self._sent[-1] + 60 / self.ceiling)
        self.delayed += max(now - expected, 0.0)
        self._wanted_since = now
        self._sent.append(now)
        while self._sent[0] <= now - WINDOW:
            self._sent.popleft()
