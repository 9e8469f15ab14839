"""Listening sockets: those of the configured addresses, or those that systemd passes."""

import errno
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from exporter.config import Web
from exporter.config.values import split_address
from exporter.threads import in_a_thread

Sockets = Mapping[str, Sequence[socket.socket]]  # by configured address; one per address family

_BACKLOG = 1024
_ABSENT = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}  # of IPv6 if it is switched off but names resolve
_SYSTEMD = "systemd"  # stands for the address of the sockets that systemd passes
_FIRST_PASSED = 3  # the descriptor after those of the standard files


async def listening_sockets(settings: Web, present: Sockets | None = None) -> Sockets:
    """Return the sockets that the settings name. Those of addresses that are ``present`` are used again.

    Raises:
        OSError: none can be opened for an address; the text says what to do.
    """
    present = present or {}
    sockets: dict[str, Sequence[socket.socket]] = {}
    with ExitStack() as undo:
        for address in (_SYSTEMD,) if settings.systemd_socket else settings.listen_address:
            opened: list[socket.socket] = []
            undo.callback(_close, opened)
            if address not in present:
                await (_take(opened) if address == _SYSTEMD else _open(address, opened))
            sockets[address] = opened or present[address]
        undo.pop_all()
    return sockets


def url_of(listening: socket.socket, scheme: str) -> str:
    """Return the URL of a listening socket."""
    host, port, *further = listening.getsockname()
    if interface := further and further[1]:  # of a link-local IPv6 address, which is incomplete without
        host = f"{host}%25{socket.if_indextoname(interface)}"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


async def _open(address: str, opened: list[socket.socket]) -> None:
    try:
        await _bind(*split_address(address), opened)
    except OSError as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        remedy = "choose another address with --web.listen-address"
        if error.errno == errno.EADDRINUSE:  # e.g. a reload that changes from all interfaces to one of them
            remedy += ", or restart the exporter where it is its own port"
        raise OSError(f"cannot listen on {address}: {reason}; {remedy}") from error


async def _bind(host: str | None, port: int, opened: list[socket.socket]) -> None:
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


async def _take(opened: list[socket.socket]) -> None:
    """Duplicate the sockets that systemd passes, as sd_listen_fds(3) describes. The originals stay for a reload."""
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal() or int(count) == 0:
        raise OSError(
            "web.systemd_socket is on, but systemd passed no socket; start the exporter by a .socket unit, "
            "or turn web.systemd_socket off"
        )
    for descriptor in range(_FIRST_PASSED, _FIRST_PASSED + int(count)):
        if not _is_listening(descriptor):
            raise OSError(
                f"systemd passed descriptor {descriptor}, which is not a listening TCP socket; "
                "the .socket unit needs ListenStream= with a port, and no Accept=yes"
            )
        os.set_inheritable(descriptor, False)
        opened.append(socket.socket(fileno=os.dup(descriptor)))
        opened[-1].setblocking(False)


def _is_listening(descriptor: int) -> bool:
    try:
        passed = socket.socket(fileno=descriptor)
    except OSError:
        return False
    try:
        is_tcp = passed.family in {socket.AF_INET, socket.AF_INET6} and passed.type == socket.SOCK_STREAM
        return is_tcp and bool(passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    finally:
        passed.detach()


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()
