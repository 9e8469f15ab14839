"""Too many calls, and calls that go wrong on purpose."""

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
    """A clock to set."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        """The time it shows."""
        return self.now


def statuses(simulator: Simulator, count: int, target: str = USERS) -> list[int]:
    return [simulator.handle(Request("GET", target, TOKEN)).status for _ in range(count)]


def test_two_hundred_calls_pass_and_the_next_is_refused_for_a_minute() -> None:
    """The quota slides: each call frees its place a minute after it was made, not at the full minute."""
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
    """One operation's calls leave the others' quota alone."""
    simulator = Simulator(SimulatorOptions(quota=1), clock=Clock())
    assert statuses(simulator, 2) == [200, 429]
    assert statuses(simulator, 2, SESSIONS) == [200, 429]


def test_without_quota_everything_passes() -> None:
    """A quota of 0 is none."""
    assert statuses(Simulator(SimulatorOptions(quota=0, users=1), clock=Clock()), 1000) == [200] * 1000


def test_throttling_speaks_the_gateways_words() -> None:
    """Past the quota the answer is what users of the real API report, with the limit in it."""
    simulator = Simulator(SimulatorOptions(quota=1), clock=Clock())
    statuses(simulator, 1)
    response = simulator.handle(Request("GET", USERS, TOKEN))
    assert json.loads(response.body) == {
        "error_code": "APIG.0308",
        "error_msg": "The throttling threshold has been reached: policy user over ratelimit,limit:1,time:1 minute",
        "request_id": response.headers["X-Request-Id"],
    }


def test_strangers_do_not_use_up_the_quota() -> None:
    """A call without credentials is refused before it counts."""
    simulator = Simulator(SimulatorOptions(quota=1), clock=Clock())
    assert simulator.handle(Request("GET", USERS)).status == 401
    assert statuses(simulator, 1) == [200]


def test_faults_come_in_their_ratio_and_repeatably() -> None:
    """The same seed fails the same calls; ratios of several faults add up."""
    options = SimulatorOptions(quota=0, users=1, faults=parse_faults("500=0.1,503=0.1"))
    first, second = (statuses(Simulator(options, clock=Clock()), 2000) for _ in range(2))
    assert first == second
    assert 150 < first.count(500) < 250
    assert 150 < first.count(503) < 250


def test_a_fault_may_be_one_operations() -> None:
    """Named faults leave the other operations alone."""
    simulator = Simulator(SimulatorOptions(faults=parse_faults("ListUsers:503=1")), clock=Clock())
    assert statuses(simulator, 3) == [503] * 3
    assert statuses(simulator, 3, SESSIONS) == [200] * 3


@pytest.mark.parametrize(
    ("fault", "words"),
    [("200=1", b'"error_code":"WKS.'), ("418=1", b"Injected fault."), ("garbage=1", b"<html>"), ("504=1", b"Backend")],
)
def test_faults_have_bodies(fault: str, words: bytes) -> None:
    """Any status can be had, with a body; 200 has an error code in it, garbage is HTML."""
    simulator = Simulator(SimulatorOptions(faults=parse_faults(fault)), clock=Clock())
    assert words in simulator.handle(Request("GET", USERS, TOKEN)).body


def test_faults_are_read_from_text() -> None:
    """The list of faults is what the command line says."""
    assert parse_faults("429=0.01, ListUsers:hang=1,") == (Fault("429", 0.01), Fault("hang", 1.0, "ListUsers"))
    assert parse_faults("") == ()


@pytest.mark.parametrize("text", ["429", "429=2", "429=often", "600=1", "99=1", "oops=1", "Foo:500=1", "429=nan"])
def test_nonsense_is_no_fault(text: str) -> None:
    """What cannot be meant is refused with the offending part."""
    with pytest.raises(ValueError, match=text):
        parse_faults(text)


def test_latency_stays_within_its_jitter() -> None:
    """Delays lie around the latency and are never negative."""
    options = SimulatorOptions(quota=0, users=1, latency=Latency(0.01, 0.02))
    simulator = Simulator(options, clock=Clock())
    delays = [simulator.handle(Request("GET", USERS, TOKEN)).delay for _ in range(300)]
    assert min(delays) == 0
    assert 0.025 < max(delays) <= 0.03


async def test_a_reset_comes_amid_the_body() -> None:
    """The connection breaks before the announced length is reached."""
    simulator = Simulator(SimulatorOptions(faults=parse_faults("reset=1")))
    async with simulator.serve() as url, ClientSession() as session:
        with pytest.raises((ClientError, ConnectionResetError)):
            async with session.get(url + USERS, headers=TOKEN) as response:
                await response.read()
    assert simulator.calls.total("ListUsers") == 1


async def test_a_hanging_call_gets_no_answer_and_holds_nobody_up() -> None:
    """The client times out, other calls go on, and the server stops without waiting for the hanging one."""
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
