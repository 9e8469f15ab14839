"""The last hour of a project, minute by minute, and its last minutes in shorter steps. Memory is bounded."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from exporter.fleet.counts import Attempts
from exporter.fleet.members import DOCUMENTED_STATES, OTHER
from exporter.fleet.spike import WINDOW, is_spike

MINUTES = 60
"""Points of a history."""

CHARTED_STATES = (*DOCUMENTED_STATES, OTHER)
_STEP = 10.0  # seconds in which starts and failures are counted together. The window is up to this much longer.


class Point(msgspec.Struct, frozen=True, gc=False):
    """One minute. Unknown values are None."""

    minute: int  # its number on the clock of the observations
    sessions: tuple[int, ...] | None = None  # at its end, by CHARTED_STATES
    starts: int | None = None  # including those that failed
    failures: int | None = None
    age: float | None = None  # the greatest age of the data in this minute, in seconds


@dataclass(frozen=True, slots=True)
class Recent:
    """How it went lately, as of the last observation."""

    starts: int = 0  # within the window of a spike, including those that failed
    failures: int = 0
    failing_users: int = 0  # distinct users of these failures
    failures_by_group: Mapping[str, int] = field(default_factory=dict)  # by id of the server group
    spike_for: float | None = None  # seconds for which the failures have been an incident; None if they are none
    points: tuple[Point, ...] = ()  # of the last hour, the newest last. A minute without observation has none.

    @property
    def failed(self) -> int:
        """Failed starts, including those that are not counted yet."""
        return _failed(self.failures, self.failing_users)

    @property
    def minutes(self) -> int:
        """Minutes of the window in which starts are known, the present one included: 5, or fewer after the first."""
        known_since = next((point.minute for point in self.points if point.starts is not None), None)
        since_then = 1 if known_since is None else self.points[-1].minute - known_since + 1
        return min(since_then, int(WINDOW // 60))


class History:
    """Remembers what is observed of a project, at times in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._attempts = Attempts()  # as last observed
        self._steps: dict[int, tuple[int, int, Counter[str]]] = {}
        """Starts, failures and failures by server group in each step of the window."""
        self._points: deque[Point] = deque(maxlen=MINUTES)
        self._spike_at: float | None = None  # when the present incident was first observed

    def observe(  # noqa: PLR0913 - all that is remembered
        self,
        at: float,
        attempts: Attempts,
        *,
        users: int,
        failing_users: int,
        sessions: Mapping[str, int] | None,
        up: bool,
        age: float | None,
    ) -> Recent:
        """Note the state of a project at a time, and return how it went lately.

        ``failing_users`` are those of the failures in the window. ``sessions`` are counted by state, None if unknown.
        ``up`` says whether the cloud answers, so that no start means that nobody started a session. ``age`` is that of
        the data in seconds, None before there is any.
        """
        starts = attempts.starts.total - self._attempts.starts.total
        failures = attempts.failures.total - self._attempts.failures.total
        if starts or failures:
            by_group = attempts.failures.by_server_group - self._attempts.failures.by_server_group
            self._count(int(at // _STEP), starts, failures, by_group)
        self._attempts = attempts
        known = up or starts or failures
        point = Point(int(at // 60), _by_state(sessions), starts if known else None, failures if known else None, age)
        self._add(point)
        self._forget_steps(int((at - WINDOW) // _STEP))
        groups: Counter[str] = Counter()
        for _, _, each in self._steps.values():
            for group, failed in each.items():
                groups[group] += failed
        starts = sum(starts for starts, _, _ in self._steps.values())
        failures = sum(failures for _, failures, _ in self._steps.values())
        failed = _failed(failures, failing_users)
        spike = is_spike(users=users, failing_users=failing_users, failures=failed, starts=starts)
        self._spike_at = (at if self._spike_at is None else self._spike_at) if spike else None
        spike_for = None if self._spike_at is None else at - self._spike_at
        return Recent(starts, failures, failing_users, groups, spike_for, tuple(self._points))

    def _count(self, step: int, starts: int, failures: int, by_group: Counter[str]) -> None:
        before = self._steps.get(step, (0, 0, Counter[str]()))
        self._steps[step] = before[0] + starts, before[1] + failures, before[2] + by_group

    def _forget_steps(self, before: int) -> None:
        while self._steps and (oldest := next(iter(self._steps))) < before:
            del self._steps[oldest]

    def _add(self, point: Point) -> None:
        """Add what was observed in a minute to its point."""
        while self._points and self._points[0].minute <= point.minute - MINUTES:
            self._points.popleft()
        if self._points and self._points[-1].minute == point.minute:
            before = self._points.pop()
            starts, failures = _sum(before.starts, point.starts), _sum(before.failures, point.failures)
            age = max((each for each in (before.age, point.age) if each is not None), default=None)
            point = Point(point.minute, point.sessions, starts, failures, age)
        self._points.append(point)


def _failed(failures: int, failing_users: int) -> int:
    """Return the failed starts. Failures wait until the starts of the same moment are counted; their users do not."""
    return max(failures, failing_users)


def _sum(one: int | None, other: int | None) -> int | None:
    """Return the sum of what is known, None if nothing is."""
    return one if other is None else other + (one or 0)


def _by_state(sessions: Mapping[str, int] | None) -> tuple[int, ...] | None:
    if sessions is None:
        return None
    documented = [sessions.get(state, 0) for state in DOCUMENTED_STATES]
    return (*documented, sum(sessions.values()) - sum(documented))
