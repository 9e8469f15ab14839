"""Waiting for what blocks, without keeping the process from ending."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_a_thread(function: Callable[[], T]) -> T:
    """The result, from a thread of its own that the end of the process does not wait for.

    It does wait for those of the event loop's executor, and of ``asyncio.to_thread``.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(error: BaseException | None, result: T | None) -> None:
        if future.done():
            return
        if error:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type] # there is one where there is no error

    def run() -> None:
        error, result = None, None
        try:
            result = function()
        except BaseException as raised:  # noqa: BLE001 - whoever waits gets it
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(deliver, error, result)

    threading.Thread(target=run, daemon=True).start()
    return await future
