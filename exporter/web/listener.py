"""Listening sockets, and accepting connections with the TLS settings of the moment."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from exporter.config import Web
from exporter.threads import in_a_thread
from exporter.web.connections import Connection, Connections, Limits

_BACKLOG = 1024
_SOCKET_BUFFER = 128 * 1024
"""Bytes in each direction of a connection. By default, the kernel holds several megabytes for a slow client."""
_ABSENT = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}  # of IPv6 if it is switched off but names resolve
_RETRY_PAUSE = 0.1  # seconds after a connection could not be accepted

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def listening_sockets(settings: Web) -> list[socket.socket]:
    """Open the sockets for the configured address, one per address family.

    Raises:
        OSError: none can be opened; the text says what to do.
    """
    opened: list[socket.socket] = []
    try:
        await _open(settings.host, settings.port, opened)
    except OSError as error:
        for each in opened:
            each.close()
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        remedy = "choose another address with --web.listen-address"
        if error.errno == errno.EADDRINUSE:  # e.g. a reload that changes from all interfaces to one of them
            remedy += ", or restart the exporter where it is its own port"
        raise OSError(f"cannot listen on {settings.listen_address}: {reason}; {remedy}") from error
    return opened


async def _open(host: str | None, port: int, opened: list[socket.socket]) -> None:
    found = await in_a_thread(partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))
    absent: OSError | None = None
    for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
        try:
            opened.append(socket.create_server(address, family=family, backlog=_BACKLOG))
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            absent = error
        else:
            opened[-1].setblocking(False)
    if absent and not opened:
        raise absent


class Listener:
    """Accepts connections and gives each a protocol from the factory. ``tls`` returns the settings in effect."""

    def __init__(
        self, factory: Callable[[], asyncio.Protocol], tls: Callable[[], ssl.SSLContext | None], limits: Limits
    ) -> None:
        self.connections = Connections(limits)
        self._factory = factory
        self._tls = tls
        self._limits = limits
        self._accepting: dict[asyncio.Task[None], socket.socket] = {}
        self._opening: set[asyncio.Task[None]] = set()

    def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections from these sockets only, and close the previous sockets."""
        self._stop_accepting()
        self.connections.outdate()
        self._accepting = {asyncio.create_task(self._accept(each)): each for each in sockets}

    async def stop(self) -> None:
        """Stop accepting connections. Open ones stay open."""
        accepting = list(self._accepting)
        self._stop_accepting()
        self.connections.abort_unopened()
        await asyncio.gather(*accepting, *self._opening, return_exceptions=True)

    def _stop_accepting(self) -> None:
        for task, listening in self._accepting.items():
            # Close it only after the task has ended: the loop must not watch a closed socket.
            task.add_done_callback(partial(_close, listening))
            task.cancel()
        self._accepting = {}

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        in_trouble = False
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError as error:  # usually too many open files
                if not in_trouble:
                    _logger.error(  # noqa: TRY400 - a traceback says nothing here
                        "accept_failed", reason=os.strerror(error.errno or 0), remedy="raise the limit of open files"
                    )
                in_trouble = True
                self.connections.make_room()
                await asyncio.sleep(_RETRY_PAUSE)
            else:
                in_trouble = False
                self._take(accepted, address[0])
                await asyncio.sleep(0)  # let other tasks run between the connections of a long queue

    def _take(self, accepted: socket.socket, address: str) -> None:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            accepted.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER)
        connection = self.connections.add(accepted, address)
        task = asyncio.create_task(self._open(accepted, connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, accepted: socket.socket, connection: Connection) -> None:
        tls = self._tls()
        timeouts = {"ssl_handshake_timeout": self._limits.handshake, "ssl_shutdown_timeout": 1.0} if tls else {}
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                self._factory, accepted, ssl=tls, **timeouts
            )
        except OSError:  # no TLS handshake, e.g. from a port scanner
            connection.abort()
        else:
            connection.opened(transport)


def _close(listening: socket.socket, _: asyncio.Task[None]) -> None:
    listening.close()
