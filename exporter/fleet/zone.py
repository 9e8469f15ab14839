"""The time zone of times that name none, learned from sessions that are also listed with times in UTC."""

from collections import deque
from collections.abc import Iterable

from exporter.cloud.models import ListedSession

_STEP = 900.0  # seconds: time zones differ by a multiple of 15 minutes
_TOLERANCE = 2.0  # seconds by which the two times of one start may differ besides
_FURTHEST = 14 * 3600.0  # seconds
_REMEMBERED = 1000  # sessions
_COMPARED = 200  # starts


class TimeZone:
    """The zone of the times of ListSessionByUserName."""

    def __init__(self) -> None:
        self.ahead: float | None = None  # of UTC, in seconds; None while it is unknown
        self._local: dict[str, float] = {}  # starts without a zone by session id, the latest listed last
        self._utc: dict[str, float] = {}
        self._latest = deque[float](maxlen=_COMPARED)  # what the latest comparisons say

    def learn(self, sessions: Iterable[ListedSession]) -> None:
        """Compare the starts of sessions with those that the other operation listed.

        While the latest comparisons contradict each other, the zone is unknown.
        """
        for each in sessions:
            session_id = each.session.id
            if session_id and each.started is not None:
                starts, others = (self._utc, self._local) if each.utc else (self._local, self._utc)
                starts.pop(session_id, None)
                starts[session_id] = each.started
                if session_id in others:
                    self._compare(self._local[session_id] - self._utc[session_id])
        for starts in (self._local, self._utc):
            while len(starts) > _REMEMBERED:
                del starts[next(iter(starts))]
        self.ahead = self._latest[-1] if len(set(self._latest)) == 1 else None

    def _compare(self, difference: float) -> None:
        ahead = round(difference / _STEP) * _STEP
        if abs(difference - ahead) <= _TOLERANCE and abs(ahead) <= _FURTHEST:
            self._latest.append(ahead)
