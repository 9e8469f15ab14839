"""Serves the application with the TLS, users and headers of the web file, within limits."""

import asyncio
import base64
import hashlib
import logging
import secrets
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import bcrypt
import structlog
from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Handler

from exporter.config.web_file import WebFile, WebFileError, read_web_file
from exporter.files import FileVersions
from exporter.threads import in_a_thread
from exporter.web.connections import Limits, Listener
from exporter.web.sockets import Sockets, url_of

_NAME = "workspace-exporter"  # instead of the versions of aiohttp and Python
_LONGEST_LINE = 8190  # bytes of the request line, and of each header
_MOST_HEADERS = 64
_LONGEST_PASSWORD = 72  # bytes that bcrypt compares. Longer passwords are rejected.
_REMEMBERED = 100  # correct passwords
_WAITING = 16  # checks, including the running one; each takes at least 50 ms of a core
_WAITING_OF_ONE = 4  # per client address, to leave room for others

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class CurrentWebFile:
    """The last valid version of a web file; without a path, plain HTTP for everybody.

    Raises:
        ConfigError: it is not valid to begin with.
    """

    def __init__(self, path: Path | None) -> None:
        self.in_force = WebFile()
        self.path = path
        if path:
            self._versions = FileVersions(path)
            self.in_force = read_web_file(path)
            self._versions.add(*self.in_force.files)

    def look(self) -> WebFile:
        """Return what is in effect. A rejected change is logged once and has no effect."""
        if not self.path or not self._versions.changed():
            return self.in_force
        self._versions = FileVersions(*self.in_force.files)  # before reading, so that no change goes unnoticed
        try:
            self.in_force = read_web_file(self.path)
        except WebFileError as error:
            self._versions.add(*error.files)
            for mistake in error.mistakes:
                text = f"{mistake.path}: {mistake.reason}".removeprefix(": ")
                _logger.error(  # noqa: TRY400 - a mistake in a file needs no traceback
                    "web_config_refused", file=str(self.path), mistake=text, in_force="the last valid version"
                )
        else:
            self._versions.add(*self.in_force.files)
            _logger.info(
                "web_config_changed",
                file=str(self.path),
                tls=self.in_force.tls is not None,
                basic_auth_users=len(self.in_force.users),
            )
        return self.in_force


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
    """Checks one password at a time and remembers the correct ones. Neither response times nor load help with guessing.

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
        matches = await self._checked(given.password[:_LONGEST_PASSWORD], hashed, address)
        if not matches or given.name not in users or len(given.password) > _LONGEST_PASSWORD:
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
        return hashlib.blake2b(repr(parts).encode(), key=self._key).digest()


class Server:
    """An HTTP server for the users that the web file admits. ``web_file`` and sockets may be replaced at any time."""

    def __init__(self, web_file: CurrentWebFile, limits: Limits) -> None:
        self.web_file = web_file
        self._limits = limits
        self._passwords = Passwords()
        self._listener: Listener
        self.sockets: Sockets = {}

    @property
    def addresses(self) -> tuple[str, ...]:
        """The server's URLs."""
        scheme = "https" if self.web_file.in_force.tls else "http"
        return tuple(url_of(each, scheme) for opened in self.sockets.values() for each in opened)

    @property
    def address(self) -> str:
        """The first of the server's URLs."""
        return self.addresses[0]

    def listen(self, sockets: Sockets) -> None:
        """Serve at these sockets, and close the previous ones that are not among them."""
        self.sockets = sockets
        self._listener.listen([each for opened in sockets.values() for each in opened])

    @asynccontextmanager
    async def running(self, app: web.Application) -> AsyncIterator[None]:
        """Serve the application while the context lasts. Open requests may then complete."""
        app.middlewares.append(self._admit)
        app.on_response_prepare.append(self._finish)
        runner = web.AppRunner(app, shutdown_timeout=self._limits.shutdown / 2)  # aiohttp waits for it twice
        logging.getLogger("aiohttp.server").addFilter(_is_ours)
        await runner.setup()
        assert runner.server
        protocol = partial(
            _Protocol,
            runner.server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # as documented
            keepalive_timeout=self._limits.request,
            lingering_time=self._limits.body,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
            max_headers=_MOST_HEADERS,
            auto_decompress=False,
        )
        self._listener = Listener(protocol, lambda: self.web_file.look().tls, self._limits)
        try:
            yield
        finally:
            await self._listener.stop()
            await runner.cleanup()
            await self._listener.connections.flush(self._limits.shutdown / 2)
            self._listener.connections.abort_all()  # including clients that do not read

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._listener.connections.queried(request.transport)
        users = self.web_file.look().users
        if users:
            given = login(request.headers.get(hdrs.AUTHORIZATION))
            try:
                admitted = given and await self._passwords.admits(users, given, request.remote or "")
            except BusyError:
                return web.Response(status=503, text="Busy checking passwords.\n", headers={hdrs.RETRY_AFTER: "1"})
            if not admitted:
                return web.Response(status=401, text="Unauthorized.\n", headers={hdrs.WWW_AUTHENTICATE: "Basic"})
        return await handler(request)

    async def _finish(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers[hdrs.SERVER] = _NAME
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.update(self.web_file.in_force.headers)
        transport = request.transport
        if transport and (
            transport.get_extra_info("sslcontext") is not self.web_file.in_force.tls  # opened with other TLS settings
            or self._listener.connections.is_outdated(transport)
        ):
            response.force_close()
            response.headers[hdrs.CONNECTION] = "close"


class _Protocol(web.RequestHandler):
    """Sends our name in answers to requests that are not HTTP too. They never reach the application."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        response = super().handle_error(request, status, exc, message)
        response.headers[hdrs.SERVER] = _NAME
        return response


def _is_ours(record: logging.LogRecord) -> bool:
    """Return whether an error logged by aiohttp is ours.

    Requests that are not HTTP are not, and might hold a password. Lost connections are not either.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError | ConnectionError))
