"""Basic auth: who is let in, checked in a way that neither time nor load tell about or help with guessing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import bcrypt
import structlog

from exporter.threads import in_a_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST = 72
"""Bytes of a password that bcrypt hashes. A longer one is refused: it would be compared only in part."""

_REMEMBERED = 100  # passwords that were right
_WAITING = 16  # checks, the one under way included: each takes a core for a twentieth of a second and more
_WAITING_OF_ONE = 4  # of one address, so that there is room for others

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Login(NamedTuple):
    """Whom a request says that it comes from."""

    name: bytes
    password: bytes


class BusyError(Exception):
    """Too many passwords are waiting to be checked."""


def login(authorization: str | None) -> Login | None:
    """What an Authorization header says; None if it is no basic auth."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(" "), validate=True).partition(b":")
    except ValueError:
        return None
    return Login(name, password) if colon else None


class Passwords:
    """Checks one password at a time, and remembers those that were right.

    Wrong ones are not remembered, so that no number of them can push out a right one. An unknown user's password is
    checked as if it were a known one's, against a hash that the name always leads to.
    """

    def __init__(self, check: Callable[[bytes, bytes], bool] = bcrypt.checkpw) -> None:
        self._check = check
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._key = secrets.token_bytes(32)
        self._waiting: Counter[str] = Counter()
        self._one = asyncio.Lock()
        self._in_trouble = False

    async def admits(self, users: Mapping[bytes, bytes], given: Login, address: str) -> bool:
        """Whether the password is that of the user; ``users`` gives their hashes, and there is at least one.

        Raises:
            BusyError: too many checks are waiting, in all or for this address.
        """
        hashed = users.get(given.name) or list(users.values())[self._digest(given.name)[0] % len(users)]
        key = self._digest(given.name, hashed, given.password)
        if given.name in users and key in self._right:
            self._right.move_to_end(key)
            return True
        matches = await self._checked(given.password[:LONGEST], hashed, address)
        if not matches or given.name not in users or len(given.password) > LONGEST:
            return False
        self._right[key] = None
        if len(self._right) > _REMEMBERED:
            self._right.popitem(last=False)
        return True

    async def _checked(self, password: bytes, hashed: bytes, address: str) -> bool:
        if self._waiting.total() >= _WAITING or self._waiting[address] >= _WAITING_OF_ONE:
            raise BusyError
        self._waiting[address] += 1
        try:
            async with self._one:
                return await in_a_thread(lambda: self._matches(password, hashed))
        finally:
            self._waiting[address] -= 1
            self._waiting += Counter()  # forgets those at zero

    def _matches(self, password: bytes, hashed: bytes) -> bool:
        """Takes up to half a minute."""
        try:
            matches = self._check(password, hashed)
        except BaseException as error:  # noqa: BLE001 - what bcrypt panics with is no Exception
            if not self._in_trouble:
                _logger.error("password_check_failed", error=type(error).__name__)  # noqa: TRY400 - it may hold secrets
            self._in_trouble = True
            return False
        self._in_trouble = False
        return matches

    def _digest(self, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._key)
        for part in parts:
            digest.update(len(part).to_bytes(8) + part)
        return digest.digest()
