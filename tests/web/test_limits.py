"""What slow, greedy and broken clients can take, and that they keep nobody else out."""

from __future__ import annotations

import asyncio
import errno
import itertools
import resource
import socket
import ssl
import tracemalloc
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from support.web_clients import ask, client, padded, publish_padding, until, web_server
from support.web_files import certificate, write

from exporter import config
from exporter.metrics.exposition import TEXT
from exporter.web.connections import Connections, Limits, Listener
from exporter.web.sockets import listening_sockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from support.web_clients import Client

    from exporter.web.server import Server

QUICK = Limits(handshake=0.2, first_request=0.2, request=0.4, body=0.1, shutdown=0.2)
LONG = 20_000_000  # bytes of metrics: more than the kernel takes off a server's hands
GET = b"GET /metrics HTTP/1.1\r\nHost: a\r\n"


def opened(server: Server) -> Connections:
    return server._listener.connections  # noqa: SLF001 - what is bounded


def requests_of(server: Server) -> int:
    """Connections that have sent a request."""
    return sum(connection.has_asked for connection in opened(server)._open.values())  # noqa: SLF001 - see above


def has_asked(server: Server, one: Client) -> bool:
    """Whether the server has read a request of this client."""
    ours = one.writer.get_extra_info("sockname")
    queried = [each.transport for each in opened(server)._open.values() if each.has_asked]  # noqa: SLF001 - see above
    return any(each.get_extra_info("peername") == ours for each in queried if each and not each.is_closing())


@asynccontextmanager
async def traced() -> AsyncIterator[Callable[[], int]]:
    """The bytes that have been allocated since and are still in use."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@contextmanager
def many_files(number: int) -> Iterator[None]:
    """Let this process open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        pytest.skip(f"this system allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def client_of_a_stopping_server(limits: Limits) -> AsyncIterator[tuple[Client, asyncio.Task[None]]]:
    """A client that has not read its answer yet, and the stopping of the server."""
    serving: AsyncExitStack = AsyncExitStack()
    server = await serving.enter_async_context(web_server(limits=limits, length=LONG))
    async with client(server) as one:
        one.writer.transport.pause_reading()  # type: ignore[attr-defined] # a read transport as well
        one.writer.write(GET + b"\r\n")
        await until(lambda: any(each.has_asked for each in opened(server)._open.values()))  # noqa: SLF001 - see above
        stopping = asyncio.create_task(serving.aclose())
        yield one, stopping
        await stopping


@pytest.mark.parametrize("first", [b"", b"GET /met", GET])
async def test_who_does_not_come_to_the_point_is_cut_off(first: bytes) -> None:
    """Whether nothing is sent, or a head that does not end."""
    async with web_server(limits=QUICK) as server, client(server) as one:
        one.writer.write(first)
        assert await one.ended()
        await until(lambda: len(opened(server)) == 0)


async def test_a_head_that_comes_byte_by_byte_is_cut_off() -> None:
    async with web_server(limits=QUICK) as server, client(server) as one:
        for byte in itertools.cycle(GET):
            one.writer.write(bytes([byte]))
            try:
                await one.writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(0.01)


async def test_who_stays_silent_after_a_request_is_cut_off() -> None:
    async with web_server(limits=QUICK) as server, client(server) as one:
        assert (await one.ask()).status == 200
        assert await one.ended()


@pytest.mark.parametrize("with_tls", [False, True])
async def test_a_request_counts_for_the_connection_that_it_came_by(
    tmp_path: Path, tool: Callable[[str], str], with_tls: bool
) -> None:
    """From then on the connection has the time of those that have queried."""
    file, trusted = tmp_path / "web.yml", None
    if with_tls:
        own, _ = certificate(tool("openssl"), tmp_path, "server")
        write(file, "tls_server_config: {cert_file: server.crt, key_file: server.key}")
        trusted = ssl.create_default_context(cafile=own)
    async with (
        web_server(file if with_tls else None) as server,
        client(server, trusted) as one,
        client(server, trusted) as other,
    ):
        assert (await one.ask()).status == 200
        told = [connection.has_asked for connection in opened(server)._open.values()]  # noqa: SLF001 - who has time
        assert sorted(told) == [False, True]
        assert (await other.ask()).status == 200
        assert all(connection.has_asked for connection in opened(server)._open.values())  # noqa: SLF001 - who has time


async def test_who_does_not_read_the_answer_is_cut_off() -> None:
    async with web_server(limits=QUICK, length=LONG) as server, client(server) as one:
        one.writer.transport.pause_reading()  # type: ignore[attr-defined] # a read transport as well
        one.writer.write(GET + b"\r\n")
        await until(lambda: len(opened(server)) == 1)
        await until(lambda: len(opened(server)) == 0)


async def test_who_reads_slowly_holds_no_copy_of_the_answer() -> None:
    async with web_server(length=LONG) as server, client(server) as one:
        one.writer.transport.pause_reading()  # type: ignore[attr-defined] # a read transport as well
        one.writer.write(GET + b"\r\n")

        def buffered() -> list[int]:
            return [
                connection.transport.get_write_buffer_size()
                for connection in opened(server)._open.values()  # noqa: SLF001 - what would grow
                if connection.transport
            ]

        await until(lambda: any(size > 0 for size in buffered()))
        assert sum(buffered()) < 1_000_000
        one.writer.transport.resume_reading()  # type: ignore[attr-defined] # a read transport as well
        assert len((await one.answer()).body) > LONG


@pytest.mark.parametrize("with_tls", [False, True])
async def test_clients_that_never_read_keep_few_old_pages_in_memory(
    tmp_path: Path, tool: Callable[[str], str], with_tls: bool
) -> None:
    """Each of 15 clients requests another page of 12 MB, in either format; 30 MB of them may stay in memory."""
    file, trusted = None, None
    if with_tls:
        own, _ = certificate(tool("openssl"), tmp_path, "server")
        file = write(tmp_path / "web.yml", "tls_server_config: {cert_file: server.crt, key_file: server.key}")
        trusted = ssl.create_default_context(cafile=own)
    exposition, accepts = padded(12_000_000), itertools.cycle((b"text/plain", b"application/openmetrics-text"))
    async with (
        web_server(file, Limits(pages=30_000_000), exposition=exposition) as server,
        AsyncExitStack() as stack,
        traced() as traced_bytes,
    ):
        for _ in range(15):
            publish_padding(exposition, 12_000_000)
            slow = await stack.enter_async_context(client(server, trusted))
            slow.writer.transport.pause_reading()  # type: ignore[attr-defined] # a read transport as well
            slow.writer.write(GET + b"Accept: " + next(accepts) + b"\r\n\r\n")
            await until(lambda slow=slow: has_asked(server, slow))  # type: ignore[misc] # bound at once
        await until(lambda: traced_bytes() < 80_000_000)
        assert len((await ask(server, tls=trusted)).body) > 12_000_000


async def test_a_client_of_an_old_page_gets_the_rest_of_it() -> None:
    """As long as the old pages that are being read are few."""
    exposition = padded(LONG)
    async with web_server(exposition=exposition) as server, client(server) as slow:
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined] # a read transport as well
        slow.writer.write(GET + b"\r\n")
        await until(lambda: requests_of(server) == 1)
        length = len(exposition.get(TEXT).body)
        exposition.publish(())
        assert (await ask(server)).body == b""
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined] # a read transport as well
        assert len((await slow.answer()).body) == length


async def test_the_newest_page_is_served_whatever_its_size() -> None:
    async with web_server(limits=Limits(pages=1), length=2_000_000) as server:
        async with client(server) as one:
            assert len((await one.ask()).body) > 2_000_000
        assert len((await ask(server)).body) > 2_000_000


async def test_the_kernel_holds_little_for_a_client_that_does_not_read() -> None:
    """Left to itself, it grows the buffers of a connection to several megabytes."""
    async with web_server(length=LONG) as server, client(server) as slow:
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined] # a read transport as well
        slow.writer.write(GET + b"\r\n")
        await until(lambda: requests_of(server) == 1)
        [connection] = opened(server)._open.values()  # noqa: SLF001 - what is bounded
        assert connection.transport
        accepted = connection.transport.get_extra_info("socket")
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            assert accepted.getsockopt(socket.SOL_SOCKET, option) <= 512 * 1024


async def test_a_head_has_the_length_of_what_it_does_not_hold() -> None:
    async with web_server(length=100_000) as server:
        length = (await ask(server)).headers["Content-Length"]
        async with client(server) as one:
            one.writer.write(b"HEAD /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = await one.reader.read()
    assert f"Content-Length: {length}\r\n".encode() in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("with_tls", [False, True])
async def test_a_thousand_idle_connections_keep_no_scrape_out(
    tmp_path: Path, tool: Callable[[str], str], with_tls: bool
) -> None:
    """With TLS they are stuck in their handshake. Far fewer than there were stay open."""
    file = tmp_path / "web.yml"
    if with_tls:
        certificate(tool("openssl"), tmp_path, "server")
        write(file, "tls_server_config: {cert_file: server.crt, key_file: server.key}")
    with many_files(4000):
        async with web_server(file if with_tls else None) as server, AsyncExitStack() as stack:
            host, _, port = server.address.rpartition("/")[2].partition(":")
            for _ in range(1000):
                idle = stack.enter_context(socket.socket())
                idle.setblocking(False)
                await asyncio.get_running_loop().sock_connect(idle, (host, int(port)))
            if with_tls:
                process = await asyncio.create_subprocess_exec(
                    tool("curl"), "-sS", "--cacert", tmp_path / "server.crt", f"{server.address}/-/healthy", stdout=-1
                )
                output, _ = await process.communicate()
                assert output == b"Healthy.\n"
            else:
                assert (await ask(server)).status == 200
            assert len(opened(server)) <= Limits().connections


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (GET + b"X: " + b"a" * 10_000 + b"\r\n\r\n", 400),
        (GET + b"X: a\r\n" * 100 + b"\r\n", 400),
        (GET + b"Content-Length: x\r\n\r\n", 400),
        (GET + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /metrics HTTP/9.9\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n", 400),
        (b"\0\r\n\r\n", 400),
        (b"POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"DELETE /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET http://a/metrics HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (GET + b"Content-Length: 1000000000000\r\n\r\n", 200),
        (GET + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 200),
    ],
)
async def test_what_is_out_of_bounds_is_answered_so(request_bytes: bytes, status: int) -> None:
    """And nobody else notices."""
    async with web_server() as server, client(server) as one:
        one.writer.write(request_bytes)
        first = await one.reader.readline()
        assert first.split()[1] == str(status).encode()
        assert (await ask(server)).status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [GET + b"\r\n", b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", b"\0\r\n\r\n", GET + b"Content-Length: x\r\n\r\n"],
)
async def test_no_answer_shows_the_versions_of_what_it_is_made_with(request_bytes: bytes) -> None:
    """Not even one to bytes that are no HTTP."""
    async with web_server() as server, client(server) as one:
        assert (await one.send(request_bytes)).headers["Server"] == "workspace-exporter"


async def test_a_body_that_nobody_requested_is_not_read_on() -> None:
    """The answer comes at once, and the connection is closed although the body continues."""
    async with web_server(limits=Limits(body=0.1)) as server, client(server) as one, asyncio.timeout(20):
        assert (await one.send(GET + b"Transfer-Encoding: chunked\r\n\r\n")).status == 200
        while True:
            one.writer.write(b"10000\r\n" + b"a" * 0x10000 + b"\r\n")
            try:
                await one.writer.drain()
            except ConnectionError:
                break


async def test_without_files_to_open_it_waits_and_continues(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It gives up a connection, does not spin, says so once, and takes connections as soon as it can again."""
    loop = asyncio.get_running_loop()
    tried = 0

    async def refused(_: socket.socket) -> tuple[socket.socket, object]:
        nonlocal tried
        tried += 1
        raise OSError(errno.EMFILE, "Too many open files")

    async with web_server() as server, client(server) as one:
        assert (await one.ask()).status == 200
        with monkeypatch.context() as patched:
            patched.setattr(loop, "sock_accept", refused)
            async with client(server) as last:  # which ends the wait that is under way, and goes for want of another
                assert await last.ended()
            assert (await one.ask()).status == 200
            await until(lambda: tried >= 3)
            assert tried < 50
        assert (await ask(server)).status == 200
    assert "".join(capfd.readouterr()).count("accept_failed") == 1


async def test_a_queue_of_newcomers_leaves_everybody_else_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that can be taken at once are taken one a turn of the event loop."""
    taken: list[socket.socket] = []

    async def at_once(_: socket.socket) -> tuple[socket.socket, tuple[str]]:
        if len(taken) == 200:
            await asyncio.Event().wait()
        ours, theirs = socket.socketpair()
        taken.append(theirs)
        return ours, ("a",)

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_accept", at_once)
    listener = Listener(asyncio.Protocol, lambda: None, Limits())
    [sockets] = (await listening_sockets(config.Web(listen_address=("127.0.0.1:0",)))).values()
    listener.listen(sockets)
    for _ in range(10):
        await asyncio.sleep(0)
    assert 0 < len(taken) < 20
    await listener.stop()
    listener.connections.abort_all()
    for each in taken:
        each.close()


async def test_a_request_under_way_may_end_when_the_server_stops() -> None:
    limits = replace(QUICK, request=20, shutdown=20)
    async with client_of_a_stopping_server(limits) as (one, stopping):
        one.writer.transport.resume_reading()  # type: ignore[attr-defined] # a read transport as well
        assert len((await one.answer()).body) > LONG
        await stopping


async def test_who_does_not_read_cannot_keep_the_server_from_stopping() -> None:
    async with client_of_a_stopping_server(replace(QUICK, request=20)) as (_, stopping), asyncio.timeout(5):
        await stopping


async def test_who_is_stuck_in_a_handshake_cannot_keep_the_server_from_stopping(
    tmp_path: Path, tool: Callable[[str], str]
) -> None:
    certificate(tool("openssl"), tmp_path, "server")
    file = write(tmp_path / "web.yml", "tls_server_config: {cert_file: server.crt, key_file: server.key}")
    async with asyncio.timeout(10):
        async with web_server(file, replace(QUICK, handshake=60, first_request=60)) as server:
            url = urlsplit(server.address)
            stuck = socket.create_connection((url.hostname, url.port))
            await until(lambda: len(opened(server)) == 1)
        stuck.close()
