"""What becomes of the numbers when the cloud misbehaves: one fault a row, over real sockets.

Each row runs an exporter with two projects on one server: in ``all`` every call for sessions meets the fault, in
``one`` only the calls for bob do.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
import stamina
import structlog
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support.exporters import QUICK, get, running, settings
from support.faulty_server import TOKEN, Fault, FaultyServer, http

from exporter import app
from exporter.cloud import transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

PREFIX = "huaweicloud_workspace_"
OPERATION = "ListSessionByUserName"
PATIENCE = 20.0
"""Seconds that a machine may be slow; nothing waits so long on purpose."""
HIT = "bob"
"""The user of the project ``one`` that meets the fault."""

Numbers = dict[str, dict[tuple[str, ...], float]]
"""The samples about users and sessions by the metric's name and the labels' values."""

SESSIONS: dict[str, list[dict[str, str]]] = {
    "ann": [
        {"id": "a1", "session_state": "Active", "client_version": "1.0", "agent_version": "2.0"},
        {"id": "a2", "session_state": "Disconnected", "client_version": "1.0", "agent_version": "2.0"},
    ],
    "bob": [
        {"id": "b1", "session_state": "Active", "client_version": "1.1", "agent_version": "2.0"},
        {"id": "b2", "session_state": "InitFail", "failed_code": "E1", "app_server_group_id": "g1"},
    ],
    "eve": [],
}
ACCOUNTS: dict[str, dict[str, object]] = {
    "ann": {"locked": True, "user_expired": False, "disabled": False, "account_expires": 0},
    "bob": {"locked": False, "user_expired": True, "disabled": False, "account_expires": 1_900_000_000_000},
    "eve": {"locked": False, "user_expired": False, "disabled": False},
}
OF_ACCOUNTS: Numbers = {
    "users": {(): 3},
    "users_missing": {(): 0},
    "users_locked": {(): 1},
    "users_expired": {(): 1},
    "users_disabled": {(): 0},
    "user_missing": {("ann",): 0, ("bob",): 0, ("eve",): 0},
    "user_locked": {("ann",): 1, ("bob",): 0, ("eve",): 0},
    "user_expired": {("ann",): 0, ("bob",): 1, ("eve",): 0},
    "user_disabled": {("ann",): 0, ("bob",): 0, ("eve",): 0},
    "user_account_expires_timestamp_seconds": {("bob",): 1_900_000_000},
}
NO_NEW_FAILURE: Numbers = {"session_init_failures_total": {(): 0}}
LABELS = ("user_name", "session_state", "client_version", "agent_version")
STATES = ("Active", "Disconnected", "AppcInit", "SignedOut", "InitFail")

Sessions = Counter[tuple[str, str, str]]
"""By state, version of the client and version of the agent."""

UNTOUCHED: dict[str, Sessions] = {
    "ann": Counter({("Active", "1.0", "2.0"): 1, ("Disconnected", "1.0", "2.0"): 1}),
    "bob": Counter({("Active", "1.1", "2.0"): 1, ("InitFail", "unknown", "unknown"): 1}),
    "eve": Counter(),
}


def numbers(sessions: dict[str, Sessions]) -> Numbers:
    """All that is to be told of users and sessions, where these users have these sessions."""
    total: dict[tuple[str, ...], float] = {(state,): 0 for state in STATES}
    by_version: dict[tuple[str, ...], float] = defaultdict(float)
    of_users: dict[tuple[str, ...], float] = defaultdict(float)
    for user, theirs in sessions.items():
        for labels, n in theirs.items():
            total[labels[:1]] = total.get(labels[:1], 0) + n
            by_version[labels] += n
            of_users[user, labels[0]] += n
    told = {
        **OF_ACCOUNTS,
        **NO_NEW_FAILURE,
        "sessions": total,
        "sessions_by_version": dict(by_version),
        "user_sessions": dict(of_users),
    }
    return {name: samples for name, samples in told.items() if samples}


HEALTHY = numbers(UNTOUCHED)
WITHOUT_BOB = numbers({user: theirs for user, theirs in UNTOUCHED.items() if user != HIT})


@dataclass(frozen=True)
class Row:
    """A fault and what it must be counted as; ``sessions`` is what an answer says that is to be believed."""

    name: str
    code: str
    fault: Fault
    sessions: Sessions | None = None


def json_of(value: object) -> bytes:
    return json.dumps(value).encode()


def listing(*sessions: object) -> bytes:
    return json_of({"session_info_list": sessions})


def ok(body: bytes, **headers: str) -> Fault:
    return Fault(http(body=body, **headers))


def status(line: str, body: bytes = b"", **headers: str) -> Fault:
    return Fault(http(line, body, **headers))


def believed(*sessions: tuple[str, str, str]) -> Sessions:
    return Counter(sessions)


HTML = b"<html><body><h1>It went wrong</h1></body></html>"
ONE = {"id": "z1", "session_state": "Active", "client_version": "9", "agent_version": "9"}
GOOD = listing(ONE)
LONG = "9" * 1_000_000
ODD = 'a"b\\c\nd\0e\u2028\U0001f600'
NEW_STATES = [f"New{i:02}" for i in range(30)]  # of which 20 are told apart
HUGE = int("9" * 60)
DEEP = b"[" * 200_000 + b"]" * 200_000
NO_LISTS: tuple[object, ...] = ({}, "", [None], [7])
WRONG: dict[str, object] = {
    "id": 7,
    "session_state": ["Active"],
    "client_version": 1.5,
    "agent_version": {},
    "failed_code": HUGE,
    "app_server_group_id": True,
}
"""For each field that is used, what it never is."""
BROKEN = "connection_error"
INVALID = "invalid_response"
LIMIT = transport.MAX_BODY_BYTES
AWAY = "{elsewhere}/v1/p"
"""An address at another server, which must see nothing."""

ROWS = [
    # The status says it.
    Row("301", "301", status("301 Moved Permanently", Location=AWAY)),
    Row("302", "302", status("302 Found", Location=AWAY)),
    Row("307 with a good body", "307", status("307 Temporary Redirect", GOOD, Location=AWAY)),
    Row("400", "400", status("400 Bad Request", b'{"error_code":"WKS.1"}')),
    Row("403", "403", status("403 Forbidden", b'{"error_code":"WKS.2"}')),
    Row("404 of the gateway", "404", status("404 Not Found", b'{"error_code":"APIG.0101"}')),
    Row("404 in HTML", "404", status("404 Not Found", HTML, Content_Type="text/html")),
    Row("405", "405", status("405 Method Not Allowed", Allow="POST")),
    Row("415", "415", status("415 Unsupported Media Type", b"{}")),
    Row("418", "418", status("418 I'm a teapot", b"short and stout")),
    Row("429", "429", status("429 Too Many Requests", b'{"error_code":"APIG.0308"}')),
    Row("500 in HTML", "500", status("500 Internal Server Error", HTML)),
    Row("500 nested deep", "500", status("500 Internal Server Error", DEEP)),
    Row("503", "503", status("503 Service Unavailable")),
    # The connection breaks or stalls.
    Row("reset before the answer", BROKEN, Fault(then="reset")),
    Row("reset amid the headers", BROKEN, Fault(http(body=GOOD)[:30], "reset")),
    Row("reset amid the body", BROKEN, Fault(http(body=GOOD)[:-9], "reset")),
    Row("closed amid the body", BROKEN, Fault(http(body=GOOD)[:-9], "close")),
    Row("a Content-Length too long", BROKEN, Fault(http(body=GOOD, Content_Length="999"), "close")),
    Row("a chunk that breaks off", BROKEN, Fault(http(body=b"99\r\n{", Transfer_Encoding="chunked"), "close")),
    Row("a hang before the headers", "timeout", Fault(then="hang")),
    Row("a hang amid the headers", "timeout", Fault(http(body=GOOD)[:30], "hang")),
    Row("a hang before the body", "timeout", Fault(http(body=GOOD)[: -len(GOOD)], "hang")),
    Row("a hang amid the body", "timeout", Fault(http(body=GOOD)[:-9], "hang")),
    Row("a byte every 50 ms", "timeout", Fault(http(body=GOOD), "drip")),
    Row("a Content-Length too long, then a hang", "timeout", Fault(http(body=GOOD, Content_Length="999"), "hang")),
    # What comes is no HTTP, or no body that may be read.
    Row("no HTTP", INVALID, Fault(b"220 mail.example ESMTP\r\n", "close")),
    Row("a Content-Length that is no number", INVALID, Fault(http(body=GOOD, Content_Length="many"), "close")),
    Row("a Content-Length too short", INVALID, Fault(http(body=GOOD, Content_Length=str(len(GOOD) - 9)), "close")),
    Row("an endless body", INVALID, Fault(http(Content_Length=str(10**12)), "flood")),
    Row("an endless body in chunks", INVALID, Fault(http(body=b"fffffff\r\n", Transfer_Encoding="chunked"), "flood")),
    Row("a gzip bomb", INVALID, ok(gzip.compress(b" " * 50_000_000), Content_Encoding="gzip")),
    # The body is not what the reference says.
    Row("204", INVALID, Fault(b"HTTP/1.1 204 No Content\r\n\r\n")),
    Row("an error body under 200", INVALID, ok(b'{"error_code":"WKS.1","error_msg":"no"}')),
    Row("an error body beside a list", INVALID, ok(b'{"code":7,"session_info_list":[]}')),
    Row("an empty body", INVALID, ok(b"")),
    Row("null", INVALID, ok(b"null")),
    Row("[]", INVALID, ok(b"[]")),
    Row("HTML under 200", INVALID, ok(HTML, Content_Type="application/json")),
    Row("truncated JSON", INVALID, ok(GOOD[:-9])),
    Row("a BOM", INVALID, ok(b"\xef\xbb\xbf" + GOOD)),
    Row("UTF-16", INVALID, ok(GOOD.decode().encode("utf-16"))),
    Row("invalid UTF-8", INVALID, ok(b'{"session_info_list":[{"client_version":"\xff"}]}')),
    Row("half a surrogate pair", INVALID, ok(b'{"session_info_list":[{"client_version":"\\ud800 "}]}')),
    Row("nested 200,000 deep", INVALID, ok(b'{"session_info_list":[],"x":%s}' % DEEP)),
    Row("nested 200,000 deep and open", INVALID, ok(DEEP[:200_000])),
    Row("NaN", INVALID, ok(b'{"session_info_list":[],"x":NaN}')),
    Row("an error code past 64 bits", INVALID, ok(json_of({"code": HUGE, "session_info_list": []}))),
    *(Row(f"{name} is {wrong!s:.9}", INVALID, ok(listing({**ONE, name: wrong}))) for name, wrong in WRONG.items()),
    *(
        Row(f"the list is {json.dumps(wrong)}", INVALID, ok(json_of({"session_info_list": wrong})))
        for wrong in NO_LISTS
    ),
    Row("an error code that is a list", INVALID, ok(json_of({"error_code": [], "session_info_list": []}))),
    # Odd, and yet an answer.
    Row("an absent list", "200", ok(b"{}"), believed()),
    Row("the list is null", "200", ok(b'{"session_info_list":null}'), believed()),
    Row("duplicated keys", "200", ok(b'{"session_info_list":[],%s' % GOOD[1:]), believed(("Active", "9", "9"))),
    Row("10,000 sessions", "200", ok(listing(*[ONE] * 10_000)), Counter({("Active", "9", "9"): 10_000})),
    Row(
        "a session without id",
        "200",
        ok(listing({"session_state": "Active"})),
        believed(("Active", "unknown", "unknown")),
    ),
    Row("a session of nulls", "200", ok(listing(dict.fromkeys(ONE))), believed(("unknown", "unknown", "unknown"))),
    Row(
        "30 unknown states",
        "200",
        ok(listing(*({"session_state": state} for state in NEW_STATES))),
        believed(*((state, "unknown", "unknown") for state in [*NEW_STATES[:20], *["other"] * 10])),
    ),
    Row("versions of 1 MB", "200", ok(listing(ONE | {"client_version": LONG})), believed(("Active", "9" * 128, "9"))),
    Row("versions of any character", "200", ok(listing(ONE | {"agent_version": ODD})), believed(("Active", "9", ODD))),
    Row("a state of any character", "200", ok(listing(ONE | {"session_state": ODD})), believed((ODD, "9", "9"))),
    Row("numbers past 64 bits", "200", ok(listing(ONE | {"x": HUGE, "y": [-HUGE]})), believed(("Active", "9", "9"))),
    Row("a second answer behind the first", "200", Fault(http() + http(body=GOOD)), believed()),
]


@dataclass
class Scene:
    """An exporter at work on a server that may misbehave."""

    server: FaultyServer
    trap: FaultyServer
    elsewhere: str
    address: str
    log: list[Any] = field(default_factory=list)

    def begin(self, fault: Fault) -> None:
        """Let the fault begin."""
        answer = fault.answer.replace(b"{elsewhere}", self.elsewhere.encode())
        self.server.faulty.clear()
        self.server.fault = replace(fault, answer=answer)

    async def scrape(self) -> Told:
        """What is told now; that it is told at once is part of every promise."""
        started = time.perf_counter()
        code, text, _ = await get(f"{self.address}/metrics", **{"Accept-Encoding": "identity"})
        took = time.perf_counter() - started
        assert (code, took < 1.0) == (200, True), f"{code} after {took} s"
        return Told.read(text)

    async def until(self, condition: Callable[[Told], bool], always: Callable[[Told], bool] = bool) -> Told:
        """What is told as soon as it fulfils a condition; ``always`` must hold on the way."""
        told = Told({}, {}, {}, {})
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    told = await self.scrape()
                    assert always(told), told
                    if condition(told):
                        return told
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not within {PATIENCE} s: {told}, {self.server.faulty}") from None

    async def recovered(self) -> Told:
        """What is told when the fault is over and everybody has been asked twice since."""
        self.server.fault = None
        self.server.good.clear()
        before = (await self.scrape()).codes
        users = [(project, user) for project in ("all", "one") for user in SESSIONS]

        def answered(told: Told) -> bool:
            news = [told.codes[project]["200"] - before[project]["200"] for project in ("all", "one")]
            return all(self.server.good[user] >= 2 for user in users) and min(news) >= 2 * len(SESSIONS)

        await self.until(answered)
        return await self.until(lambda told: all(told.numbers[p] == HEALTHY and told.up[p] for p in ("all", "one")))


@dataclass
class Told:
    """What one scrape says, by project."""

    numbers: dict[str, Numbers]
    codes: dict[str, Counter[str]]
    up: dict[str, float]
    coverage: dict[str, float]
    """Of the sessions."""
    skew: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Told:
        told = cls({}, {}, {}, {})
        for sample in (sample for family in parse_text(text) for sample in family.samples):
            labels = dict(sample.labels)
            project = labels.pop("project", "")
            name = sample.name.removeprefix(PREFIX)
            if name == sample.name:
                continue
            if name.startswith(("sessions", "session_", "user")):
                told.numbers.setdefault(project, {}).setdefault(name, {})[
                    tuple(labels[label] for label in LABELS if label in labels)
                ] = sample.value
            elif name == "up":
                told.up[project] = sample.value
            elif name == "clock_skew_seconds":
                told.skew[project] = sample.value
            elif labels.get("operation") == OPERATION and name == "api_requests_total":
                told.codes.setdefault(project, Counter())[labels["code"]] += int(sample.value)
            elif labels.get("operation") == OPERATION and name == "poll_coverage_ratio":
                told.coverage[project] = sample.value
        return told


@asynccontextmanager
async def healthy(**poll: float) -> AsyncIterator[Scene]:
    """An exporter that tells the truth of a server in order."""
    server = FaultyServer(SESSIONS, ACCOUNTS, lambda project_id, user: project_id == "all" or user == HIT)
    trap = FaultyServer({}, {})
    async with server.serve() as url, trap.serve() as elsewhere:
        projects = [
            {
                "name": name,
                "project_id": name,
                "endpoints": {"sessions": url, "users": url, "iam": url, "metadata": url},
                "auth": {"token": TOKEN},
                "users": list(SESSIONS),
            }
            for name in ("all", "one")
        ]
        wanted = settings(*projects, poll={**QUICK, "interval": 0.06, "user_interval": 5, **poll})
        with structlog.testing.capture_logs() as log:
            async with running(wanted) as address:
                scene = Scene(server, trap, elsewhere, address, log)
                await scene.until(lambda told: told.numbers == {"all": HEALTHY, "one": HEALTHY})
                yield scene
                assert (await get(f"{address}/-/healthy"))[0] == 200
        assert {event["event"] for event in log} & {"polling_crashed", "publish_failed"} == set()
        assert trap.connections == 0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No pauses before retries, news at once, and a limit of bodies that is soon reached."""
    monkeypatch.setattr(app, "PUBLISH_INTERVAL", 0.05)
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 2 * 1024 * 1024)
    with stamina.set_testing(True, attempts=4):
        yield


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_fault(row: Row) -> None:
    """It is counted as what it is, costs at most the answers that it hits, and leaves nothing behind."""
    meant = {"all": HEALTHY, "one": HEALTHY}
    if row.sessions is not None:
        meant["all"] = numbers(dict.fromkeys(SESSIONS, row.sessions))
        meant["one"] = numbers(UNTOUCHED | {HIT: row.sessions})

    async with healthy(timeout=0.3 if row.code == "timeout" else 10) as scene:
        before = (await scene.scrape()).codes
        scene.begin(row.fault)

        def told_so(told: Told) -> bool:
            news = {project: told.codes[project] - before[project] for project in told.codes}
            assert {code for codes in news.values() for code in codes} <= {"200", row.code}
            enough = news["all"][row.code] >= 3 and news["one"][row.code] >= 2 and scene.server.faulty["one"] >= 2
            up = {"all": float(row.code == "200"), "one": 1.0}
            return enough and told.numbers == meant and told.up == up

        def never_wrong(told: Told) -> bool:
            return row.sessions is not None or told.numbers == meant

        told = await scene.until(told_so, always=never_wrong)
        assert told.coverage == {"all": 1, "one": 1}
        after = await scene.recovered()
    assert after.numbers == {"all": HEALTHY, "one": HEALTHY}
    assert after.up == {"all": 1, "one": 1}
    failing = {event["code"] for event in scene.log if event["event"] == "calls_failing"}
    assert failing == ({row.code} - {"200"})


async def test_a_user_whom_the_cloud_no_longer_knows() -> None:
    """The service's own 404 is an answer: no sessions, missing, and no failure of the round."""
    async with healthy() as scene:
        scene.begin(status("404 Not Found", b'{"error_code":"WKS.00010404","error_msg":"no such user"}'))
        told = await scene.until(
            lambda told: [told.numbers[project]["users_missing"] for project in ("all", "one")] == [{(): 3}, {(): 1}]
        )
        assert told.numbers["one"]["sessions"] == WITHOUT_BOB["sessions"]
        assert told.numbers["one"]["user_missing"] == {("ann",): 0, ("bob",): 1, ("eve",): 0}
        assert set(told.numbers["all"]["sessions"].values()) == {0}
        assert told.up == told.coverage == {"all": 1, "one": 1}
        await scene.recovered()
    assert "calls_failing" not in {event["event"] for event in scene.log}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(status("500 Internal Server Error"), id="500"),
        pytest.param(Fault(then="hang"), id="a hang"),
        pytest.param(ok(b"null"), id="null"),
    ],
)
async def test_what_lasts_makes_users_stale(fault: Fault) -> None:
    """Who is no longer fresh drops out of every count; with nobody left, the sessions are absent and never 0."""
    async with healthy(stale_after=1.0, user_interval=1.0, timeout=0.3) as scene:
        scene.begin(fault)
        told = await scene.until(lambda told: told.coverage["all"] == 0 and told.coverage["one"] < 1)
        assert told.numbers["one"] == WITHOUT_BOB
        assert told.numbers["all"] == OF_ACCOUNTS | NO_NEW_FAILURE
        assert told.up == {"all": 0, "one": 1}
        assert told.coverage == {"all": 0, "one": pytest.approx(2 / 3)}
        await scene.recovered()


async def test_a_body_is_not_read_beyond_16_mib(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit as it is in use; /metrics is answered at once all the while."""
    assert LIMIT == 16 * 1024 * 1024
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", LIMIT)
    async with healthy() as scene:
        scene.server.hits = lambda project_id, user: (project_id, user) == ("one", HIT)
        scene.begin(Fault(http(Content_Length=str(10**12)), "flood"))
        told = await scene.until(lambda told: told.codes["one"][INVALID] >= 2)
        assert told.numbers == {"all": HEALTHY, "one": HEALTHY}
        await scene.recovered()


async def test_a_clock_that_is_a_day_off_shows() -> None:
    """As long as the cloud's Date says so, and no longer."""
    async with healthy() as scene:
        scene.begin(ok(GOOD, Date=formatdate(time.time() + 86400, usegmt=True)))
        await scene.until(lambda told: told.skew["all"] == pytest.approx(86400, abs=30))
        await scene.recovered()
        await scene.until(lambda told: all(skew == pytest.approx(0, abs=30) for skew in told.skew.values()))
