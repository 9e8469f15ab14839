"""How bodies are read: bounded in size, and large ones only while the process has memory for them."""

import asyncio
import ctypes
from asyncio import selector_events, sslproto
from contextlib import ExitStack, suppress

import aiohttp

MIB = 1024 * 1024

ERROR_LIMIT = 64 * 1024  # bytes that are read of an error's body. Real ones have some hundred; the rest is cut off.
BUDGET = 16 * MIB
UNRESERVED = MIB  # bytes of an answer that need no share of the budget. Real answers stay below.
BUDGET_WAIT = 60.0  # seconds that an answer waits for its share at most
_ANSWER_LIMITS = {"ListSessionByUserName": 2 * MIB, "ListSessions": 2 * MIB, "ListUsers": 4 * MIB}
_READ_SIZE = 4 * 1024
_M_MMAP_THRESHOLD = -3  # of malloc.h

# asyncio reads 256 KiB at once. A hostile server fits 10,000 answers or chunks into that, which take 50 ms to parse on
# one connection alone. Reads of 4 KiB hold a usual answer, and make a page of 1 MiB 2 ms slower.
selector_events._SelectorTransport.max_size = _READ_SIZE  # type: ignore[attr-defined] # noqa: SLF001 - no public switch
sslproto.SSLProtocol.max_size = _READ_SIZE

# glibc raises this threshold by itself, and then keeps the memory of large bodies. This is MALLOC_MMAP_THRESHOLD_.
with suppress(OSError, AttributeError):  # other C libraries have no such call
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 128 * 1024)


def answer_limit(operation: str) -> int:
    """Return the bytes that a successful answer of this operation may have.

    A session has about 2 KB, and 10 KB with a long list of processes. A user has about 1 KB, and 1,000 fill a page.
    """
    return _ANSWER_LIMITS.get(operation, MIB)


class BodyTooLongError(ValueError):
    """A successful answer that is longer than any real one."""


class ByteBudget:
    """The bytes of large answers that the process may hold at once. Waiting answers are served in their order."""

    def __init__(self, size: int = BUDGET) -> None:
        self.size = self.free = size
        self._queue = asyncio.Lock()
        self._released = asyncio.Event()

    async def take(self, size: int, held: ExitStack) -> None:
        """Wait until this many bytes are free, and take them until ``held`` is closed."""
        size = min(size, self.size)
        async with self._queue:
            while self.free < size:
                self._released.clear()
                await self._released.wait()
            self.free -= size
            held.callback(self._release, size)

    def _release(self, size: int) -> None:
        self.free += size
        self._released.set()


async def read_answer(
    response: aiohttp.ClientResponse, limit: int, budget: ByteBudget, held: ExitStack, deadline: asyncio.Timeout
) -> bytes:
    """Read the body of a successful answer.

    An answer that is or becomes large takes its whole limit from the budget, and ``held`` releases it. So answers that
    are half read never wait for each other. The wait does not count against the deadline.

    Raises:
        BodyTooLongError: the body is longer than the limit. The connection is closed.
        TimeoutError: the budget was used up for BUDGET_WAIT seconds.
    """
    reserved = False

    async def admit(size: int) -> None:
        nonlocal reserved
        if size > limit:
            response.close()
            raise BodyTooLongError(f"body over {limit} bytes")
        if size > UNRESERVED and not reserved:
            reserved = True
            now = asyncio.get_running_loop().time
            left = (deadline.when() or 0.0) - now()
            deadline.reschedule(None)
            async with asyncio.timeout(BUDGET_WAIT):
                await budget.take(limit, held)
            deadline.reschedule(now() + left)

    announced = response.content_length
    if announced is not None and announced <= min(UNRESERVED, limit):
        return await response.read()
    await admit(announced or 0)
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        await admit(len(body))
    return bytes(body)


async def read_error(response: aiohttp.ClientResponse) -> bytes:
    """Read the beginning of an error's body. The connection is closed if there is more."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ERROR_LIMIT:
            response.close()
            break
    return bytes(body[:ERROR_LIMIT])
