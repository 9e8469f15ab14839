"""Processor time of one call to the cloud, over real sockets: ours, bare aiohttp, the official SDK, and the floor.

Every contender queries the sessions of a user from a server with a fixed answer. It has CONCURRENCY requests in flight
over open connections, and decodes the fields that it uses. All of the process's time counts, system calls included.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
from benchmarks.figures import Figure
from benchmarks.interleaved import medians
from benchmarks.served import Cloud, served
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkworkspaceapp.v1 import ListSessionByUserNameRequest, WorkspaceAppClient
from support.certificates import certificate

from exporter.cloud.answers import session_list
from exporter.cloud.auth import AccessKey, Token
from exporter.cloud.client import Client, Endpoints
from exporter.cloud.credentials import StaticCredentials
from exporter.cloud.proxy import proxy_from_environment
from exporter.cloud.transport import Transport, tls_context
from exporter.simulator import DEMO_PROJECT_ID, Request, Simulator, SimulatorOptions

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from benchmarks.plan import Plan, Tell

    from exporter.cloud.auth import Auth

    Call = Callable[[str], Awaitable[object]]
    Connect = Callable[[str, Path | None], AbstractAsyncContextManager[Call]]

T = TypeVar("T")

NAME = "client"
CONCURRENCY = 16
TOKEN = Token("t" * 512)
KEY = AccessKey("A" * 20, "S" * 40)

MOST_OF_BARE = 1.3
MOST_OF_SDK = 1 / 6
MOST_OF_SDK_WITH_UVLOOP = 1 / 9

_PATH = f"/v1/{DEMO_PROJECT_ID}/session/user-session-info"


def run(plan: Plan, tell: Tell) -> Iterator[Figure]:
    """Microseconds a call of each contender, and what ours are of the others'."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        body = folder / "body.json"
        body.write_bytes(_two_sessions())
        yield from _compared(plan, tell, body, None, "http")
        if openssl := shutil.which("openssl"):
            yield from _compared(plan, tell, body, certificate(openssl, folder), "https")
        else:
            tell("without openssl there is no certificate, and nothing is measured over TLS")


def _compared(plan: Plan, tell: Tell, body: Path, tls: Path | None, scheme: str) -> Iterator[Figure]:
    with contextlib.ExitStack() as stack:
        cloud = Cloud(answer_file=str(body), certificate=str(tls) if tls else None)
        contest = _Contest(stack, stack.enter_context(served(cloud)), tls, plan.calls)
        contenders = {
            "raw HTTP over asyncio streams": contest.on_asyncio(raw),
            "bare aiohttp": contest.on_asyncio(bare_aiohttp),
            "exporter, token": contest.on_asyncio(exporter_with_token),
            "exporter, signed": contest.on_asyncio(exporter_with_key),
            f"official SDK, signed, {CONCURRENCY} threads": contest.in_threads(),
        }
        if find_spec("uvloop"):
            uvloop = __import__("uvloop").new_event_loop
            contenders |= {
                "bare aiohttp on uvloop": contest.on_asyncio(bare_aiohttp, uvloop),
                "exporter, signed, on uvloop": contest.on_asyncio(exporter_with_key, uvloop),
            }
        found = medians(contenders, plan.rounds, lambda text: tell(f"{scheme}, {plan.calls} calls each, {text}"))
    for name, seconds in found.items():
        yield Figure(NAME, f"{scheme}: {name}", seconds * 1e6, "µs CPU a call")
    yield from _ratios(found, scheme)


def _ratios(found: dict[str, float], scheme: str) -> Iterator[Figure]:
    sdk = next(seconds for name, seconds in found.items() if name.startswith("official"))
    for ours in ("exporter, token", "exporter, signed"):
        ratio = found[ours] / found["bare aiohttp"]
        yield Figure(NAME, f"{scheme}: {ours} / bare aiohttp", ratio, at_most=MOST_OF_BARE)
    ratio = found["exporter, signed"] / sdk
    yield Figure(NAME, f"{scheme}: exporter, signed / official SDK", ratio, at_most=MOST_OF_SDK)
    if "exporter, signed, on uvloop" in found:
        ratio = found["exporter, signed, on uvloop"] / sdk
        yield Figure(NAME, f"{scheme}: on uvloop / official SDK", ratio, at_most=MOST_OF_SDK_WITH_UVLOOP)


def _two_sessions() -> bytes:
    """An answer as the simulator gives it, with two sessions."""
    simulator = Simulator(SimulatorOptions(users=200, speed=0, quota=0))
    headers = {"X-Auth-Token": simulator.options.account.token}
    for name in simulator.population.names():
        answer = simulator.handle(Request("GET", f"{_PATH}?user_name={name}", headers))
        if len(session_list(answer.body).sessions) == 2:
            return answer.body
    raise AssertionError("nobody has two sessions")


@dataclass(frozen=True)
class _Contest:
    """One server that all contenders ask; each gives the processor seconds of a call."""

    stack: contextlib.ExitStack
    url: str
    tls: Path | None
    calls: int

    def on_asyncio(
        self, connect: Connect, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    ) -> Callable[[], float]:
        """A contender whose loop and connections stay from round to round."""
        runner = self.stack.enter_context(asyncio.Runner(loop_factory=loop_factory))
        connection = connect(self.url, self.tls)
        call = runner.run(_entered(connection))
        self.stack.callback(lambda: runner.run(_left(connection)))
        return lambda: self._timed(lambda: runner.run(_made(call, self.calls)))

    def in_threads(self) -> Callable[[], float]:
        """The official SDK as its examples use it, with a thread for each call under way."""
        config = HttpConfig(pool_maxsize=CONCURRENCY, ssl_ca_cert=str(self.tls) if self.tls else None)
        credentials = BasicCredentials(KEY.access_key, KEY.secret_key, DEMO_PROJECT_ID)
        builder: Any = WorkspaceAppClient.new_builder()
        client = builder.with_http_config(config).with_credentials(credentials).with_endpoint(self.url).build()
        self.stack.callback(client.close)
        threads = self.stack.enter_context(ThreadPoolExecutor(CONCURRENCY))

        def call(number: int) -> None:
            client.list_session_by_user_name(ListSessionByUserNameRequest(user_name=f"user{number:05}"))

        return lambda: self._timed(lambda: list(threads.map(call, range(self.calls))))

    def _timed(self, work: Callable[[], object]) -> float:
        began = time.process_time()
        work()
        return (time.process_time() - began) / self.calls


async def _entered(connection: AbstractAsyncContextManager[T]) -> T:
    return await connection.__aenter__()


async def _left(connection: AbstractAsyncContextManager[object]) -> None:
    await connection.__aexit__(None, None, None)


async def _made(call: Call, calls: int) -> None:
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            await call(f"user{number:05}")

    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


@contextlib.asynccontextmanager
async def exporter_client(url: str, tls: Path | None, auth: Auth) -> AsyncIterator[Call]:
    """The exporter's own."""
    transport = Transport(timeout=10, proxy_for=proxy_from_environment, tls=tls_context(tls))
    async with transport:
        client = Client(DEMO_PROJECT_ID, Endpoints(url, url), StaticCredentials(lambda: auth), transport)
        yield client.list_session_by_user_name


exporter_with_token: Connect = partial(exporter_client, auth=TOKEN)
exporter_with_key: Connect = partial(exporter_client, auth=KEY)


@contextlib.asynccontextmanager
async def bare_aiohttp(url: str, tls: Path | None) -> AsyncIterator[Call]:
    """As aiohttp's own first page shows it, with the same headers and the same decoding; not signed."""
    always = {"User-Agent": "bare", "Accept-Encoding": "identity"}
    headers = {"Content-Type": "application/json", "X-Project-Id": DEMO_PROJECT_ID, "X-Auth-Token": TOKEN.value}
    connector = aiohttp.TCPConnector(limit=CONCURRENCY, ssl=_verifying(tls) or True)
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=always) as session:

        async def call(name: str) -> object:
            async with session.get(f"{url}{_PATH}", params={"user_name": name}, headers=headers) as response:
                return session_list(await response.read())

        yield call


@contextlib.asynccontextmanager
async def raw(url: str, tls: Path | None) -> AsyncIterator[Call]:
    """The floor: a constant head written, an answer read by its length, the same decoding. It checks nothing."""
    host = urlsplit(url)
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    head = f" HTTP/1.1\r\nHost: {host.netloc}\r\nX-Auth-Token: {TOKEN.value}\r\nX-Project-Id: {DEMO_PROJECT_ID}\r\n\r\n"

    async def call(name: str) -> object:
        connection = (
            idle.pop() if idle else await asyncio.open_connection(host.hostname, host.port, ssl=_verifying(tls))
        )
        reader, writer = connection
        writer.write(f"GET {_PATH}?user_name={name}{head}".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        start = answer.index(b"Content-Length: ") + 16
        body = await reader.readexactly(int(answer[start : answer.index(b"\r", start)]))
        idle.append(connection)
        return session_list(body)

    yield call
    for _, writer in idle:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _verifying(tls: Path | None) -> ssl.SSLContext | None:
    return tls_context(tls) if tls else None
