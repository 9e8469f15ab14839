"""A server that has its one answer ready, in a process of its own, so that its work counts as nobody's.

``python -m benchmarks.canned BODY_FILE [CERTIFICATE_FILE]`` says its port, and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_END = b"\r\n\r\n"


class _Canned(asyncio.Protocol):
    """Answers every head of a request; bodies are not expected."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._rest = (self._rest + data).split(_END)
        self._transport.write(self._answer * len(requests))


def _answer(body: bytes) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Date: {formatdate(usegmt=True)}\r\n"
        "X-Request-Id: 0000000100000000000000000000002a\r\n"
        "Server: api-gateway\r\n"
        "Connection: keep-alive"
    )
    return head.encode() + _END + body


async def _serve(body: bytes, certificate: str | None) -> None:
    loop = asyncio.get_running_loop()
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    answer = _answer(body)
    server = await loop.create_server(lambda: _Canned(answer), "127.0.0.1", 0, ssl=tls)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def canned(body: Path, certificate: Path | None = None) -> Iterator[str]:
    """The address of a server that answers everything with this body."""
    command = [sys.executable, "-m", "benchmarks.canned", str(body), *([str(certificate)] if certificate else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        assert process.stdin
        assert process.stdout
        try:
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]).read_bytes(), sys.argv[2] if sys.argv[2:] else None))
