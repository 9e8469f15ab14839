"""Listening sockets: one or several addresses, and those that systemd passes."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter import config
from exporter.web.sockets import Sockets, listening_sockets, url_of


def urls(sockets: Sockets) -> list[str]:
    return [url_of(each, "http") for opened in sockets.values() for each in opened]


def close(sockets: Sockets) -> None:
    for opened in sockets.values():
        for each in opened:
            each.close()


async def test_every_address_of_a_list_is_listened_on() -> None:
    sockets = await listening_sockets(config.Web(listen_address=("127.0.0.1:0", "127.0.0.2:0", "[::1]:0")))
    assert [url.rpartition(":")[0] for url in urls(sockets)] == ["http://127.0.0.1", "http://127.0.0.2", "http://[::1]"]
    close(sockets)


@pytest.fixture
def link_local() -> tuple[str, str]:
    """Return a link-local address of this machine and its interface."""
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        digits, _, _, scope, _, interface = line.split()
        if scope == "20":
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)), interface
    pytest.skip("no interface has a link-local address")


async def test_a_link_local_address_is_listened_on_with_its_interface(link_local: tuple[str, str]) -> None:
    host, interface = link_local
    sockets = await listening_sockets(config.Web(listen_address=(f"[{host}%{interface}]:0",)))
    [url] = urls(sockets)
    assert url.startswith(f"http://[{host}%25{interface}]:")
    close(sockets)


async def test_an_interface_that_is_unknown_is_reported() -> None:
    with pytest.raises(OSError, match=r"^cannot listen on \[fe80::1%nowhere\]:1: .*; choose another address"):
        await listening_sockets(config.Web(listen_address=("[fe80::1%nowhere]:1",)))


async def test_the_sockets_of_addresses_that_stay_are_used_again() -> None:
    before = await listening_sockets(config.Web(listen_address=("127.0.0.1:0", "127.0.0.2:0")))
    after = await listening_sockets(config.Web(listen_address=("127.0.0.3:0", "127.0.0.1:0")), before)
    assert list(after) == ["127.0.0.3:0", "127.0.0.1:0"]
    assert after["127.0.0.1:0"] is before["127.0.0.1:0"]
    close(before)
    close(after)


async def test_nothing_stays_open_if_one_of_several_addresses_is_in_use() -> None:
    before = await listening_sockets(config.Web(listen_address=("127.0.0.1:0",)))
    with socket.create_server(("127.0.0.2", 0)) as taken, socket.create_server(("127.0.0.3", 0)) as free:
        free_port, taken_port = free.getsockname()[1], taken.getsockname()[1]
        free.close()
        wanted = ("127.0.0.1:0", f"127.0.0.3:{free_port}", f"127.0.0.2:{taken_port}")
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.2:{taken_port}: Address already in use"):
            await listening_sockets(config.Web(listen_address=wanted), before)
        socket.create_server(("127.0.0.3", free_port)).close()
    assert before["127.0.0.1:0"][0].fileno() >= 0, "what is in use stays"
    close(before)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "environ",
    [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "0"}, {"LISTEN_FDS": "x"}],
)
async def test_without_a_socket_from_systemd_the_fix_is_reported(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LISTEN_FDS", "LISTEN_PID"):
        monkeypatch.delenv(name, raising=False)
    if environ.get("LISTEN_FDS") in {"0", "x"}:
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OSError, match=r"systemd passed no socket; start the exporter by a \.socket unit, or turn"):
        await listening_sockets(config.Web(systemd_socket=True))


@pytest.mark.bad_input
async def test_what_systemd_passes_and_is_no_listening_socket_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    with ExitStack() as stack:
        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        idle = stack.enter_context(socket.socket())
        file = os.open(os.devnull, os.O_RDONLY)
        stack.callback(os.close, file)
        for descriptor in (datagrams.fileno(), idle.fileno(), file):
            monkeypatch.setattr("exporter.web.sockets._FIRST_PASSED", descriptor)
            with pytest.raises(OSError, match=r"which is not a listening TCP socket; the \.socket unit needs ListenSt"):
                await listening_sockets(config.Web(systemd_socket=True))
            os.fstat(descriptor)


async def test_a_socket_that_systemd_passes_is_duplicated(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it can be taken again by a later reload."""
    with socket.create_server(("127.0.0.1", 0)) as passed:
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "1")
        monkeypatch.setattr("exporter.web.sockets._FIRST_PASSED", passed.fileno())
        for _ in range(2):
            sockets = await listening_sockets(config.Web(systemd_socket=True))
            assert urls(sockets) == [url_of(passed, "http")]
            close(sockets)
        with socket.create_connection(passed.getsockname()):
            pass


async def test_a_host_that_is_unknown_is_reported_with_a_remedy() -> None:
    with pytest.raises(OSError, match=r"^cannot listen on no\.invalid:1: [A-Z].*; choose another address with --web"):
        await listening_sockets(config.Web(listen_address=("no.invalid:1",)))


async def test_an_address_within_that_of_another_socket_is_reported_with_a_remedy() -> None:
    """It may be our own socket: a reload cannot go over from all interfaces to one of them."""
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104 - what such a reload starts from
        narrower = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            OSError, match=r"in use; choose another .*, or restart the exporter where it is its own port$"
        ):
            await listening_sockets(config.Web(listen_address=(narrower,)))


async def test_without_a_host_all_interfaces_are_listened_on() -> None:
    [sockets] = (await listening_sockets(config.Web(listen_address=(":0",)))).values()
    for each in sockets:
        each.close()
    assert {each.family for each in sockets} >= {socket.AF_INET}


async def test_a_family_that_this_machine_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without IPv6. If no address is left, this is an error."""
    create = socket.create_server
    lacking = {socket.AF_INET6}

    def create_server(address: tuple[str, int], *, family: socket.AddressFamily, backlog: int) -> socket.socket:
        if family in lacking:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        return create(address, family=family, backlog=backlog)

    monkeypatch.setattr(socket, "create_server", create_server)
    [[one]] = (await listening_sockets(config.Web(listen_address=(":0",)))).values()
    assert one.family is socket.AF_INET
    one.close()
    lacking.add(socket.AF_INET)
    with pytest.raises(OSError, match=r"^cannot listen on :0: Cannot assign requested address; choose another"):
        await listening_sockets(config.Web(listen_address=(":0",)))
