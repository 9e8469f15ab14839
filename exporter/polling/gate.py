"""The gate that protects an access key or an account from being locked by rejected requests."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from exporter.cloud.errors import CloudError, Refused, Unauthorized
from exporter.polling.pace import monotonic

FIRST_PAUSE = 60.0  # seconds without a request after rejected credentials; doubled with each further rejection
# The same where credentials cannot be had for a reason that may pass, such as an IAM that does not answer.
FIRST_PAUSE_UNAVAILABLE = 5.0
LONGEST_PAUSE = 15 * 60.0
LONGEST_PAUSE_UNAVAILABLE = 60.0
SEVERAL = 2  # projects that the same credentials must be rejected for before all projects that use them pause
MOST_REJECTED = 4  # rejections within LOCK_WINDOW after which no request is sent, even with replaced credentials
# Seconds in which the cloud counts rejections: more than five in a row lock a key (see the API notes on AK/SK).
LOCK_WINDOW = 300.0
# Seconds without an answer after which a probe request lets others go: a wrong key is rejected sooner.
PROBE_PATIENCE = 4.5
PROBE_SPACING = 0.3  # seconds at most between two probe requests while earlier ones stay unanswered
PROBE_ROUND = 6.0  # seconds at most until all waiting lanes have sent one then
_CHECK_INTERVAL = 5.0  # seconds between two checks whether rejected credentials have been replaced
_CLOCK_TICK = 0.001  # seconds; a much shorter sleep may end before the clock has moved


class Paused(Exception):
    """No request was sent: a pause for rejected or missing credentials is in effect."""


class KeyGate:
    """What the cloud thinks of one access key or account, for all projects that use it. Times are the event loop's."""

    def __init__(self) -> None:
        self.accepted: object = self  # the credentials that the cloud accepted last; the gate itself if there are none
        self.rejected: object = self  # the credentials that the cloud rejected last; the gate itself if there are none
        self.rejected_for: set[str] = set()  # projects for which it rejected credentials since it last accepted any
        self.resume_at = 0.0
        self._rejected_at: deque[float] = deque(maxlen=MOST_REJECTED)
        self._probes: dict[object, tuple[Access, float]] = {}  # probe requests in flight, by lane, with their start
        self._waiting: dict[object, tuple[object, Access]] = {}  # lanes that wait to probe, in order
        self._change = asyncio.Event()

    @property
    def closed_until(self) -> float:
        """When requests may be sent again after MOST_REJECTED rejections; in the past if there were fewer."""
        return self._rejected_at[0] + LOCK_WINDOW if len(self._rejected_at) == MOST_REJECTED else 0.0

    @property
    def closed(self) -> bool:
        """Whether no request may be sent with whatever credentials."""
        return self.closed_until > monotonic()

    @property
    def must_be_kept(self) -> bool:
        """Whether the gate still matters if no project uses the credentials at present."""
        return bool(self._rejected_at) and self._rejected_at[-1] + LONGEST_PAUSE > monotonic()

    def note_acceptance(self, credentials: object) -> None:
        """Note that the cloud accepted a request with these credentials."""
        changed = self.accepted != credentials
        self.accepted = credentials
        self.rejected_for.clear()
        self._rejected_at.clear()
        if changed:
            self.notify()

    def note_rejection(self) -> None:
        """Note that the cloud rejected a request."""
        self._rejected_at.append(monotonic())

    def notify(self) -> None:
        """Let all waiting lanes look again."""
        self._change.set()
        self._change = asyncio.Event()

    async def wait_for_change(self) -> None:
        """Wait until the cloud's opinion of the credentials may have changed."""
        await self._change.wait()

    async def wait_for_probe(self, lane: object, access: Access) -> bool:
        """Wait until a lane may send a probe request; return False if its credentials were verified meanwhile.

        Raises:
            Paused: a pause has begun.
        """
        ticket = object()
        self._waiting[ticket] = (lane, access)
        try:
            while not access.verified:
                access.check()
                pause = self._pause_before_probe(ticket, lane)
                if pause <= 0:
                    self._probes[lane] = (access, monotonic())
                    return True
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if pause == math.inf else max(pause, _CLOCK_TICK)):
                        await self._change.wait()
            return False
        finally:
            del self._waiting[ticket]
            self.notify()

    def end_probe(self, lane: object) -> None:
        """Note that a lane's probe request has ended, whatever came of it."""
        self._probes.pop(lane, None)
        self.notify()

    def _pause_before_probe(self, ticket: object, lane: object) -> float:
        """Seconds until the waiting lane with this ticket may send a probe request; infinite while others go first."""
        if lane in self._probes:
            return math.inf
        probing = [access for access, _ in self._probes.values()]
        candidates = [t for t, (waiting, access) in self._waiting.items() if waiting not in self._probes]
        if ticket != min(candidates, key=lambda t: self._waiting[t][1].rank + probing.count(self._waiting[t][1])):
            return math.inf
        starts = [start for _, start in self._probes.values()]
        spacing = min(PROBE_SPACING, PROBE_ROUND / (len(candidates) + len(starts)))
        return max(min(starts) + PROBE_PATIENCE, max(starts) + spacing) - monotonic() if starts else 0.0


class Access:
    """A project's access through the gate of its key or account. Times are the event loop's.

    ``present`` returns something that changes when the credentials are replaced, which ends a pause at once.
    """

    def __init__(self, project: str, present: Callable[[], object], gate: KeyGate) -> None:
        self.project = project
        self.present = present
        self.gate = gate
        self.failure: CloudError | None = None  # why the pause in effect began
        self._unverified = True
        self._pause = 0.0
        self._resume_at = 0.0
        self._paused_with: object = None

    @property
    def verified(self) -> bool:
        """Whether the cloud accepted the present credentials the last time that it checked any."""
        return not self._unverified and self.gate.accepted == self.present()

    @property
    def rest(self) -> float:
        """Seconds until the pause in effect ends; 0 or less if there is none."""
        present = self.present()
        until = self.gate.closed_until
        if present == self._paused_with:
            until = max(until, self._resume_at)
        if present == self.gate.rejected:
            until = max(until, self.gate.resume_at)
        return until - monotonic()

    @property
    def paused(self) -> bool:
        """Whether a pause is in effect."""
        return self.rest > 0

    @property
    def rank(self) -> float:
        """Order among projects that wait to send a probe request: those that were rejected come last."""
        return self._pause

    def check(self) -> None:
        """Raise Paused during a pause."""
        if self.paused:
            raise Paused

    async def wait(self) -> None:
        """Wait for the end of a pause."""
        while self.paused:  # noqa: ASYNC110 - nothing announces that a file has been replaced
            await asyncio.sleep(min(max(self.rest, _CLOCK_TICK), _CHECK_INTERVAL))

    async def wait_until_verified(self) -> None:
        """Wait until the cloud has accepted a request with the present credentials."""
        while not self.verified:
            await self.gate.wait_for_change()

    async def request_permit(self, lane: object, slots: asyncio.Semaphore) -> Permit:
        """Return a permit for one request of a lane. Unverified credentials get permits for probe requests only.

        Raises:
            Paused: a pause is in effect.
        """
        await slots.acquire()
        try:
            self.check()
            is_probe = not self.verified and await self.gate.wait_for_probe(lane, self)
        except BaseException:
            slots.release()
            raise
        return Permit(self, lane, slots, is_probe=is_probe)

    def accept(self, credentials: object) -> None:
        """Note that the cloud accepted a request. One that ends during a pause began before it and proves nothing."""
        if not self.paused:
            unverified, self._unverified = self._unverified, False
            self._pause = 0.0
            self.gate.note_acceptance(credentials)
            if unverified:
                self.gate.notify()

    def doubt(self) -> None:
        """Treat the credentials as unverified: they have just been renewed after a rejection."""
        self._unverified = True

    def reject(self, error: CloudError, credentials: object) -> float | None:
        """Note that a request was rejected, or that no credentials could be had for it.

        Return the seconds of the pause that begins; None if none does. Requests that were in flight together cause one
        pause, and those with credentials that have been replaced since cause none.
        """
        rejected = isinstance(error, Unauthorized)
        paused = self.paused
        if rejected:
            self.gate.note_rejection()
        if paused or credentials != self.present():
            return None
        first, longest = FIRST_PAUSE_UNAVAILABLE, LONGEST_PAUSE_UNAVAILABLE
        if isinstance(error, Refused) and not error.passing:
            first, longest = FIRST_PAUSE, LONGEST_PAUSE
        self._pause = min(max(2 * self._pause, first), longest)
        self._unverified = True
        self._resume_at, self._paused_with, self.failure = monotonic() + self._pause, credentials, error.bare()
        if rejected:
            self.gate.accepted, self.gate.rejected = self.gate, credentials
            self.gate.rejected_for.add(self.project)
            if len(self.gate.rejected_for) >= SEVERAL:  # the credentials are wrong, not one project's permissions
                self.gate.resume_at = self._resume_at
        self.gate.notify()
        return self._pause


class Permit:
    """Permission to send one request. It holds a slot of its lane until :meth:`end`."""

    def __init__(self, access: Access, lane: object, slots: asyncio.Semaphore, *, is_probe: bool) -> None:
        self.access = access
        self.credentials = access.present()  # something that changes when the credentials are replaced
        self._lane = lane
        self._slots = slots
        self._is_probe = is_probe

    @property
    def valid(self) -> bool:
        """Whether the request may still be sent: a probe request, or one with verified credentials."""
        return self._is_probe or self.access.verified

    def accept(self) -> None:
        """Note that the cloud accepted the request's credentials."""
        self.access.accept(self.credentials)

    def end(self) -> None:
        """Give the slot back, and let the next probe request go."""
        if self._is_probe:
            self.access.gate.end_probe(self._lane)
        self._slots.release()
