"""Serves an application as the settings and the web file want it, and within limits."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError

from exporter.web.listener import Listener
from exporter.web.passwords import BusyError, Passwords, login

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Sequence

    from aiohttp.typedefs import Handler

    from exporter.web.connections import Limits
    from exporter.web.current import CurrentWebFile

_NAME = "workspace-exporter"  # aiohttp would tell its version and Python's
_LONGEST_LINE = 8190  # bytes, of the request line and of a header each
_MOST_HEADERS = 64
_LONGEST_BODY = 1024  # bytes; nothing takes one


class Server:
    """Whom the web file admits, at the sockets that it was told to listen at last.

    Another ``web_file`` and other sockets may be given to it at any time.
    """

    def __init__(self, web_file: CurrentWebFile, limits: Limits) -> None:
        self.web_file = web_file
        self._limits = limits
        self._passwords = Passwords()
        self._listener: Listener
        self._bound = ("", 0)

    @property
    def address(self) -> str:
        """Where it is served, as a URL."""
        host, port = self._bound
        scheme = "https" if self.web_file.in_force.tls else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Serve at these sockets from now on, and close those before."""
        self._bound = sockets[0].getsockname()[:2]
        self._listener.listen(sockets)

    @asynccontextmanager
    async def running(self, app: web.Application) -> AsyncIterator[None]:
        """Ready to serve the application as long as the context lasts; requests under way may then end."""
        app.middlewares.append(self._admit)
        app.on_response_prepare.append(self._finish)
        runner = web.AppRunner(app, shutdown_timeout=self._limits.shutdown / 2)  # it is waited for twice
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
            self._listener.connections.abort_all()  # also those whose clients take no more bytes

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._listener.connections.asked(request.transport)
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
        response.headers.update(self.web_file.in_force.headers)
        if self._is_outdated(request.transport):
            response.force_close()
            response.headers[hdrs.CONNECTION] = "close"

    def _is_outdated(self, transport: asyncio.BaseTransport | None) -> bool:
        """Whether a connection was opened when other rules held, or by another address."""
        if transport is None:
            return False
        other_rules = transport.get_extra_info("sslcontext") is not self.web_file.in_force.tls
        return other_rules or self._listener.connections.is_outdated(transport)


class _Protocol(web.RequestHandler):
    """Also answers what is no HTTP, which no application gets to see, by our name."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        response = super().handle_error(request, status, exc, message)
        response.headers[hdrs.SERVER] = _NAME
        return response


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a server's complaint is about us.

    It is not where what came is no HTTP, and might hold somebody's password, or where a client has gone.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError | ConnectionError))
