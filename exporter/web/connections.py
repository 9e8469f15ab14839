"""The open connections: how many there may be, how long each may take, and which has to go for a newcomer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a client may take; times in seconds."""

    connections: int = 256
    """Open at one time, those in their handshake included."""
    handshake: float = 5.0
    first_request: float = 10.0
    """Until the first request's head is complete, counted from when the connection was taken."""
    request: float = 150.0
    """From a request's start to the next one's, for reading the answer and being idle."""
    body: float = 1.0
    """For sending a body that nobody asked for, after the answer."""
    shutdown: float = 2.0
    """For requests under way, when the exporter stops."""


class Connection:
    """One open connection. Times are the event loop's."""

    def __init__(self, accepted: socket.socket, address: str, now: float) -> None:
        self.address = address
        self.transport: asyncio.Transport | None = None
        """None until the handshake is done."""
        self.has_asked = False
        self.is_outdated = False
        """Whether it came by an address that is no longer listened on."""
        self.since = now
        """When its last request began; when it was taken, before the first."""
        self._socket = accepted
        self._aborted = False

    @property
    def is_ending(self) -> bool:
        """Whether it is closed, or has only bytes left that nobody takes."""
        return self._aborted or (self.transport is not None and self.transport.is_closing())

    def opened(self, transport: asyncio.Transport) -> None:
        """Note that the handshake is done."""
        self.transport = transport
        if self._aborted:
            transport.abort()

    def abort(self) -> None:
        """Close it, whatever it is doing."""
        self._aborted = True
        if self.transport:
            self.transport.abort()
        else:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # which ends the handshake


class Connections:
    """All that are open. Its size is bounded; who does not hurry is cut off."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._open: dict[int, Connection] = {}
        """By file descriptor: one that comes again belongs to a new connection, so the old one is closed."""
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, accepted: socket.socket, address: str) -> Connection:
        """Take a new connection, in place of another if there are too many."""
        number = accepted.fileno()
        self._forget(number)
        if len(self._open) >= self._limits.connections:
            self.make_room()
        connection = Connection(accepted, address, self._loop.time())
        self._open[number] = connection
        self._arm(number, connection)
        return connection

    def asked(self, transport: asyncio.BaseTransport | None) -> None:
        """Note that a request has arrived, its head complete."""
        connection = self._of(transport)
        if connection:
            connection.has_asked = True
            connection.since = self._loop.time()

    def outdate(self) -> None:
        """Note that the address by which all of them came is no longer listened on."""
        for connection in self._open.values():
            connection.is_outdated = True

    def is_outdated(self, transport: asyncio.BaseTransport | None) -> bool:
        """Whether a connection came by an address that is no longer listened on."""
        connection = self._of(transport)
        return connection is not None and connection.is_outdated

    def make_room(self) -> None:
        """Close one connection at least, if there is any.

        Those that are ending go first. Then, of the address that has the most, one that has never asked for anything,
        or else the one that asked longest ago: who holds many connections loses them, and not Prometheus its own.
        """
        ending = [number for number, connection in self._open.items() if connection.is_ending]
        addresses = Counter(connection.address for connection in self._open.values())
        if not ending and addresses:
            [(crowd, _)] = addresses.most_common(1)
            ending = [min((n for n, each in self._open.items() if each.address == crowd), key=self._rank)]
        for number in ending:
            self._abort(number)

    def abort_unopened(self) -> None:
        """Close those that are still in their handshake."""
        for number in [number for number, connection in self._open.items() if connection.transport is None]:
            self._abort(number)

    def abort_all(self) -> None:
        """Close every connection."""
        for number in list(self._open):
            self._abort(number)

    def _of(self, transport: asyncio.BaseTransport | None) -> Connection | None:
        found = transport.get_extra_info("socket") if transport else None
        return self._open.get(found.fileno()) if found else None

    def _rank(self, number: int) -> tuple[bool, float]:
        connection = self._open[number]
        return connection.has_asked, connection.since

    def _arm(self, number: int, connection: Connection) -> None:
        self._timers[number] = self._loop.call_at(self._deadline(connection), self._expire, number, connection)

    def _deadline(self, connection: Connection) -> float:
        return connection.since + (self._limits.request if connection.has_asked else self._limits.first_request)

    def _expire(self, number: int, connection: Connection) -> None:
        if self._loop.time() < self._deadline(connection):  # it has asked meanwhile
            self._arm(number, connection)
        else:
            self._abort(number)

    def _abort(self, number: int) -> None:
        self._open[number].abort()
        self._forget(number)

    def _forget(self, number: int) -> None:
        if self._open.pop(number, None):
            self._timers.pop(number).cancel()
