"""Days of polling with everything that changes meanwhile, in virtual time: right numbers, flat memory."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import pytest
import structlog
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support.virtual_time import EPOCH, run_virtually, wall_clock

from exporter import config, runner, setup
from exporter.cloud.auth import Token
from exporter.cloud.connect import Connection
from exporter.cloud.credentials import StaticCredentials
from exporter.cloud.errors import CloudError, InvalidResponse, Throttled, Unauthorized, Unreachable, refusal
from exporter.cloud.models import (
    ListedSession,
    Server,
    ServerGroup,
    ServerGroupPage,
    ServerPage,
    Session,
    SessionPage,
    User,
    UserDetail,
    UserPage,
)
from exporter.cloud.telemetry import Telemetry
from exporter.metrics.exposition import OPENMETRICS, TEXT
from exporter.polling import loop
from exporter.runner import Exporter
from exporter.setup import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.cloud.client import Client


Sample = tuple[str, dict[str, str], float]

MINUTE = 60.0
HOUR = 60 * MINUTE
SHIFT = 8 * HOUR
"""Long enough for every kind of trouble. Each has its own hour."""
AT_A_TIME = 6
"""Users that are configured at any time; meanwhile many more come and go."""
KEPT = 12_000
"""Blocks of memory, a megabyte, that may be added in days: up to 1,000 error codes and server groups are kept."""
PREFIX = "huaweicloud_workspace_"
STATES = ("Active", "Disconnected", "AppcInit", "SignedOut", "InitFail")


@dataclass
class World:
    """A cloud in memory whose users, versions, sessions and troubles follow from the time alone."""

    clock_skew: float | None = 0.0
    queried: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """Failed calls by outcome."""

    def sessions(self, name: str, now: float) -> tuple[Session, ...]:
        """They change every quarter of an hour, with versions that roll by the hour, and error codes that never end."""
        return self._sessions_in(name, int(now / (15 * MINUTE)))

    @staticmethod
    @lru_cache(100)
    def _sessions_in(name: str, quarter: int) -> tuple[Session, ...]:
        dice = random.Random(f"{name} {quarter}")  # noqa: S311 - not for secrets
        version = f"24.{quarter // 4}"
        return tuple(
            Session.of(
                id=f"{name}-{quarter}-{number}",
                session_state=state,
                client_version=version,
                agent_version=f"{version}.{number}",
                failed_code=f"WKS.{quarter}.{name}" if state == "InitFail" else None,
                app_server_group_id=f"group-{quarter % 2000}",
            )
            for number, state in enumerate(dice.choices(STATES, k=dice.randrange(4)))
        )

    def trouble(self, operation: str, now: float) -> CloudError | None:
        """Each hour has a trouble of its own in its second quarter; the rest of it is quiet."""
        if not 15 * MINUTE <= now % HOUR < 30 * MINUTE:
            return None
        kind = int(now / HOUR) % 7
        if kind == 0:
            return None
        if kind == 1:
            return Unauthorized(operation, "401") if now % HOUR < 20 * MINUTE else None
        if self.queried % 10 >= 3:  # from here on it meets three calls of ten
            return None
        if kind == 2:
            throttled = refusal(operation, 429, None, None)
            assert isinstance(throttled, Throttled)
            throttled.quota = 200.0
            return throttled
        return (
            Unreachable(operation, "timeout"),
            Unreachable(operation, "connection_error"),
            InvalidResponse(operation, "invalid_response"),
            refusal(operation, 503, "WKS.1", f"request-{self.queried}"),
        )[kind - 3]

    async def _call(self, operation: str) -> float:
        self.queried += 1
        await asyncio.sleep(0.05)
        now = asyncio.get_running_loop().time()
        if error := self.trouble(operation, now):
            self.failed[error.outcome] += 1
            raise error
        return now

    async def list_session_by_user_name(self, user_name: str) -> tuple[ListedSession, ...]:
        now = await self._call("ListSessionByUserName")
        return tuple(self._listed(user_name, now))

    def _listed(self, name: str, now: float) -> Iterator[ListedSession]:
        started = EPOCH + int(now / (15 * MINUTE)) * 15 * MINUTE
        for session in self.sessions(name, now):
            yield ListedSession(name, replace(session, started=started), started, utc=True)

    async def list_user_detail(self, user_id: str) -> UserDetail:
        now = await self._call("ListUserDetail")
        return UserDetail(locked=locked(user_id, now), user_expired=False, disabled=False)

    async def list_users(
        self, user_names: Sequence[str], offset: int, limit: int = 100, filters: Sequence[tuple[str, str]] = ()
    ) -> UserPage:
        assert not filters
        now = await self._call("ListUsers")
        users = [
            User(f"id-of-{name}", name, locked(f"id-of-{name}", now), account_expired=False, disabled=False)
            for name in user_names or names_at(now)
        ]
        return UserPage(users=users[offset : offset + limit], total_count=len(users))

    async def list_sessions(self, begin: float, end: float, session_states: Sequence[str], offset: int) -> SessionPage:
        now = await self._call("ListSessions")
        listed = [
            each
            for name in names_at(now)
            for each in self._listed(name, now)
            if begin <= (each.started or 0.0) <= end
            and (not session_states or each.session.session_state in session_states)
        ]
        return SessionPage(tuple(listed[offset : offset + 100]), len(listed), 0)

    async def list_servers(self, offset: int) -> ServerPage:
        hour = int(await self._call("ListServers") / HOUR)
        servers = [Server(f"server-{hour}", f"group-{hour}", f"Group {hour}", "REGISTERED", hour % 20, 20)]
        return ServerPage(tuple(servers[offset:]), len(servers))

    async def list_server_groups(self, offset: int) -> ServerGroupPage:
        hour = int(await self._call("ListServerGroups") / HOUR)
        groups = [ServerGroup(f"group-{hour}", f"Group {hour}")]
        return ServerGroupPage(tuple(groups[offset:]), len(groups))


def hash_of(*parts: object) -> int:
    return random.Random(repr(parts)).getrandbits(32)  # noqa: S311 - not for secrets


def locked(user_id: str, now: float) -> bool:
    return hash_of(user_id, int(now / HOUR)) % 3 == 0


def names_at(now: float) -> list[str]:
    first = int(now / (3 * HOUR))
    return [f"user{number}" for number in range(first, first + AT_A_TIME)]


def configured(now: float) -> config.Settings:
    """Every three hours a user goes and another comes; every other shift has a second project, and scans of all."""
    names = names_at(now)
    projects = [{"name": "berlin", "project_id": "b", "region": "eu-west-101", "auth": {"token": "t"}, "users": names}]
    if int(now / SHIFT) % 2:
        projects.append({**projects[0], "name": "paris", "project_id": "p", "users": names[:2]})
    poll = {"source": "bulk" if int(now / SHIFT) % 2 else "per_user", "failures_interval": "1m"}
    return config.build(config.Layer("soak", {"projects": projects, "poll": poll}))


def samples(text: str) -> Iterator[Sample]:
    for family in parse_text(text):
        for sample in family.samples:
            if sample.name.startswith(PREFIX):
                yield sample.name.removeprefix(PREFIX), dict(sample.labels), sample.value


def check_truth(told: Sequence[Sample], world: World, settings: config.Settings, now: float) -> None:
    """In a quiet quarter everybody is covered, and the numbers are the world's."""
    for project in settings.projects:
        sessions = [s for user in project.users for s in world.sessions(user.name, now)]
        meant = Counter(dict.fromkeys(STATES, 0)) + Counter(str(s.session_state) for s in sessions)
        of_project = [(name, labels, value) for name, labels, value in told if labels.get("project") == project.name]
        states = {labels["session_state"]: value for name, labels, value in of_project if name == "sessions"}
        assert {state: n for state, n in states.items() if n} == meant
        assert {n for name, _, n in of_project if name == "poll_coverage_ratio"} == {1.0}
        assert [n for name, _, n in of_project if name == "up"] == [1.0]


async def soak(world: World, exporter: Exporter, shifts: int) -> list[int]:
    """Let shifts pass; the interpreter's blocks of memory at the end of each."""
    time = asyncio.get_running_loop().time
    blocks = []
    counted: dict[tuple[str, str], float] = {}
    running = asyncio.create_task(exporter.run())
    await asyncio.sleep(0)
    while time() < shifts * SHIFT:
        settings = configured(time())
        await exporter.adopt(*prepared(settings, wall_clock, exporter.setup))
        await asyncio.sleep(HOUR - 1 * MINUTE - time() % HOUR)  # in the last, quiet quarter
        await exporter.publish()
        told = list(samples(exporter.exposition.get(TEXT).body.decode()))
        exporter.exposition.get(OPENMETRICS)
        check_truth(told, world, settings, time())
        total = {
            (labels["project"], name): value for name, labels, value in told if name == "session_init_failures_total"
        }
        kept = counted.keys() & total.keys()
        assert all(total[key] >= counted[key] for key in kept), "counters go on over reloads"
        counted = total
        await asyncio.sleep(2 * MINUTE)
        if time() % SHIFT < HOUR:
            gc.collect()
            blocks.append(sys.getallocatedblocks())
    running.cancel()
    await asyncio.wait([running])
    await exporter.aclose()
    return blocks


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """One that every connection leads to."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    world = World()

    async def nothing_to_close() -> None:
        pass

    def connect(*_: object, telemetry: Telemetry | None = None) -> Connection:
        credentials = StaticCredentials(lambda: Token("t"))
        return Connection(cast("Client", world), credentials, telemetry or Telemetry(), 10.0, nothing_to_close)

    monkeypatch.setattr(setup, "connect", connect)
    monkeypatch.setattr(runner, "PUBLISH_INTERVAL", 10 * MINUTE)
    monkeypatch.setattr(loop, "_RECHECK", MINUTE)  # idle loops that wake every few seconds take half of the time
    return world


def lived(world: World, shifts: int, *, debug: bool = False) -> list[int]:
    """The interpreter's blocks of memory at the end of each shift."""

    async def main() -> list[int]:
        first, _ = prepared(configured(0.0), wall_clock)
        return await soak(world, Exporter(first, wall_clock), shifts)

    return run_virtually(main(), debug=debug)


@pytest.mark.timeout(300)
def test_days_with_everything_that_changes_in_days(world: World) -> None:
    """Users come and go, versions roll, faults come and go: numbers are right each hour, and memory stays flat."""
    shifts = 7
    blocks = lived(world, shifts)
    assert len(blocks) == shifts
    assert world.queried > AT_A_TIME * shifts * SHIFT / MINUTE
    assert world.failed.keys() == {"401", "429", "timeout", "connection_error", "invalid_response", "503"}
    assert max(blocks[2:]) - min(blocks[2:]) < KEPT, blocks


@pytest.mark.timeout(300)
def test_a_shift_in_asyncio_s_debug_mode(world: World) -> None:
    """The debug mode reports coroutines that nobody awaits and calls from other threads."""
    assert len(lived(world, 1, debug=True)) == 1
