"""Open connections: how many, for how long, and which one makes room for a new one."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import structlog

_SOCKET_BUFFER = 128 * 1024
"""Bytes in each direction of a connection. By default, the kernel holds several megabytes for a slow client."""
_RETRY_PAUSE = 0.1  # seconds after a connection could not be accepted

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Limits:
    """What clients may use. Times are in seconds."""

    connections: int = 256  # open at the same time, including those in a TLS handshake
    pages: int = 32 * 1024**2  # bytes of all pages being sent. The newest page is sent even if it is larger.
    handshake: float = 5.0
    first_request: float = 10.0  # from accepting the connection to the end of the first request's head
    request: float = 150.0  # from one request to the next, including the time to read the response
    body: float = 1.0  # for sending a request body, which is ignored, after the response
    shutdown: float = 2.0  # for open requests when the exporter stops


class Connection:
    """One open connection. Times are the event loop's."""

    def __init__(self, accepted: socket.socket, address: str, now: float) -> None:
        self.address = address
        self.transport: asyncio.Transport | None = None  # none during the TLS handshake
        self.has_asked = False
        self.is_outdated = False  # whether the exporter no longer listens on the address that it came to
        self.since = now  # when the last request began, or the connection was accepted
        self._socket = accepted
        self._aborted = False

    @property
    def is_ending(self) -> bool:
        """Whether it is closed, except perhaps for bytes that the client does not read."""
        return self._aborted or (self.transport is not None and self.transport.is_closing())

    @property
    def is_sending(self) -> bool:
        """Whether bytes wait for the client to receive them."""
        try:
            return self.transport is not None and self.transport.get_write_buffer_size() > 0
        except AttributeError:  # a TLS transport that has been closed twice
            return False

    def opened(self, transport: asyncio.Transport) -> None:
        """Note the end of the TLS handshake."""
        self.transport = transport
        if self._aborted:
            transport.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        self._aborted = True
        with contextlib.suppress(AttributeError, OSError):  # a transport or a socket that is closed already
            if self.transport:
                self.transport.abort()
            else:
                self._socket.shutdown(socket.SHUT_RDWR)  # ends the handshake


class Connections:
    """All open connections. Their number is limited, and slow ones are closed."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._open: dict[int, Connection] = {}
        """By file descriptor. If a descriptor comes again, its old connection is closed."""
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, accepted: socket.socket, address: str) -> Connection:
        """Add a new connection. If there are too many, close another one."""
        number = accepted.fileno()
        self._forget(number)
        if len(self._open) >= self._limits.connections:
            self.make_room()
        connection = Connection(accepted, address, self._loop.time())
        self._open[number] = connection
        self._watch(number)
        return connection

    def queried(self, transport: asyncio.BaseTransport | None) -> None:
        """Note that the head of a request has arrived."""
        if connection := self._of(transport):
            connection.has_asked = True
            connection.since = self._loop.time()

    def outdate(self) -> None:
        """Mark all connections as made to a former address."""
        for connection in self._open.values():
            connection.is_outdated = True

    def is_outdated(self, transport: asyncio.BaseTransport | None) -> bool:
        """Return whether the exporter no longer listens on the address that a connection came to."""
        connection = self._of(transport)
        return connection is not None and connection.is_outdated

    def make_room(self) -> None:
        """Close the ending connections, or else one of the client address with the most of them.

        It is one without any request, or the one with the oldest. So no client can push Prometheus out.
        """
        ending = [number for number, connection in self._open.items() if connection.is_ending]
        addresses = Counter(connection.address for connection in self._open.values())
        if not ending and addresses:
            [(crowded, _)] = addresses.most_common(1)
            crowd = {number: each for number, each in self._open.items() if each.address == crowded}
            ending = [min(crowd, key=lambda number: (crowd[number].has_asked, crowd[number].since))]
        for number in ending:
            self._abort(number)

    def abort_unopened(self) -> None:
        """Close connections that are still in their TLS handshake."""
        for number in [number for number, connection in self._open.items() if connection.transport is None]:
            self._abort(number)

    async def flush(self, seconds: float) -> None:
        """Wait until clients have received everything that was written for them, for so many seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any(each.is_sending for each in self._open.values()):  # noqa: ASYNC110 - no event announces it
                    await asyncio.sleep(0.01)

    def abort_all(self) -> None:
        """Close every connection."""
        for number in list(self._open):
            self._abort(number)

    def _of(self, transport: asyncio.BaseTransport | None) -> Connection | None:
        found = transport.get_extra_info("socket") if transport else None
        return self._open.get(found.fileno()) if found else None

    def _watch(self, number: int) -> None:
        """Close a connection at its deadline, which each request moves."""
        connection = self._open[number]
        deadline = connection.since + (self._limits.request if connection.has_asked else self._limits.first_request)
        if self._loop.time() < deadline:
            self._timers[number] = self._loop.call_at(deadline, self._watch, number)
        else:
            self._abort(number)

    def _abort(self, number: int) -> None:
        self._open[number].abort()
        self._forget(number)

    def _forget(self, number: int) -> None:
        if self._open.pop(number, None):
            self._timers.pop(number).cancel()


class Listener:
    """Accepts connections and gives each a protocol from the factory. ``tls`` returns the settings in effect."""

    def __init__(
        self, factory: Callable[[], asyncio.Protocol], tls: Callable[[], ssl.SSLContext | None], limits: Limits
    ) -> None:
        self.connections = Connections(limits)
        self._factory = factory
        self._tls = tls
        self._limits = limits
        self._accepting: dict[socket.socket, asyncio.Task[None]] = {}
        self._opening: set[asyncio.Task[None]] = set()

    def listen(self, sockets: Collection[socket.socket]) -> None:
        """Accept connections from these sockets only, and close the previous ones that are not among them."""
        for each in self._accepting.keys() - set(sockets):
            self._accepting.pop(each).cancel()
            self.connections.outdate()
        for each in set(sockets) - self._accepting.keys():
            task = self._accepting[each] = asyncio.create_task(self._accept(each))
            # Close it only after the task has ended: the loop must not watch a closed socket.
            task.add_done_callback(partial(_close, each))

    async def stop(self) -> None:
        """Stop accepting connections. Open ones stay open."""
        for task in self._accepting.values():
            task.cancel()
        self.connections.abort_unopened()
        await asyncio.gather(*self._accepting.values(), *self._opening, return_exceptions=True)

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
                for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                    accepted.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER)
                task = asyncio.create_task(self._open(accepted, self.connections.add(accepted, address[0])))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)
                await asyncio.sleep(0)  # let other tasks run between the connections of a long queue

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
