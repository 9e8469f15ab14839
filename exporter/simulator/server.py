"""The simulated cloud as a whole: from a request to a response, with quota, faults and latency, and its HTTP server."""

import asyncio
import re
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http import HTTPStatus
from random import Random
from urllib.parse import parse_qs

from aiohttp import web

from exporter.simulator.federation import Federation
from exporter.simulator.generated import GeneratedPopulation
from exporter.simulator.identity import Account, Identity, Tokens
from exporter.simulator.operations import OPERATIONS, Context, Operation, find_operation
from exporter.simulator.population import Population, all_sessions, all_users
from exporter.simulator.schema import (
    ApiError,
    GatewayError,
    Request,
    Response,
    SessionInfo,
    UserDetail,
    throttled,
    unauthorized,
)
from exporter.simulator.simulation import Script, Timeline, stream

LOG_SIZE = 100_000
SHUTDOWN_TIMEOUT = 0.5  # seconds that open requests have to end
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # the SO_LINGER value that makes closing a connection send a TCP reset
QUOTA_WINDOW = 60.0  # seconds
EVERY_OPERATION = "*"
GARBAGE = Response(HTTPStatus.OK, {"Content-Type": "text/html"}, b"<html><body><h1>Welcome</h1></body></html>")
"""The answer of a captive portal or a broken proxy."""

STATUS_ERRORS: Mapping[int, ApiError] = {
    200: ApiError(200, "WKS.00010109", "The custom name of desktop is empty."),
    401: unauthorized("decrypt token fail"),
    403: GatewayError(403, "APIG.0302", "The IAM user is not authorized to access the API"),
    429: throttled(200),
    500: ApiError(500, "WKS.00010500", "An internal service error occurred."),
    502: GatewayError(502, "APIG.0202", "Backend unavailable"),
    503: ApiError(503, "WKS.00010503", "Service unavailable."),
    504: GatewayError(504, "APIG.0203", "Backend timeout"),
}
"""The usual error of each status; 200 is documented, too: an error code in the body of a successful answer."""

INTERRUPTIONS = ("hang", "reset")  # the kinds of faults that only affect how a response is delivered


class Quota:
    """A limit on the requests a minute of each operation, 0 = unlimited. Throttled requests do not count.

    The reference does not define its minute. A client that respects a sliding window respects any other.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._admitted: dict[str, deque[float]] = {}

    def admit(self, operation: str, now: float) -> None:
        """Count a request, or raise a 429 if the quota is used up."""
        if self._limit == 0:
            return
        admitted = self._admitted.setdefault(operation, deque())
        while admitted and admitted[0] <= now - QUOTA_WINDOW:
            admitted.popleft()
        if len(admitted) >= self._limit:
            raise throttled(self._limit)
        admitted.append(now)


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault that affects `ratio` of the requests of an operation, or of all (`*`)."""

    kind: str  # an HTTP status, hang (no answer), reset (within the body) or garbage (HTML with status 200)
    ratio: float
    operation: str = EVERY_OPERATION

    def response(self, request_id: str) -> Response | None:
        """Return the response that replaces the real one, or None if the fault only affects the delivery."""
        if self.kind in INTERRUPTIONS:
            return None
        if self.kind == "garbage":
            return GARBAGE
        unusual = ApiError(int(self.kind), "WKS.00010999", "Injected fault.")
        return STATUS_ERRORS.get(unusual.status, unusual).response(request_id)


@dataclass(frozen=True, slots=True)
class Latency:
    """The delay of answers: `seconds`, plus or minus up to `jitter` seconds."""

    seconds: float = 0.0
    jitter: float = 0.0

    def draw(self, rng: Random) -> float:
        """Return the delay of one answer, in seconds."""
        return max(0.0, self.seconds + rng.uniform(-self.jitter, self.jitter))


def parse_faults(text: str) -> tuple[Fault, ...]:
    """Return a list of faults such as `429=0.01,ListUserDetail:hang=1`; raise ValueError that quotes a wrong one."""
    return tuple(_parse_fault(part.strip()) for part in text.split(",") if part.strip())


def _parse_fault(text: str) -> Fault:
    what, _, ratio = text.partition("=")
    operation, _, kind = what.rpartition(":")
    names = [known.name for known in OPERATIONS]
    if operation and operation not in names:
        raise ValueError(f"{text!r}: unknown operation {operation!r}; the operations are {', '.join(names)}")
    if not re.fullmatch("[2-5][0-9][0-9]|hang|reset|garbage", kind):
        raise ValueError(f"{text!r}: the kind must be an HTTP status from 200 to 599, hang, reset or garbage")
    try:
        return Fault(kind, parse_ratio(ratio), operation or EVERY_OPERATION)
    except ValueError as error:
        raise ValueError(f"{text!r}: the ratio {error}") from None


def parse_ratio(text: str) -> float:
    """Return a number from 0 to 1; raise ValueError for anything else."""
    if not re.fullmatch(r"\d*\.?\d+(e-\d+)?", text) or float(text) > 1:
        raise ValueError(f"{text!r} must be a number from 0 to 1")
    return float(text)


def draw_fault(faults: Sequence[Fault], operation: str, rng: Random) -> Fault | None:
    """Return the fault that affects a request, or None. The ratios of several faults add up."""
    chance = rng.random()
    for fault in faults:
        if fault.operation in (EVERY_OPERATION, operation):
            if chance < fault.ratio:
                return fault
            chance -= fault.ratio
    return None


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
    utc_offset: float = 8.0  # hours by which the zone-less times of ListSessionByUserName are ahead of UTC
    turnover: int = 0  # users who leave in a simulated hour, and as many join
    namesakes: int = 0  # of the users; each has the name of another user, in a second domain
    incident: Script | None = None  # None: random ones
    quota: int = 200  # requests a minute per operation, 0 = unlimited
    faults: tuple[Fault, ...] = ()
    latency: Latency = field(default_factory=Latency)
    denied_actions: frozenset[str] = frozenset()  # IAM actions that the account lacks
    account: Account = field(default_factory=Account)


class Simulator:
    """A stand-in for Huawei Cloud Workspace, IAM, STS, the ECS metadata service and the agent of a CCE cluster.

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
            options.seed,
            options.users,
            Timeline(clock(), options.speed),
            script=options.incident,
            turnover=options.turnover,
            namesakes=options.namesakes,
        )
        self._clock = clock
        self._identity = Identity(options.account, self.tokens, options.seed)
        self._federation = Federation(self._identity, options.seed)
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
            context = Context(
                request, path, query, self.population, self._identity, self._federation, now, self.options.utc_offset
            )
            response = (fault and fault.response(request_id)) or self._answer(operation, context)
        except ApiError as error:
            response = error.response(request_id)
        self.calls.log.append(Call(now, name, response.status))
        self.calls.counts[name, response.status] += 1
        return replace(
            response,
            headers={"Date": formatdate(now, usegmt=True), "X-Request-Id": request_id, **response.headers},
            delay=self.options.latency.draw(self._rng),
            delivery=fault.kind if fault and fault.kind in INTERRUPTIONS else "whole",
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
