"""A cloud in its own process, so that its work is not measured, behind a minimal server.

``python -m benchmarks.served JSON`` says its port and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.children import child
from benchmarks.crowd import Crowd

from exporter.simulator import Request, Simulator, SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Cloud:
    """What is served: the answer in a file to everything, or a simulated cloud; over TLS with a certificate."""

    answer_file: str | None = None
    users: int = 0
    sessions: int = 0
    certificate: str | None = None


class _Protocol(asyncio.Protocol):
    """Answers every head of a request; bodies are not expected."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(_END)
        self._transport.write(b"".join(map(self._answer, heads)))


def _whole(body: bytes, status: int = 200, request_id: str = "0000000100000000000000000000002a") -> bytes:
    head = (
        f"HTTP/1.1 {status} Any\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Date: {formatdate(usegmt=True)}\r\n"
        f"X-Request-Id: {request_id}\r\n"
        "Server: api-gateway\r\n"
        "Connection: keep-alive"
    )
    return head.encode() + _END + body


def _answering(cloud: Cloud) -> Callable[[bytes], bytes]:
    if cloud.answer_file:
        answer = _whole(Path(cloud.answer_file).read_bytes())
        return lambda _: answer
    crowd = Crowd(cloud.users, cloud.sessions, time.time())
    simulator = Simulator(SimulatorOptions(quota=0), population=crowd)

    def simulated(head: bytes) -> bytes:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        response = simulator.handle(Request(method, target, headers))
        return _whole(response.body, response.status, response.headers["X-Request-Id"])

    return simulated


async def _serve(cloud: Cloud) -> None:
    tls = None
    if cloud.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cloud.certificate)
    answer = _answering(cloud)
    server = await asyncio.get_running_loop().create_server(lambda: _Protocol(answer), "127.0.0.1", 0, ssl=tls)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def served(cloud: Cloud) -> Iterator[str]:
    """The address of a cloud."""
    with child("benchmarks.served", json.dumps(asdict(cloud))) as process:
        yield f"{'https' if cloud.certificate else 'http'}://127.0.0.1:{int(process.output.readline())}"


if __name__ == "__main__":
    asyncio.run(_serve(Cloud(**json.loads(sys.argv[1]))))
