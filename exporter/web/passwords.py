"""Basic auth, checked so that neither response times nor load help with guessing."""

import asyncio
import base64
import hashlib
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple

import bcrypt
import structlog

from exporter.threads import in_a_thread

LONGEST = 72  # bytes of a password that bcrypt compares. Longer passwords are rejected.
_REMEMBERED = 100  # correct passwords
_WAITING = 16  # checks, including the running one; each takes at least 50 ms of a core
_WAITING_OF_ONE = 4  # per client address, to leave room for others

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Login(NamedTuple):
    """The user name and password of a request."""

    name: bytes
    password: bytes


class BusyError(Exception):
    """Too many passwords are waiting for their check."""


def login(authorization: str | None) -> Login | None:
    """Return the login in an Authorization header, or None if it is not basic auth."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(" "), validate=True).partition(b":")
    except ValueError:
        return None
    return Login(name, password) if colon else None


class Passwords:
    """Checks one password at a time and remembers the correct ones.

    Wrong ones are not remembered, so they cannot push out correct ones. The password of an unknown user is checked
    against the hash of a known user. The same name always gets the same hash.
    """

    def __init__(self, check: Callable[[bytes, bytes], bool] = bcrypt.checkpw) -> None:
        self._check = check
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._key = secrets.token_bytes(32)
        self._waiting: Counter[str] = Counter()
        self._one = asyncio.Lock()
        self._in_trouble = False

    async def admits(self, users: Mapping[bytes, bytes], given: Login, address: str) -> bool:
        """Return whether the password is correct. ``users`` holds the bcrypt hash of at least one user.

        Raises:
            BusyError: too many checks are waiting, overall or for this client address.
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
            self._waiting += Counter()  # drops zeros

    def _matches(self, password: bytes, hashed: bytes) -> bool:
        """Check a password with bcrypt, which takes up to half a minute."""
        try:
            matches = self._check(password, hashed)
        except BaseException as error:  # noqa: BLE001 - a panic in bcrypt is not an Exception
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
