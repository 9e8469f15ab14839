"""How fast requests are sent: within a rate limit and a quota, and slower while the cloud throttles."""

import asyncio
import math
from collections import deque
from collections.abc import Hashable
from typing import Protocol

from exporter.polling.source import fair_level

SHARE_OF_QUOTA = 0.97  # share of a quota named by a 429 that is used: the cloud's minutes do not begin with ours
WINDOW = 60.5  # seconds within which no more than a named quota is sent, with a margin for the way to the cloud
QUOTA_MEMORY = 3600.0  # seconds after which a named quota is tried again, unless another 429 names it
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
        """Requests per minute that the configured interval requires."""


class Pace:
    """Gives one turn at a time, in rotation, to the lanes that share a rate limit. Times are the event loop's.

    A turn that nobody took in time is lost: there are no bursts.
    """

    def __init__(self) -> None:
        self._limits: dict[Sharer, float] = {}
        self._waiting: dict[Sharer, deque[asyncio.Future[None]]] = {}
        self._waiting_ahead: dict[Sharer, deque[asyncio.Future[None]]] = {}
        self._timer: asyncio.Handle | None = None
        self._sent: deque[float] = deque()
        self._quota: float | None = None
        self._quota_at = self._explained_until = -math.inf
        self._demands: list[float] = []
        self._demands_expire_at = 0.0

    def join(self, lane: Sharer, rate_limit: float) -> None:
        """Let a lane take turns, or change its rate limit in requests per minute. The lowest limit applies to all."""
        before = self.limit if self._limits else rate_limit
        self._limits[lane] = rate_limit
        self.forget_demands()
        if before != self.limit:
            self._quota = None

    def leave(self, lane: Sharer) -> None:
        """Stop counting on a lane's demand."""
        self._limits.pop(lane, None)
        self.forget_demands()

    @property
    def must_be_kept(self) -> bool:
        """Whether lanes use the pace, or sent so lately that the cloud still counts it."""
        return bool(self._limits) or (bool(self._sent) and self._sent[-1] > monotonic() - WINDOW)

    @property
    def lanes(self) -> int:
        """How many lanes share the pace."""
        return len(self._limits)

    @property
    def limit(self) -> float:
        """The rate limit in requests per minute."""
        return min(self._limits.values(), default=math.inf)

    @property
    def ceiling(self) -> float:
        """Requests per minute: the rate limit, or what a named quota leaves of it."""
        if self._quota is not None and monotonic() > self._quota_at + QUOTA_MEMORY:
            self._quota = None
        return self.limit if self._quota is None else min(self.limit, SHARE_OF_QUOTA * self._quota)

    def share(self, lane: Sharer) -> float:
        """Return at least a lane's fair share of the ceiling, in requests per minute.

        A demand fits exactly if it does not exceed the share.
        """
        ceiling = self.ceiling
        if not self._demands or monotonic() >= self._demands_expire_at:  # there may be a thousand lanes
            self._demands = [each.demand for each in self._limits]
            self._demands_expire_at = monotonic() + _DEMANDS_LAST
            self._total, self._level = sum(self._demands), fair_level(ceiling, self._demands)
        if self._level < math.inf:
            return self._level
        return max(ceiling - self._total + lane.demand, ceiling / len(self._demands))

    def forget_demands(self) -> None:
        """Note that the demand of a lane has changed."""
        self._demands = []

    async def turn(self, lane: Sharer, *, ahead: bool = False) -> None:
        """Wait for a lane's turn to send one request, perhaps ahead of all that wait for an ordinary one."""
        turn = asyncio.get_running_loop().create_future()
        waiting = self._waiting_ahead if ahead else self._waiting
        waiting.setdefault(lane, deque()).append(turn)
        if self._timer is None:
            self._give_turns()
        await turn

    def explains(self, quota: float | None) -> bool:
        """Keep to a quota in requests per minute that a 429 named. Return whether the pace was above it."""
        if quota is None or quota < 1:  # less than one per minute is not plausible
            return False
        now, before = monotonic(), self.ceiling
        self._quota, self._quota_at = quota, now
        if self.ceiling < before:
            self.forget_demands()
            self._explained_until = now + SETTLING
        return now < self._explained_until

    def _give_turns(self) -> None:
        """Give the next turn, at most one in each round of the event loop: others must not wait for bursts."""
        loop, self._timer = asyncio.get_running_loop(), None
        while waiting := self._waiting_ahead or self._waiting:
            now, ready = monotonic(), self._ready_at()
            if ready > now:
                self._timer = loop.call_at(ready, self._give_turns)
                return
            lane, turns = next(iter(waiting.items()))
            del waiting[lane]
            turn = turns.popleft()
            if turns:
                waiting[lane] = turns  # behind the others
            if not turn.done():
                self._sent.append(now)
                while self._sent[0] <= now - WINDOW:
                    self._sent.popleft()
                turn.set_result(None)
                self._timer = loop.call_soon(self._give_turns)
                return

    def _ready_at(self) -> float:
        """Return when the next request may be sent."""
        ceiling = self.ceiling
        ready = self._sent[-1] + 60 / ceiling if self._sent else 0.0
        if self._quota is not None and len(self._sent) >= (most := math.ceil(ceiling)):
            ready = max(ready, self._sent[-most] + WINDOW)
        return ready


class Throttle:
    """Slows one lane down after a 429 without a quota, and pauses it as the cloud asks. Time restores the rate.

    It is not shared: where a quota of the account is exceeded, each lane that is throttled slows itself down.
    """

    def __init__(self) -> None:
        self.delayed = 0.0  # seconds that requests have waited since the start, overlapping ones once
        self._delayed_until = 0.0
        self._held_until = 0.0
        self._last = -math.inf
        self._slowed_to, self._slowed_at = math.inf, 0.0
        self._settled_at, self._factor = 0.0, 1.0
        self._throttled: deque[bool] = deque(maxlen=RECENT)  # whether the last requests were throttled

    @property
    def paused(self) -> bool:
        """Whether the cloud has queried for a pause that is not over."""
        return self._held_until > monotonic()

    def rate(self, ceiling: float) -> float:
        """Return the requests per minute at present, of this many without throttling."""
        minutes = (monotonic() - self._slowed_at) / 60
        return min(ceiling, self._slowed_to + RECOVERY_PER_MINUTE * ceiling * minutes)

    async def wait(self, ceiling: float) -> None:
        """Wait until the next request may be sent."""
        began = monotonic()
        while (ready := self._ready_at(ceiling)) > monotonic():  # noqa: ASYNC110 - only time restores the rate
            await asyncio.sleep(min(ready - monotonic(), _RECHECK))
        self._last = now = monotonic()
        if now > began:
            self.delayed += now - max(began, self._delayed_until)
            self._delayed_until = now

    def slow_down(self, ceiling: float, *, retry_after: float, explained: bool) -> None:
        """Note a 429: pause for ``retry_after`` seconds, and slow down unless a named quota explains it."""
        now = monotonic()
        self._held_until = max(self._held_until, now + retry_after)
        self._throttled.append(True)
        factor = SLOW_DOWN if sum(self._throttled) < MANY else STRONG_SLOW_DOWN
        if explained or (now < self._settled_at and factor >= self._factor):
            return
        self._settled_at, self._factor = now + SETTLING, factor
        self._slowed_to, self._slowed_at = max(factor * self.rate(ceiling), MINIMUM_SHARE * ceiling), now

    def note_success(self) -> None:
        """Note that the cloud did not throttle a request."""
        self._throttled.append(False)

    def _ready_at(self, ceiling: float) -> float:
        rate = self.rate(ceiling)
        return max(self._held_until, self._last + 60 / rate if rate < ceiling else 0.0)
