"""The simulated cloud as a whole, from a request to a response, and its HTTP server."""

import asyncio
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qs

from aiohttp import web

from exporter.simulator.faults import Fault, Latency, Quota, draw_fault
from exporter.simulator.identity import Account, Identity, Tokens
from exporter.simulator.operations import Context, Operation, find_operation
from exporter.simulator.population import GeneratedPopulation, Population, all_sessions, all_users
from exporter.simulator.schema import ApiError, GatewayError, Request, Response, SessionInfo, UserDetail
from exporter.simulator.simulation import Script, stream

LOG_SIZE = 100_000
SHUTDOWN_TIMEOUT = 0.5  # seconds that open requests have to end
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # the SO_LINGER value that makes closing a connection send a TCP reset


@dataclass(frozen=True, slots=True)
class Call:
    """A logged request: `at` in wall-clock seconds; `operation` is `unknown` for an unknown path."""

    at: float
    operation: str
    status: int


class Calls:
    """All requests since the start; the log is limited to the newest, the counts by operation and status are not."""

    def __init__(self) -> None:
        self.log: deque[Call] = deque(maxlen=LOG_SIZE)
        self.counts: Counter[tuple[str, int]] = Counter()

    def total(self, operation: str) -> int:
        """Return the number of requests of an operation, whatever their status."""
        return sum(count for (name, _), count in self.counts.items() if name == operation)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """The properties of a simulated cloud."""

    seed: int = 1
    users: int = 50
    speed: float = 1.0  # simulated seconds per second, 0 = frozen
    incident: Script | None = None  # None: random ones
    quota: int = 200  # requests a minute per operation, 0 = unlimited
    faults: tuple[Fault, ...] = ()
    latency: Latency = field(default_factory=Latency)
    denied_actions: frozenset[str] = frozenset()  # IAM actions that the account lacks
    account: Account = field(default_factory=Account)


class Simulator:
    """A stand-in for Huawei Cloud Workspace, IAM and the ECS metadata service.

    `clock` returns wall-clock seconds since the epoch. `population` replaces the generated one that the options
    describe. `calls` are the requests so far. A test can revoke `tokens`.
    """

    def __init__(
        self,
        options: SimulatorOptions | None = None,
        *,
        clock: Callable[[], float] = time.time,
        population: Population | None = None,
    ) -> None:
        self.options = options = options or SimulatorOptions()
        self.calls = Calls()
        self.tokens = Tokens(options.seed, options.account.token)
        self.population: Population = population or GeneratedPopulation(
            options.seed, options.users, clock(), speed=options.speed, script=options.incident
        )
        self._clock = clock
        self._identity = Identity(options.account, self.tokens, options.seed)
        self._quota = Quota(options.quota)
        self._rng = stream(options.seed, "faults")
        self._requests = 0

    def users(self) -> list[UserDetail]:
        """Return all users as they are now."""
        return all_users(self.population, self._clock())

    def sessions(self) -> list[SessionInfo]:
        """Return all listed sessions as they are now."""
        return all_sessions(self.population, self._clock())

    def handle(self, request: Request) -> Response:
        """Answer a request at the present time of the clock."""
        now = self._clock()
        self._requests += 1
        request_id = f"{self.options.seed & 0xFFFFFFFF:08x}{self._requests:024x}"
        name, fault = "unknown", None
        try:
            operation, path = find_operation(request)
            name = operation.name
            if operation.action is not None:
                self._identity.check(request, now)
            self._quota.admit(name, now)
            fault = draw_fault(self.options.faults, name, self._rng)
            parameters = parse_qs(request.query, keep_blank_values=True)
            query = {parameter: ",".join(values) for parameter, values in parameters.items()}
            context = Context(request, path, query, self.population, self._identity, now)
            response = (fault and fault.response(request_id)) or self._answer(operation, context)
        except ApiError as error:
            response = error.response(request_id)
        self.calls.log.append(Call(now, name, response.status))
        self.calls.counts[name, response.status] += 1
        return replace(
            response,
            headers={"Date": formatdate(now, usegmt=True), "X-Request-Id": request_id, **response.headers},
            delay=self.options.latency.draw(self._rng),
            delivery=fault.delivery if fault else "whole",
        )

    def _answer(self, operation: Operation, context: Context) -> Response:
        """Answer a request, if the account has access to the project and the operation."""
        project = context.path.get("project_id")
        if project not in (None, self.options.account.project_id):
            message = f"The IAM user is not authorized to access the API: project {project}"
            raise GatewayError(HTTPStatus.FORBIDDEN, "APIG.0302", message)
        if operation.action in self.options.denied_actions:
            message = f"Policy doesn't allow {operation.action} to be performed."
            raise ApiError(HTTPStatus.FORBIDDEN, "WKS.00010403", message)
        return operation.answer(context)

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve on a TCP port (0: any free one) within the context, and return the base URL. Raises OSError."""
        stopping = asyncio.Event()

        async def respond(received: web.BaseRequest) -> web.StreamResponse:
            request = Request(received.method, received.raw_path, received.headers, await received.read())
            return await deliver(received, self.handle(request), stopping)

        runner = web.ServerRunner(
            web.Server(respond, access_log=None, handler_cancellation=True), shutdown_timeout=SHUTDOWN_TIMEOUT
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            yield f"http://{authority(host, runner.addresses[0][1])}"
        finally:
            stopping.set()
            await runner.cleanup()


def authority(host: str, port: int) -> str:
    """Return host and port as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def deliver(received: web.BaseRequest, response: Response, stopping: asyncio.Event) -> web.StreamResponse:
    """Deliver a response as it specifies: delayed, whole, truncated, or not before the server stops."""
    await asyncio.sleep(response.delay)
    if response.delivery == "whole":
        return web.Response(status=response.status, headers=response.headers, body=response.body)
    truncated = web.StreamResponse(status=response.status, headers=response.headers)
    if response.delivery == "hang":
        await stopping.wait()
    else:
        truncated.content_length = len(response.body)
        await truncated.prepare(received)
        await truncated.write(response.body[: len(response.body) // 2])
    if received.transport is not None:
        received.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        received.transport.abort()
    return truncated
