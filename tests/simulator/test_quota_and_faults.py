"""The quota, injected faults and latency."""

import asyncio
import json

import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout

from exporter.simulator import (
    DEMO_PROJECT_ID,
    DEMO_TOKEN,
    Fault,
    Latency,
    Request,
    Simulator,
    SimulatorOptions,
    parse_faults,
)

TOKEN = {"X-Auth-Token": DEMO_TOKEN}
USERS = f"/v2/{DEMO_PROJECT_ID}/users?limit=1"
SESSIONS = f"/v1/{DEMO_PROJECT_ID}/session/user-session-info?user_name=user001"


class Clock:
    """A clock that a test sets."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        """Return its time."""
        return self.now


def statuses(simulator: Simulator, count: int, target: str = USERS) -> list[int]:
    return [simulator.handle(Request("GET", target, TOKEN)).status for _ in range(count)]


def test_the_quota_is_a_sliding_window_of_a_minute() -> None:
    """Each of 200 requests counts for 60 seconds, whenever a clock minute ends."""
    clock = Clock()
    simulator = Simulator(clock=clock)
    assert statuses(simulator, 100) == [200] * 100
    clock.now += 30
    assert statuses(simulator, 100) == [200] * 100
    assert statuses(simulator, 1) == [429]
    clock.now += 29.9
    assert statuses(simulator, 1) == [429]
    clock.now += 0.1
    assert statuses(simulator, 101) == [200] * 100 + [429]


def test_the_quota_is_per_operation() -> None:
    """Requests of one operation do not count against the quota of another."""
    simulator = Simulator(SimulatorOptions(quota=1), clock=Clock())
    assert statuses(simulator, 2) == [200, 429]
    assert statuses(simulator, 2, SESSIONS) == [200, 429]


def test_a_quota_of_0_is_unlimited() -> None:
    """Nothing is throttled."""
    assert statuses(Simulator(SimulatorOptions(quota=0, users=1), clock=Clock()), 1000) == [200] * 1000


def test_throttling_has_the_message_of_the_gateway() -> None:
    """The answer is the one that users of the real API report, and names the limit."""
    simulator = Simulator(SimulatorOptions(quota=1), clock=Clock())
    statuses(simulator, 1)
    response = simulator.handle(Request("GET", USERS, TOKEN))
    assert json.loads(response.body) == {
        "error_code": "APIG.0308",
        "error_msg": "The throttling threshold has been reached: policy user over ratelimit,limit:1,time:1 minute",
        "request_id": response.headers["X-Request-Id"],
    }


def test_unauthenticated_requests_do_not_use_up_the_quota() -> None:
    """A request without credentials is rejected before it counts."""
    simulator = Simulator(SimulatorOptions(quota=1), clock=Clock())
    assert simulator.handle(Request("GET", USERS)).status == 401
    assert statuses(simulator, 1) == [200]


def test_faults_occur_in_their_ratio_and_repeatably() -> None:
    """The same seed fails the same requests. The ratios of several faults add up."""
    options = SimulatorOptions(quota=0, users=1, faults=parse_faults("500=0.1,503=0.1"))
    first, second = (statuses(Simulator(options, clock=Clock()), 2000) for _ in range(2))
    assert first == second
    assert 150 < first.count(500) < 250
    assert 150 < first.count(503) < 250


def test_a_fault_may_affect_one_operation() -> None:
    """A fault of one operation does not affect others."""
    simulator = Simulator(SimulatorOptions(faults=parse_faults("ListUsers:503=1")), clock=Clock())
    assert statuses(simulator, 3) == [503] * 3
    assert statuses(simulator, 3, SESSIONS) == [200] * 3


@pytest.mark.parametrize(
    ("fault", "words"),
    [("200=1", b'"error_code":"WKS.'), ("418=1", b"Injected fault."), ("garbage=1", b"<html>"), ("504=1", b"Backend")],
)
def test_faults_have_bodies(fault: str, words: bytes) -> None:
    """Every status has a body. That of 200 has an error code, that of garbage is HTML."""
    simulator = Simulator(SimulatorOptions(faults=parse_faults(fault)), clock=Clock())
    assert words in simulator.handle(Request("GET", USERS, TOKEN)).body


def test_faults_are_parsed_from_text() -> None:
    """A comma-separated list becomes faults; an empty one becomes none."""
    assert parse_faults("429=0.01, ListUsers:hang=1,") == (Fault("429", 0.01), Fault("hang", 1.0, "ListUsers"))
    assert parse_faults("") == ()


@pytest.mark.parametrize("text", ["429", "429=2", "429=often", "600=1", "99=1", "oops=1", "Foo:500=1", "429=nan"])
def test_an_invalid_fault_is_rejected(text: str) -> None:
    """The error quotes the invalid part."""
    with pytest.raises(ValueError, match=text):
        parse_faults(text)


def test_latency_stays_within_its_jitter() -> None:
    """Delays vary around the latency and are never negative."""
    options = SimulatorOptions(quota=0, users=1, latency=Latency(0.01, 0.02))
    simulator = Simulator(options, clock=Clock())
    delays = [simulator.handle(Request("GET", USERS, TOKEN)).delay for _ in range(300)]
    assert min(delays) == 0
    assert 0.025 < max(delays) <= 0.03


async def test_a_reset_truncates_the_body() -> None:
    """The connection breaks before the announced length."""
    simulator = Simulator(SimulatorOptions(faults=parse_faults("reset=1")))
    async with simulator.serve() as url, ClientSession() as session:
        with pytest.raises((ClientError, ConnectionResetError)):
            async with session.get(url + USERS, headers=TOKEN) as response:
                await response.read()
    assert simulator.calls.total("ListUsers") == 1


async def test_a_hanging_request_does_not_block_others() -> None:
    """The client times out, others get answers, and the server stops without waiting for the hanging request."""
    simulator = Simulator(SimulatorOptions(faults=parse_faults("ListUsers:hang=1")))
    async with asyncio.timeout(10), ClientSession() as session:
        async with simulator.serve() as url:
            with pytest.raises(TimeoutError):
                await session.get(url + USERS, headers=TOKEN, timeout=ClientTimeout(total=0.05))
            hanging = asyncio.create_task(session.get(url + USERS, headers=TOKEN))
            async with session.get(url + SESSIONS, headers=TOKEN) as response:
                assert response.status == 200
        with pytest.raises((ClientError, ConnectionResetError)):
            await hanging
