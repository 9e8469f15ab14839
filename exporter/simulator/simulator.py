"""The simulated cloud as a whole: from a request to a response, without a socket."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

import msgspec

from exporter.simulator import server
from exporter.simulator.authentication import Authenticator
from exporter.simulator.calls import Call, Calls
from exporter.simulator.chance import stream
from exporter.simulator.credentials import Account, Tokens
from exporter.simulator.errors import ApiError, foreign_project, not_permitted
from exporter.simulator.faults import Fault, Latency, draw_fault
from exporter.simulator.identity import create_token, security_key
from exporter.simulator.incidents import Script
from exporter.simulator.messages import Answer, Delivery, Request, Response
from exporter.simulator.office import Office
from exporter.simulator.operations import OPERATIONS, Question, parse_query
from exporter.simulator.population import Population, all_sessions, all_users
from exporter.simulator.quota import Quota
from exporter.simulator.routes import CREATE_TOKEN, SECURITY_KEY, Route, find_route
from exporter.simulator.schema import SessionInfo, UserDetail


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """What the simulated cloud is like.

    `seed`, `users`, `speed` (simulated seconds per second, 0 = frozen) and `incident` make the population; `quota` is
    the calls a minute of each operation (0 = any number); `denied_actions` are IAM actions that the caller lacks.
    """

    seed: int = 1
    users: int = 50
    speed: float = 1.0
    incident: Script | None = None
    quota: int = 200
    faults: tuple[Fault, ...] = ()
    latency: Latency = field(default_factory=Latency)
    denied_actions: frozenset[str] = frozenset()
    account: Account = field(default_factory=Account)


class Simulator:
    """A stand-in for Huawei Cloud Workspace, IAM and the ECS metadata service.

    `clock` tells the wall time in seconds since the epoch. `population` replaces the living one that the options
    describe. `calls` is what was asked so far; `tokens` lets a test end tokens.
    """

    def __init__(
        self,
        options: SimulatorOptions | None = None,
        *,
        clock: Callable[[], float] = time.time,
        population: Population | None = None,
    ) -> None:
        self.options = options or SimulatorOptions()
        self.calls = Calls()
        self.tokens = Tokens(self.options.seed, self.options.account.token)
        self.population: Population = population or Office(
            self.options.seed,
            self.options.users,
            clock(),
            speed=self.options.speed,
            script=self.options.incident,
        )
        self._clock = clock
        self._quota = Quota(self.options.quota)
        self._authenticator = Authenticator(self.options.account, self.tokens, self.options.seed)
        self._dice = stream(self.options.seed, "faults")
        self._requests = 0

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serve on a TCP port (0: any free one) while the context lasts; it is entered with the base URL.

        Raises:
            OSError: on entering, the address cannot be had.
        """
        return server.serve(self.handle, host, port)

    def users(self) -> list[UserDetail]:
        """The truth about all users now."""
        return all_users(self.population, self._clock())

    def sessions(self) -> list[SessionInfo]:
        """The truth about all listed sessions now."""
        return all_sessions(self.population, self._clock())

    def handle(self, request: Request) -> Response:
        """Answer a request at the clock's present time."""
        now = self._clock()
        self._requests += 1
        request_id = f"{self.options.seed & 0xFFFFFFFF:08x}{self._requests:024x}"
        operation, fault = "unknown", None
        try:
            route, path = find_route(request)
            operation = route.operation
            self._admit(route, request, now)
            fault = draw_fault(self.options.faults, operation, self._dice)
            spoilt = fault and fault.answer(request_id)
            answer = spoilt or self._answer(route, path, request, now)
        except ApiError as error:
            answer = error.answer(request_id)
        self.calls.record(Call(now, operation, answer.status, request.target))
        headers = {
            "Content-Type": answer.content_type,
            "Date": formatdate(now, usegmt=True),
            "X-Request-Id": request_id,
            **answer.headers,
        }
        delay = self.options.latency.draw(self._dice)
        return Response(answer.status, headers, answer.body, delay, fault.delivery if fault else Delivery.WHOLE)

    def _admit(self, route: Route, request: Request, now: float) -> None:
        """The gateway's part: credentials, then the quota of whoever has them."""
        if route.action is not None:
            self._authenticator.check(request, now)
        self._quota.admit(route.operation, now)

    def _answer(self, route: Route, path: Mapping[str, str], request: Request, now: float) -> Answer:
        """The services' part."""
        if route is CREATE_TOKEN:
            return create_token(request, self.options.account, self.tokens, now)
        if route is SECURITY_KEY:
            return security_key(self.options.seed, now)
        if path["project_id"] != self.options.account.project_id:
            raise foreign_project(path["project_id"])
        if route.action in self.options.denied_actions:
            raise not_permitted(route.action or "")
        question = Question(path, parse_query(request.query), self.population, now)
        return Answer(HTTPStatus.OK, msgspec.json.encode(OPERATIONS[route.operation](question)))
