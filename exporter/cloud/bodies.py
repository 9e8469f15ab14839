"""The bodies of answers: read within bounds of time and memory, and searched for error codes.

Large bodies are read only while the process has memory for them. Any body may carry an error code in one of several
forms, under any status.
"""

import asyncio
import ctypes
import re
from asyncio import selector_events, sslproto
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice
from typing import Self, TypeVar

import aiohttp
import msgspec

MIB = 1024 * 1024

ERROR_LIMIT = 64 * 1024  # bytes that are read of an error's body. Real ones have some hundred; the rest is cut off.
BUDGET = 16 * MIB
UNRESERVED = MIB  # bytes of an answer that need no share of the budget. Real answers stay below.
SMALL = 16 * 1024  # bytes up to which any number of answers is read; of those up to UNRESERVED, 16 at once
BUDGET_WAIT = 60.0  # seconds that an answer waits for its share at most
_ANSWER_LIMITS = {
    "ListSessionByUserName": 2 * MIB,
    "ListSessions": 2 * MIB,
    "ListUsers": 4 * MIB,
    "ListServers": 2 * MIB,
    "ListServerGroups": 2 * MIB,
}
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

    A session has about 2 KB, and 10 KB with a long list of processes. A user has about 1 KB, and 1,000 fill a page. A
    server or a group of servers has a few KB, with its product, addresses, metadata and tags.
    """
    return _ANSWER_LIMITS.get(operation, MIB)


class BodyTooLongError(ValueError):
    """A successful answer that is longer than any real one."""


class Deadline:
    """A time limit for the code within it, which can be paused. asyncio.timeout costs twice as much per request."""

    __slots__ = ("_cancelling", "_expired", "_handle", "_loop", "_task")

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task
        self._task = task
        self._cancelling = task.cancelling()
        self._expired = False
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(seconds, self._expire)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._handle.cancel()
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError

    def pause(self) -> float:
        """Stop the clock, and return the seconds that are left."""
        self._handle.cancel()
        return self._handle.when() - self._loop.time()

    def resume(self, seconds: float) -> None:
        """Let the clock run again."""
        self._handle = self._loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()


class ByteBudget:
    """The bytes of large answers that the process may hold at once. Waiting answers are served in their order."""

    def __init__(self, size: int = BUDGET) -> None:
        self.size = self.free = size
        self.medium = asyncio.Semaphore(BUDGET // UNRESERVED)  # admits answers between SMALL and UNRESERVED
        self._queue = asyncio.Lock()
        self._released = asyncio.Event()

    async def take(self, size: int) -> int:
        """Wait until this many bytes are free, or all if it is more. Return how many were taken."""
        size = min(size, self.size)
        async with self._queue:
            while self.free < size:
                self._released.clear()
                await self._released.wait()
            self.free -= size
        return size

    def release(self, size: int) -> None:
        """Return bytes that were taken."""
        self.free += size
        self._released.set()


class Share:
    """What one answer takes of the budget: its whole limit once it is large, so no two half-read answers wait."""

    __slots__ = ("_budget", "_medium", "_taken")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._medium = False
        self._taken = 0

    def release(self) -> None:
        """Return it to the budget."""
        if self._taken:
            self._budget.release(self._taken)
        if self._medium:
            self._budget.medium.release()

    async def read(self, response: aiohttp.ClientResponse, limit: int, deadline: Deadline) -> bytes:
        """Read the body of a successful answer. Waiting for the budget does not count against the deadline.

        Raises:
            BodyTooLongError: the body is longer than the limit. The connection is closed.
            TimeoutError: the budget was used up for BUDGET_WAIT seconds.
        """
        announced = response.content_length
        if announced is not None and announced <= min(SMALL, limit):
            return await response.read()
        await self._admit(announced or 0, response, limit, deadline)
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            await self._admit(len(body), response, limit, deadline)
        return bytes(body)

    async def _admit(self, size: int, response: aiohttp.ClientResponse, limit: int, deadline: Deadline) -> None:
        if size > limit:
            response.close()
            raise BodyTooLongError(f"body over {limit} bytes")
        if (size > SMALL and not self._medium) or (size > UNRESERVED and not self._taken):
            left = deadline.pause()
            async with asyncio.timeout(BUDGET_WAIT):
                if not self._medium:
                    self._medium = await self._budget.medium.acquire()
                if size > UNRESERVED:
                    self._taken = await self._budget.take(limit)
            deadline.resume(left)


async def read_error(response: aiohttp.ClientResponse) -> bytes:
    """Read the beginning of an error's body. The connection is closed if there is more."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ERROR_LIMIT:
            response.close()
            break
    return bytes(body[:ERROR_LIMIT])


class Body(msgspec.Struct, frozen=True):
    """The error code that any body may carry: as the service, the gateway or IAM (nested) names it.

    Raw, because one of another type must not cost the whole answer.
    """

    error_code: msgspec.Raw = msgspec.Raw()
    errorCode: msgspec.Raw = msgspec.Raw()  # noqa: N815 - the gateway's spelling
    code: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class ErrorBody(Exception):
    """A body under a status of success that is no answer. It may carry an error code, as the reference documents."""

    def __init__(self, code: str | None) -> None:
        super().__init__(code or "neither the expected field nor an error code")
        self.code = code


UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ErrorBody)  # the exceptions that decoders raise
T = TypeVar("T")
B = TypeVar("B", bound=Body)

_SUCCESS_CODES = frozenset({"", "0", "200", "WKS.00000000"})
_MAX_PARTS = 32  # fields of an error's body that are searched for a nested code
_MAX_MESSAGE = 4096  # bytes of a body that are searched for a quota or the beginning of a page
_QUOTA = re.compile(rb"limit:(\d{1,9}),time:(\d{1,6}) (second|minute|hour|day)")
_MINUTES = {b"second": 1 / 60, b"minute": 1.0, b"hour": 60.0, b"day": 1440.0}

_code = msgspec.json.Decoder(str | int | None).decode
_any_body = msgspec.json.Decoder(Body).decode
_any_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def decoder(kind: type[B]) -> Callable[[bytes], B]:
    """Return a decoder of bodies of this kind. It raises one of UNDECODABLE, also for an error code in the body."""
    decode = msgspec.json.Decoder(kind).decode

    def checked(body: bytes) -> B:
        answer = decode(body)
        if code := _code_of(answer) or (answer.error and _code_in(answer.error)):
            raise ErrorBody(code)
        return answer

    return checked


def present(value: T | None, body: bytes) -> T:
    """Return the value of the field that a body must have. Raises ErrorBody if it is missing."""
    if value is None:
        raise ErrorBody(error_code(body))
    return value


def check_empty(body: bytes, field: str) -> None:
    """Raise ErrorBody unless the body is an object without fields, or with this one alone."""
    if len(body) > ERROR_LIMIT or _any_object(body).keys() - {field}:
        raise ErrorBody(error_code(body))


def error_code(body: bytes) -> str | None:
    """Return the error code that a body carries, at the top or one level down; None if it carries none."""
    if len(body) > ERROR_LIMIT:
        return None
    try:
        parts = [body, *islice(_any_object(body).values(), _MAX_PARTS)]
    except UNDECODABLE:
        return None
    return next((code for part in parts if (code := _code_in(part))), None)


def is_page(headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether a body is an HTML or XML page, as proxies, firewalls and portals answer with."""
    begin = body[:_MAX_MESSAGE].removeprefix(BOM_UTF8).lstrip()
    return "html" in headers.get("Content-Type", "").lower() or begin.startswith(b"<")


def quota_from_429(body: bytes) -> float | None:
    """Return the requests per minute that a 429 names, as in ``limit:200,time:1 minute``; None if it names none."""
    found = _QUOTA.search(body[:_MAX_MESSAGE])
    if found is None or not int(found[1]) or not int(found[2]):
        return None
    return int(found[1]) / (int(found[2]) * _MINUTES[found[3]])


def _code_of(body: Body) -> str | None:
    for raw in filter(None, (body.error_code, body.errorCode, body.code)):
        with suppress(*UNDECODABLE):  # of another type
            if (code := _code(raw)) is not None and str(code) not in _SUCCESS_CODES:
                return str(code)
    return None


def _code_in(part: bytes | msgspec.Raw) -> str | None:
    try:
        return _code_of(_any_body(part))
    except UNDECODABLE:
        return None
