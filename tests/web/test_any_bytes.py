"""Whatever bytes a client sends, the server answers in HTTP or hangs up, and continues to serve the others."""

from __future__ import annotations

import asyncio
import queue
import re
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.web_clients import basic, web_server
from support.web_files import hashed, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATHS = (
    "/",
    "/metrics",
    "//metrics",
    "/%6detrics",
    "/metrics/",
    "/metrics?x",
    "/-/healthy",
    "/-/ready",
    "/-/reload",
    "*",
)
METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "TRACE", "CONNECT", "get", "G\0T", "", "PRI")
VERSIONS = ("HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", "", "http/1.1")
NAMES = (
    "Accept",
    "Accept-Encoding",
    "Authorization",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Expect",
    "Host",
    "Range",
    "Transfer-Encoding",
    "Upgrade",
)
VALUES = (
    "gzip;q=0, *;q=9e999",
    "application/openmetrics-text;version=1.0.0;q=nan",
    "text/plain;q=1;q=0,,;;=",
    "chunked, chunked",
    "-1",
    "99999999999999999999",
    "100-continue",
    "bytes=0-",
    "h2c",
    "Basic !!!!",
    "keep-alive, close",
)

GET_AND_CLOSE = "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"

texts = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=60)
headers = st.lists(st.tuples(st.sampled_from(NAMES) | texts, st.sampled_from(VALUES) | texts), max_size=6)
bodies = st.binary(max_size=200) | st.sampled_from((b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffff\r\n"))


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Nearly a request."""
    first = " ".join(
        draw(st.tuples(st.sampled_from(METHODS), st.sampled_from(PATHS) | texts, st.sampled_from(VERSIONS)))
    )
    lines = [first, *(f"{name}: {value}" for name, value in draw(headers)), "", ""]
    return "\r\n".join(lines).encode("latin-1") + draw(bodies)


@contextmanager
def serving(web_file: Path | None = None) -> Iterator[tuple[str, int]]:
    """The address of a server in a thread of its own, so that generated tests need no loop."""
    addresses: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
    with asyncio.Runner() as runner:
        loop, stop = runner.get_loop(), asyncio.Event()

        async def serve() -> None:
            async with web_server(web_file) as server:
                url = urlsplit(server.address)
                addresses.put((url.hostname or "", url.port or 0))
                await stop.wait()

        thread = threading.Thread(target=runner.run, args=(serve(),))
        thread.start()
        yield addresses.get(timeout=20)
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """One that wants a password."""
    file = tmp_path_factory.mktemp("web") / "web.yml"
    with serving(write(file, f"basic_auth_users: {{anna: {hashed()}}}")) as found:
        yield found


def answered(address: tuple[str, int], sent: bytes, *, then_silent: bool = False) -> bytes:
    """All that is answered until the server hangs up, perhaps to a client that says that no more will come."""
    with socket.create_connection(address, timeout=20) as connection:
        received = b""
        try:
            connection.sendall(sent)
            if then_silent:
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                received += piece
        except ConnectionError:
            pass
        return received


@pytest.mark.bad_input
@settings(max_examples=400, deadline=None)
@given(sent=requests() | st.binary(max_size=300))
def test_any_bytes(address: tuple[str, int], sent: bytes) -> None:
    """No answer is a mistake of the server, and the next client gets the metrics."""
    received = answered(address, sent, then_silent=True)
    assert re.match(rb"HTTP/\d\.\d [2-4]\d\d |\Z", received), received[:200]
    assert answered(address, f"{GET_AND_CLOSE}\r\n".encode()).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.bad_input
@settings(max_examples=200, deadline=None)
@given(
    accept=st.lists(st.sampled_from(VALUES) | texts, max_size=4).map(",".join), encoding=st.sampled_from(VALUES) | texts
)
def test_any_preference_gets_metrics(address: tuple[str, int], accept: str, encoding: str) -> None:
    """In one of the two formats, whatever a client says that it accepts."""
    request = f"{GET_AND_CLOSE}Accept: {accept}\r\nAccept-Encoding: {encoding}\r\n\r\n"
    head = answered(address, request.encode("latin-1")).partition(b"\r\n\r\n")[0]
    if all(character == "\t" or character.isprintable() for character in accept + encoding):
        assert re.search(rb"Content-Type: (text/plain; version=0\.0\.4|application/openmetrics-text; version=1)", head)
    else:
        assert re.match(rb"HTTP/1\.1 200 |HTTP/1\.0 400 ", head), "characters that HTTP may not have"


@pytest.mark.bad_input
@settings(max_examples=200, deadline=None)
@given(credentials=texts | st.binary(max_size=120).map(lambda both: basic(both, b"not the password")))
def test_no_authorization_header_opens_or_breaks_anything(protected: tuple[str, int], credentials: str) -> None:
    """Whatever it says, short of a user's own password."""
    request = f"{GET_AND_CLOSE}Authorization: {credentials}\r\n\r\n".encode("latin-1")
    assert re.match(rb"HTTP/1\.[01] 40[01] ", answered(protected, request))


async def test_a_client_that_goes_away_is_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Or anybody could fill the disk."""
    async with web_server() as server:
        url = urlsplit(server.address)
        for _ in range(20):
            await asyncio.to_thread(
                answered, (url.hostname or "", url.port or 0), f"{GET_AND_CLOSE}\r\n".encode(), then_silent=True
            )
    assert [record for record in caplog.records if record.name == "aiohttp.server"] == []
