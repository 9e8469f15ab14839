"""How many calls one complete refresh of sessions and accounts takes, by the way that they are collected."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks import virtual
from benchmarks.crowd import Crowd, user_id, user_name
from benchmarks.figures import Figure
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkworkspace.v2 import ListUserDetailRequest, WorkspaceClient
from huaweicloudsdkworkspaceapp.v1 import ListSessionByUserNameRequest, WorkspaceAppClient

from exporter.simulator import DEMO_ACCESS_KEY, DEMO_PROJECT_ID, DEMO_SECRET_KEY, Simulator, SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.plan import Plan, Tell

    from exporter.simulator import Calls

NAME = "calls"
USERS_OF_TARGET = 10_000
FEWER_AT_LEAST = 300.0
MOST_ASKED_BY_SDK = 200
"""Users that the SDK really queries. Larger numbers are extrapolated."""

_OPERATIONS_OF_SDK = 2
_IN_TURN = "ListSessionByUserName"
"""If scans find the sessions, users are also queried one by one, which does not matter here."""


def run(plan: Plan, tell: Tell) -> Iterator[Figure]:
    """Calls by operation at each size, and how many times fewer they are than one a user and operation."""
    for users in plan.users:
        plain = _plain(users, tell)
        tell(f"{users:,} users with {virtual.live_sessions(users):,} sessions")
        for source in virtual.SOURCES:
            poll = {"source": source, "rate_limit": 6_000.0, "interval": "30d", "user_interval": "30d"}
            if virtual.refused(poll):
                tell(f"poll.source: {source} is not known to this version")
                continue
            tell(f"{users:,} users, {source}")
            counts = virtual.virtually(_refreshed(users, poll))
            besides = counts.pop(_IN_TURN, 0) if source == "bulk" else 0
            told = ", ".join(f"{operation} {count:,}" for operation, count in sorted(counts.items()))
            tell(f"{told}" + (f", and {besides:,} users queried in turn meanwhile" if besides else ""))
            total = sum(counts.values())
            at_least = FEWER_AT_LEAST if users == USERS_OF_TARGET and source == "bulk" else None
            yield Figure(NAME, source, total, "calls", users)
            what = f"one a user and operation / {source}"
            yield Figure(NAME, what, plain / total, "times", users, at_least=at_least)


async def _refreshed(users: int, poll: dict[str, Any]) -> Counter[str]:
    """Calls by operation from the start until everything has been heard of once."""
    simulator = virtual.simulated_cloud(users, quota=0)
    async with virtual.polling(simulator, virtual.settings(users, poll), publish_interval=1.0) as exporter:
        await virtual.until(lambda: virtual.ready(exporter))
        return _by_operation(simulator.calls)


def _by_operation(calls: Calls) -> Counter[str]:
    counts: Counter[str] = Counter()
    for (operation, _), count in calls.counts.items():
        counts[operation] += count
    return counts


def _plain(users: int, tell: Tell) -> int:
    """The calls of an exporter that asks the SDK for each user and operation."""
    if users > MOST_ASKED_BY_SDK:
        return _OPERATIONS_OF_SDK * users
    queried = asyncio.run(_asked_by_sdk(users))
    tell(f"{users:,} users, official SDK: {queried:,} calls")
    return queried


async def _asked_by_sdk(users: int) -> int:
    crowd = Crowd(users, virtual.live_sessions(users), 0.0)
    simulator = Simulator(SimulatorOptions(quota=0), population=crowd)
    async with simulator.serve() as url:
        await asyncio.to_thread(_ask_for_all, url, users)
    return sum(simulator.calls.counts.values())


def _ask_for_all(url: str, users: int) -> None:
    credentials = BasicCredentials(DEMO_ACCESS_KEY, DEMO_SECRET_KEY, DEMO_PROJECT_ID)
    builders: list[Any] = [kind.new_builder() for kind in (WorkspaceAppClient, WorkspaceClient)]
    sessions, accounts = (each.with_credentials(credentials).with_endpoint(url).build() for each in builders)
    for number in range(users):
        sessions.list_session_by_user_name(ListSessionByUserNameRequest(user_name=user_name(number)))
        accounts.list_user_detail(ListUserDetailRequest(user_id=user_id(number)))
    for client in (sessions, accounts):
        client.close()
