"""An exporter at work on a cloud that may misbehave, with a project for each place that trouble may have."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from faults import told
from faults.truth import ACCOUNTS, COUNTED, HEALTHY, SESSIONS, USERS, Numbers, numbers
from support.exporters import QUICK, get, running, settings
from support.faulty_server import TOKEN, Call, Fault, FaultyServer
from support.ledger import IN_TIME, undisturbed

from exporter.cloud.client import (
    LIST_SERVER_GROUPS,
    LIST_SERVERS,
    LIST_SESSION_BY_USER_NAME,
    LIST_SESSIONS,
    LIST_USER_DETAIL,
    LIST_USERS,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from faults.rows import Row
    from faults.told import Told

    Spoil = Callable[[Call, bytes], Fault | None]

PATIENCE = 60.0
"""Seconds that a machine may be slow; nothing waits so long on purpose."""

CONCURRENCY = 4
"""Calls in flight, per project."""

POLLED = (LIST_SESSION_BY_USER_NAME, LIST_USER_DETAIL)

USUAL = {
    LIST_SESSION_BY_USER_NAME: {"200", "404"},
    LIST_USER_DETAIL: {"200"},
    LIST_USERS: {"200"},
    LIST_SESSIONS: {"403"},
    LIST_SERVERS: {"403"},
    LIST_SERVER_GROUPS: {"403"},
}
"""How attempts end if all is well. The query for zoe's sessions shows that she does not exist."""

WELL = "well"
"""The project on a server of its own, which is always in order."""

PLACES: dict[str, Callable[[str, str], bool]] = {
    "sessions": lambda operation, _: operation == LIST_SESSION_BY_USER_NAME,
    "accounts": lambda operation, _: operation == LIST_USER_DETAIL,
    "lookups": lambda operation, _: operation == LIST_USERS,
    "bob": lambda _, user: user == "bob",
    "everything": lambda _operation, _user: True,
    WELL: lambda _operation, _user: False,
}
"""Projects, each with the calls that meet a fault there, by operation and user."""


def hits(row: Row, place: str, operation: str, user: str) -> bool:
    """Whether a row's fault meets such calls."""
    return operation in row.operations and PLACES[place](operation, user)


def meant(row: Row, place: str) -> Numbers:
    """Return the right numbers while every possible call meets the fault."""
    sessions, accounts = dict(COUNTED), dict(ACCOUNTS)
    for user in USERS:
        if row.sessions is not None and hits(row, place, LIST_SESSION_BY_USER_NAME, user):
            sessions[user] = row.sessions
        if row.account is not None and user in ACCOUNTS and hits(row, place, LIST_USER_DETAIL, user):
            accounts[user] = row.account
    return numbers(sessions, accounts)


@dataclass
class Scene:
    """An exporter with its servers."""

    server: FaultyServer
    well: FaultyServer
    elsewhere: str
    """The address of a server that nobody has a reason to ask."""
    address: str
    log: list[Any] = field(default_factory=list)
    in_time: float = IN_TIME
    """Seconds within which a scrape is answered."""

    @property
    def connections(self) -> int:
        """Connections to the cloud that are open."""
        return self.server.open_connections + self.well.open_connections

    @property
    def tasks(self) -> int:
        """Tasks in this process that are not the cloud's."""
        return len(asyncio.all_tasks()) - self.connections

    @property
    def unpaired_files(self) -> int:
        """Open files of this process that are no end of an open connection to the cloud."""
        return len(list(Path("/dev/fd").iterdir())) - 2 * self.connections

    def begin(self, row: Row) -> None:
        """Let every call meet the fault that can."""

        def spoil(call: Call, body: bytes) -> Fault | None:
            struck = any(hits(row, call.project_id, call.operation, user) for user in call.users)
            return self.sent(row, body) if struck else None

        self.begin_spoiling(spoil)

    def begin_spoiling(self, spoil: Spoil) -> None:
        """Let calls meet what ``spoil`` says."""
        self.server.faulty.clear()
        self.server.spoil = spoil

    def sent(self, row: Row, body: bytes) -> Fault:
        """The row's fault, with redirections that lead elsewhere."""
        fault = row.fault(body)
        return replace(fault, answer=fault.answer.replace(b"{elsewhere}", self.elsewhere.encode()))

    async def scrape(self) -> dict[str, Told]:
        """Return the current samples by project. A prompt answer is part of every promise."""
        started = undisturbed()
        code, text, _ = await get(f"{self.address}/metrics", **{"Accept-Encoding": "identity"})
        took = undisturbed() - started
        assert (code, took < self.in_time) == (200, True), f"{code} after {took} s"
        now = told.read(text)
        assert_untouched(now[WELL])
        return now

    async def until(
        self,
        condition: Callable[[dict[str, Told]], bool],
        always: Callable[[dict[str, Told]], bool] = bool,
        patience: float = PATIENCE,
    ) -> dict[str, Told]:
        """Return the samples as soon as they fulfil a condition; ``always`` must hold on the way."""
        now: dict[str, Told] = {}
        try:
            async with asyncio.timeout(patience):
                while True:
                    now = await self.scrape()
                    assert always(now), now
                    if condition(now):
                        return now
                    await asyncio.sleep(0.05)  # as often as it publishes; see conftest.py
        except TimeoutError:
            raise AssertionError(f"not within {patience} s: {now}, {self.server.faulty}") from None

    async def recovered(self) -> dict[str, Told]:
        """Return the samples after the fault, once cycles have completed without any failure."""
        self.server.spoil = lambda _call, _body: None
        return await self.healthy_since(time.time())

    async def healthy_since(self, moment: float) -> dict[str, Told]:
        """Return the samples once every project is well and has completed its cycles since then."""
        return await self.until(
            lambda now: all(
                one.numbers == HEALTHY
                and one.up == 1
                and all(one.last_success.get(operation, 0) > moment for operation in POLLED)
                for one in now.values()
            )
        )


def assert_untouched(now: Told) -> None:
    """Nothing of the others' trouble shows in the project that has none."""
    if now.last_success.keys() >= set(POLLED):  # the first rounds are over
        assert (now.numbers, now.up, set(now.coverage.values()), now.slow) == (HEALTHY, 1, {1}, 0)
        assert now.starts == 0
    assert all(codes.keys() <= USUAL[operation] for operation, codes in now.codes.items()), now.codes


@asynccontextmanager
async def scene(**poll: float) -> AsyncIterator[Scene]:
    """An exporter that tells the truth of a cloud in order, and still lives in the end."""
    server, well, trap = (FaultyServer(SESSIONS, ACCOUNTS, optional=False) for _ in range(3))
    async with server.serve() as url, well.serve() as well_url, trap.serve() as elsewhere:
        patient = {"timeout": 10, "stale_after": 60}  # a busy machine is no trouble of its own
        projects = [_project(place, url) for place in PLACES if place != WELL]
        projects.append({**_project(WELL, well_url), "poll": patient})
        pace = {"interval": 0.06, "user_interval": 0.06, "concurrency": CONCURRENCY}
        with structlog.testing.capture_logs() as log:
            async with running(settings(*projects, poll={**QUICK, **pace, **poll})) as address:
                made = Scene(server, well, elsewhere, address, log)
                await made.healthy_since(0)
                yield made
                assert (await get(f"{address}/-/healthy"))[0] == 200
        assert {event["event"] for event in log} & {"polling_crashed", "publish_failed"} == set()
        assert trap.connections == 0


def _project(name: str, url: str) -> dict[str, Any]:
    return {
        "name": name,
        "project_id": name,
        "endpoints": {"sessions": url, "users": url, "iam": url, "metadata": url},
        "auth": {"token": TOKEN},
        "users": list(USERS),
    }
