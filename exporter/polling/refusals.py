"""Pauses for credentials that are refused, so that no key and no account gets locked."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

FIRST_PAUSE = 60.0
"""Seconds without a call after a refusal; doubled with each further one."""

LONGEST_PAUSE = 15 * 60.0

SEVERAL = 2
"""Projects that have to be refused with the same credentials before these pause for all that share them."""

MOST_REFUSED = 4
"""Refused calls within LOCK_WINDOW after which no further one is made, whatever has been replaced meanwhile."""

LOCK_WINDOW = 300.0
"""Seconds in which the cloud counts refusals: five in a row lock a key for as long."""

_CLOCK_TICK = 0.001  # seconds; a sleep that is much shorter may end before the clock has moved
_LOOK_INTERVAL = 5.0  # seconds between two looks whether the refused credentials have been replaced


class Paused(Exception):
    """Nothing was asked, because the cloud refuses the credentials."""


class Standing:
    """How what the cloud would lock, a key or an account, stands with it; projects may share it.

    Times are the event loop's.
    """

    def __init__(self) -> None:
        self.accepted: object = self
        """What the cloud accepted the last time that it judged; the standing itself where that is nothing."""
        self.refused: object = self
        """What the cloud refused last; the standing itself where that is nothing."""
        self.refused_for: set[str] = set()
        """The projects that were refused since any was accepted."""
        self.resume_at = 0.0
        self.unproven_call = asyncio.Lock()
        self._refused_at: deque[float] = deque(maxlen=MOST_REFUSED)
        """When it was refused since it was accepted."""

    @property
    def closed_until(self) -> float:
        """When the next call may be made after as many refusals as are allowed; in the past where there were fewer."""
        return self._refused_at[0] + LOCK_WINDOW if len(self._refused_at) == MOST_REFUSED else 0.0

    @property
    def matters(self) -> bool:
        """Whether it must not be forgotten, even if no project has these credentials at present."""
        return bool(self._refused_at) and self._refused_at[-1] + LONGEST_PAUSE > _steady()

    def note_acceptance(self, credentials: object) -> None:
        """The cloud took these."""
        self.accepted = credentials
        self.refused_for.clear()
        self._refused_at.clear()

    def note_refusal(self) -> None:
        """The cloud refused a call."""
        self._refused_at.append(_steady())


class Refusals:
    """Whether the cloud accepts the credentials of a project. Times are the event loop's.

    ``present`` tells the credentials from others: what it returns changes when somebody replaces them, which ends a
    pause at once.
    """

    def __init__(self, project: str, present: Callable[[], object], standing: Standing) -> None:
        self.project = project
        self.present = present
        self.standing = standing
        self._on_trial = True
        self._pause = FIRST_PAUSE
        self._resume_at = 0.0
        self._unproven_call = asyncio.Lock()

    def go_on_from(self, before: Refusals) -> None:
        """Take over what these have come to."""
        self._on_trial, self._pause, self._resume_at = before._on_trial, before._pause, before._resume_at

    @property
    def proven(self) -> bool:
        """Whether the cloud accepted the present credentials the last time that it judged any."""
        return not self._on_trial and self.standing.accepted == self.present()

    @property
    def rest(self) -> float:
        """Seconds until a pause ends by itself; 0 or less where there is none."""
        standing = self.standing
        until = max(self._resume_at, standing.resume_at) if standing.refused == self.present() else 0.0
        return max(until, standing.closed_until) - _steady()

    @property
    def pausing(self) -> bool:
        """Whether a pause goes on."""
        return self.rest > 0

    def check(self) -> None:
        """Raise Paused while a pause goes on."""
        if self.pausing:
            raise Paused

    async def wait(self) -> None:
        """Wait for the end of a pause."""
        while self.pausing:  # noqa: ASYNC110 - nothing tells of a file that has been replaced
            await asyncio.sleep(min(max(self.rest, _CLOCK_TICK), _LOOK_INTERVAL))

    async def settled(self) -> None:
        """Wait as long as an unproven call is under way."""
        while not self.proven and self.standing.unproven_call.locked():
            async with self.standing.unproven_call:
                pass

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """Room to send one call: a room for one as long as the credentials are unproven.

        Else a wrong key would be refused many times at once. Of each project one call at most waits for it, so that no
        project waits behind all calls of another.

        Raises:
            Paused: on entering, a pause goes on.
        """
        async with AsyncExitStack() as locks:
            for lock in (self._unproven_call, self.standing.unproven_call):
                if not self.proven:
                    await locks.enter_async_context(lock)
            if self.proven:
                await locks.aclose()
            self.check()
            yield

    def accepted(self, credentials: object) -> None:
        """A call with these got past the cloud's door; one that ends in a pause began before it, and proves nothing."""
        if not self.pausing:
            self._on_trial = False
            self._pause = FIRST_PAUSE
            self.standing.note_acceptance(credentials)

    def refused(self, credentials: object) -> float | None:
        """A call with these was answered 401: seconds of the pause that begins; None where none does.

        Calls that were under way together bring one pause, and those with credentials since replaced bring none.
        """
        standing = self.standing
        pausing = self.pausing
        standing.note_refusal()
        if pausing or credentials != self.present():
            return None
        pause = self._pause
        self._on_trial = True
        self._pause = min(2 * pause, LONGEST_PAUSE)
        self._resume_at = _steady() + pause
        standing.accepted, standing.refused = standing, credentials
        standing.refused_for.add(self.project)
        if len(standing.refused_for) >= SEVERAL:  # so it is not for one project's sake that they are refused
            standing.resume_at = self._resume_at
        return pause


def _steady() -> float:
    return asyncio.get_running_loop().time()
