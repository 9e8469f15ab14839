"""An event loop whose time flies: where all tasks sleep, it jumps to the next one's awakening.

A day of polling passes in a moment, and every run is the same. Only for code without sockets.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

EPOCH = 1_767_225_600.0
"""Wall time at the loop's start: 2026-01-01 00:00 UTC."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits; notes instead how long the loop wanted to."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits for something that never comes")
        self.elapsed += max(timeout, 0)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at time 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self._jumping.elapsed


def wall_clock() -> float:
    """The wall clock that goes with the running virtual loop."""
    return EPOCH + asyncio.get_running_loop().time()


async def until(time: float) -> None:
    """Sleep until this time of the running loop."""
    await asyncio.sleep(time - asyncio.get_running_loop().time())


def run_virtually(main: Coroutine[Any, Any, T], *, debug: bool = False) -> T:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop, debug=debug) as runner:
        return runner.run(main)
