"""Pauses for credentials that are refused, so that no key and no account gets locked."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_PAUSE = 60.0
"""Seconds without a call after a refusal; doubled with each further one."""

LONGEST_PAUSE = 15 * 60.0

SEVERAL = 2
"""Projects that have to be refused with the same credentials before these pause for all that share them."""

_LOOK_INTERVAL = 5.0  # seconds between two looks whether the refused credentials have been replaced


class Paused(Exception):
    """Nothing was asked, because the cloud refuses the credentials."""


class Standing:
    """How credentials that several projects may share stand with the cloud."""

    def __init__(self) -> None:
        self.accepted: object = self
        """What the cloud accepted the last time that it judged; the standing itself where that is nothing."""
        self.refused: object = self
        """What the cloud refused last; the standing itself where that is nothing."""
        self.refused_for: set[str] = set()
        """The projects that were refused since any was accepted."""
        self.resume_at = 0.0
        self.unproven_call = asyncio.Lock()


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
        return max(self._resume_at, self.standing.resume_at) - asyncio.get_running_loop().time()

    @property
    def pausing(self) -> bool:
        """Whether a pause goes on."""
        return self.rest > 0 and self.standing.refused == self.present()

    def check(self) -> None:
        """Raise Paused while a pause goes on."""
        if self.pausing:
            raise Paused

    async def wait(self) -> None:
        """Wait for the end of a pause."""
        while self.pausing:  # noqa: ASYNC110 - nothing tells of a file that has been replaced
            await asyncio.sleep(min(self.rest, _LOOK_INTERVAL))

    def alone(self) -> AbstractAsyncContextManager[object]:
        """A room for one, as long as the credentials are unproven, lest a wrong key be refused many times at once."""
        return nullcontext() if self.proven else self.standing.unproven_call

    def accepted(self, credentials: object) -> None:
        """A call with these got past the cloud's door; one that ends in a pause began before it, and proves nothing."""
        if not self.pausing:
            self._on_trial = False
            self._pause = FIRST_PAUSE
            self.standing.accepted = credentials
            self.standing.refused_for.clear()

    def refused(self, credentials: object) -> float | None:
        """A call with these was answered 401: seconds of the pause that begins; None where none does.

        Calls that were under way together bring one pause, and those with credentials since replaced bring none.
        """
        if self.pausing or credentials != self.present():
            return None
        pause, standing = self._pause, self.standing
        self._on_trial = True
        self._pause = min(2 * pause, LONGEST_PAUSE)
        self._resume_at = asyncio.get_running_loop().time() + pause
        standing.accepted, standing.refused = standing, credentials
        standing.refused_for.add(self.project)
        if len(standing.refused_for) >= SEVERAL:  # so it is not for one project's sake that they are refused
            standing.resume_at = self._resume_at
        return pause
