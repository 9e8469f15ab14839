"""Waiting for blocking calls without delaying the end of the process."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def in_a_thread(function: Callable[[], T]) -> T:
    """Return the function's result, from a daemon thread: threads of executors and of asyncio are joined at exit."""
    future = Future[T]()

    def run() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - the caller gets it
                future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(future)
