"""Each fault in all scans and listings: nothing is lost or made up, because each user is also polled alone."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import structlog
from faults import told
from faults.failures import BREAKS, NO_ANSWERS, NO_BODIES, STATUSES, WRONG_TYPES
from faults.rows import HUGE, INVALID, LONG, ODD, OPERATIONS, Row, json_of, ok
from faults.truth import ACCOUNTS, HEALTHY, SESSIONS, USERS
from support.exporters import QUICK, get, running, settings
from support.faulty_server import TOKEN, Call, Fault, FaultyServer
from support.promises import Promise

from exporter.cloud.client import (
    LIST_SERVER_GROUPS,
    LIST_SERVERS,
    LIST_SESSION_BY_USER_NAME,
    LIST_SESSIONS,
    LIST_USERS,
)
from exporter.polling import listings

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.told import Told

PATIENCE = 20.0


def scanned(*items: object, count: object = 2) -> bytes:
    return json_of({"items": items, "count": count})


def listed(*users: object, total: object = 2) -> bytes:
    return json_of({"users": users, "total_count": total})


EVERYWHERE = tuple(
    row
    for row in (*STATUSES, *BREAKS, *NO_BODIES, *NO_ANSWERS, *WRONG_TYPES)
    if row.operations == OPERATIONS and not row.believed
)
ODD_SWEEPS = (
    Row("items that are no list", INVALID, ok(json_of({"items": {"id": "x"}, "count": 1}))),
    Row("items that are texts", INVALID, ok(scanned("a1", "a2"))),
    Row("a count that is no number", INVALID, ok(scanned(count="two"))),
    Row("no items", INVALID, ok(b'{"count":2}')),
    Row("an error code", INVALID, ok(b'{"error_code":"WKS.1","items":[],"count":0}')),
)
"""Pages of ListSessions that are not what the reference says."""

TORN_SWEEPS = (
    Row("more counted than listed", "200", ok(scanned({"id": "x1", "login_user": "x@y"}, count=1000))),
    Row("a count past 64 bits", "200", ok(scanned({"id": "x1"}, count=HUGE))),
    Row("fewer counted than listed", "200", ok(scanned({"id": "x1"}, {"id": "x2"}, count=1))),
    Row("a negative count", "200", ok(scanned({"id": "x1"}, count=-1))),
    Row("the count of the last page only", "200", ok(scanned(count=1))),
    Row("a count that is a text", "200", ok(scanned(count="2"))),
)
"""Pages that are as the reference says, and make no whole."""

BELIEVED_SWEEPS = (
    Row("a user that is nobody's", "200", lambda body: _with(body, {"id": "x1", "login_user": ODD})),
    Row("a user of 1 MB", "200", lambda body: _with(body, {"id": "x1", "login_user": LONG})),
    Row("no user", "200", lambda body: _with(body, {"id": "x1"})),
    Row("no id", "200", lambda body: _with(body, {"login_user": "ann@example.com", "session_state": "Active"})),
    Row("a start that is no time", "200", lambda body: _with(body, {"id": "x1", "start_time": "soon"})),
    Row("a start that is a number", "200", lambda body: _with(body, {"id": "x1", "start_time": 7})),
    Row("nulls", "200", lambda body: _with(body, {"id": None, "login_user": None, "start_time": None})),
)
"""Odd entries besides the good ones."""

ODD_LISTINGS = (
    Row("users that are no list", INVALID, ok(json_of({"users": 7, "total_count": 1}))),
    Row("a total that is no number", INVALID, ok(listed(total="two"))),
)

BELIEVED_LISTINGS = (
    Row("a flag that is a text", "200", lambda body: _with_user(body, {"id": "x1", "user_name": "x", "locked": "yes"})),
    Row("an end that is a list", "200", lambda body: _with_user(body, {"id": "x1", "account_expires": []})),
    Row("a name that is a number", "200", lambda body: _with_user(body, {"id": "x1", "user_name": 7})),
)
"""Odd entries besides the good ones: a field of another type costs that field."""


ODD_SERVERS = (
    Row("servers that are no list", INVALID, ok(json_of({"items": 7, "count": 1}))),
    Row("servers that are null", INVALID, ok(json_of({"items": None, "count": 1}))),
    Row("a number of servers that is no number", INVALID, ok(scanned(count="two"))),
    Row("1,001 servers on a page", INVALID, ok(scanned(*[{}] * 1001, count=1001))),
)

BELIEVED_SERVERS = (
    Row("no servers", "200", ok(scanned(count=0))),
    Row("fewer servers counted than listed", "200", ok(scanned({"id": "x1"}, {"id": "x2"}, count=1))),
    Row("more servers counted than listed", "200", ok(scanned({"id": "x1"}, count=10**9))),
    Row("a negative number of servers", "200", ok(scanned({"id": "x1"}, count=-1))),
    Row("a server of nothing", "200", ok(scanned({}, count=1))),
    Row("a server of nulls", "200", ok(scanned(dict.fromkeys(("id", "status", "product_info", "name")), count=1))),
    Row("a server of lists", "200", ok(scanned({"id": [], "status": [], "product_info": [], "name": []}, count=1))),
    Row("a server of 1 MB", "200", ok(scanned({"id": LONG, "status": "A"}, count=1))),
    Row("a server group of 1 MB", "200", ok(scanned({"id": "1", "server_group_id": LONG, "name": LONG}, count=1))),
    Row("a status of any character", "200", ok(scanned({"id": "1", "server_group_id": ODD, "status": ODD}, count=1))),
    Row("a number of sessions past 64 bits", "200", ok(scanned({"id": "1", "session_count": HUGE}, count=1))),
    Row("a negative number of sessions", "200", ok(scanned({"id": "1", "session_count": -1}, count=1))),
    Row("a capacity that is no number", "200", ok(scanned({"id": "1", "product_info": {"sessions": "x"}}, count=1))),
    Row("the same server twice", "200", ok(scanned({"id": "1"}, {"id": "1"}, count=2))),
    Row("a hundred groups", "200", ok(scanned(*({"id": f"{n}", "server_group_id": f"{n}"} for n in range(100))))),
)


def _with_user(body: bytes, user: dict[str, object]) -> Fault:
    listing = json.loads(body)
    return ok(listed(*listing["users"], user, total=len(listing["users"]) + 1))(b"")


def _with(body: bytes, item: dict[str, object]) -> Fault:
    items = json.loads(body)["items"]
    return ok(scanned(item, *items, count=len(items) + 1))(b"")


class Stage:
    """An exporter with scans, on a cloud that may misbehave."""

    def __init__(self, server: FaultyServer, address: str) -> None:
        self.server = server
        self.address = address

    async def scrape(self) -> Told:
        code, text, _ = await get(f"{self.address}/metrics", **{"Accept-Encoding": "identity"})
        assert code == 200
        now = told.read(text)["p"]
        assert now.starts in {None, 0}
        return now

    async def until(self, condition: Callable[[Told], bool]) -> Told:
        """Return the samples as soon as they fulfil a condition. Until then every number is right."""
        now = await self.scrape()
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition(now):
                    await asyncio.sleep(0.02)
                    now = await self.scrape()
                    assert now.numbers == HEALTHY
        except TimeoutError:
            raise AssertionError(f"not within {PATIENCE} s: {now}") from None
        return now

    async def healthy(self) -> Told:
        """Return the samples after cycles without any failure."""
        self.server.spoil = lambda _call, _body: None
        moment = time.time()
        polled = (LIST_SESSION_BY_USER_NAME, LIST_SESSIONS, LIST_USERS, LIST_SERVERS, LIST_SERVER_GROUPS)
        return await self.until(
            lambda now: now.source == "bulk" and all(now.last_success.get(name, 0) > moment for name in polled)
        )


async def strike(rows: tuple[Row, ...], operation: str, source: str, subtests: pytest.Subtests) -> None:
    """Let each fault meet every listing of an operation. Then the samples show ``source``."""
    server = FaultyServer(SESSIONS, ACCOUNTS)
    pace = {**QUICK, "interval": 0.06, "user_interval": 0.06, "failures_interval": 0.1, "source": "bulk"}
    with structlog.testing.capture_logs() as log:
        async with server.serve() as url:
            project = {
                "name": "p",
                "project_id": "p",
                "endpoints": {"sessions": url, "users": url, "iam": url, "metadata": url},
                "auth": {"token": TOKEN},
                "users": list(USERS),
            }
            async with running(settings(project, poll=pace)) as address:
                stage = Stage(server, address)
                async with asyncio.timeout(PATIENCE):
                    while (await stage.scrape()).numbers != HEALTHY:  # noqa: ASYNC110 - there is no event for it
                        await asyncio.sleep(0.02)
                for row in rows:
                    before = await stage.healthy()
                    with subtests.test(f"{operation}: {row.name}"):
                        stage.server.spoil = spoiling(row, operation)
                        await stage.until(
                            lambda now, row=row, before=before: (
                                now.news(before, operation)[row.code] > 2  # type: ignore[misc] # bound at once
                                and (now.source, now.up) == (source, 1)
                            )
                        )
                await stage.healthy()
    assert {event["event"] for event in log} & {"polling_crashed", "publish_failed"} == set()


def spoiling(row: Row, operation: str) -> Callable[[Call, bytes], Fault | None]:
    return lambda call, body: row.fault(body) if call.operation == operation and not call.users else None


@pytest.mark.promise(Promise.PROMPT, Promise.INVALID, Promise.UNSTOPPED, Promise.LASTING)
@pytest.mark.parametrize(
    ("rows", "operation", "source"),
    [
        ((*EVERYWHERE, *ODD_SWEEPS, *TORN_SWEEPS), LIST_SESSIONS, "per_user"),
        (BELIEVED_SWEEPS, LIST_SESSIONS, "bulk"),
        ((*EVERYWHERE, *ODD_LISTINGS), LIST_USERS, "bulk"),
        (BELIEVED_LISTINGS, LIST_USERS, "bulk"),
        ((*EVERYWHERE, *ODD_SERVERS, *BELIEVED_SERVERS), LIST_SERVERS, "bulk"),
        ((*EVERYWHERE, *ODD_SERVERS, *BELIEVED_SERVERS), LIST_SERVER_GROUPS, "bulk"),
    ],
    ids=["sweeps", "odd entries", "lists of users", "odd users", "servers", "server groups"],
)
async def test_fault(
    rows: tuple[Row, ...],
    operation: str,
    source: str,
    subtests: pytest.Subtests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The numbers about users stay right. What fails, and where sessions come from, is reported."""
    monkeypatch.setattr(listings, "RETRY_UNAVAILABLE", 0.1)
    assert not {name for name, n in Counter(row.name for row in rows).items() if n > 1}
    await strike(rows, operation, source, subtests)
