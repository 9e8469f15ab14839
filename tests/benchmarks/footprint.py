"""Memory, processor time and stalls of an exporter that watches many users, in a process of its own.

Every user has two sessions. The first round runs as fast as the machine allows, over real sockets; then the exporter
continues at the pace of the default settings.
"""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.crowd import user_id, user_name
from benchmarks.exporter_process import configuration, exporter_process
from benchmarks.figures import Figure
from benchmarks.served import Cloud, served

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.plan import Plan, Tell

NAME = "footprint"
MOST_BYTES_A_USER = 1_100.0
MOST_STALL = 50.0
USERS_OF_STALL = 100_000
MOST_NAMED = 10_000
"""Users that get metrics of their own."""

SESSIONS_EACH = 2
FULL_SPEED: Mapping[str, object] = {
    "source": "per_user",
    "interval": "1s",  # see exporter_process
    "user_interval": "1s",
    "rate_limit": 600_000_000,
    "concurrency": 8,  # of each of two operations: 16 requests in flight
    "stale_after": "1h",
}
"""As fast as one project is polled if nothing limits it."""

DEFAULT: Mapping[str, object] = {
    "source": "auto",
    "interval": "60s",
    "user_interval": "5m",
    "rate_limit": 180,
    "stale_after": "24h",
}
"""The default pace; only that nobody drops out meanwhile, since memory is that of all."""


def run(plan: Plan, tell: Tell) -> Iterator[Figure]:
    """The figures of each size, and what a further user takes between the largest two."""
    resident: list[tuple[int, dict[str, Any]]] = []
    for users in [users for users in plan.users if users >= 1_000] or plan.users:
        found = measured(users, "none", plan.seconds, tell)
        resident.append((users, found))
        yield from _figures("per_user none", users, found)
        if users <= MOST_NAMED:
            yield from _figures("per_user all", users, measured(users, "all", plan.seconds, tell))
    for (fewer, less), (more, most) in list(pairwise(resident))[-1:]:
        what = f"resident memory a further user, from {fewer:,} to {more:,}"
        live, reloaded = ((most[when] - less[when]) / (more - fewer) for when in ("resident", "reloaded"))
        yield Figure(NAME, what, live, "bytes", at_most=MOST_BYTES_A_USER)
        yield Figure(NAME, f"{what}, after a reload", reloaded, "bytes")


def _figures(what: str, users: int, found: dict[str, Any]) -> Iterator[Figure]:
    most = MOST_STALL if users == USERS_OF_STALL else None
    yield Figure(NAME, f"{what}: resident memory", found["resident"] / 1e6, "MB", users)
    yield Figure(NAME, f"{what}: resident memory after a reload", found["reloaded"] / 1e6, "MB", users)
    yield Figure(NAME, f"{what}: peak of it", found["peak"] / 1e6, "MB", users)
    yield Figure(NAME, f"{what}: CPU a minute at the default pace", found["idle_cpu"] * 60, "s", users)
    yield Figure(NAME, f"{what}: calls a second at full speed", found["calls"], "", users)
    yield Figure(NAME, f"{what}: CPU a call at full speed, publishing included", found["cpu_a_call"] * 1e6, "µs", users)
    yield Figure(
        NAME, f"{what}: longest stall of the loop at full speed", found["stall"] * 1e3, "ms", users, at_most=most
    )
    yield Figure(
        NAME, f"{what}: longest turn of the loop's own work at full speed", found["work"] * 1e3, "ms CPU", users
    )
    yield Figure(
        NAME, f"{what}: longest stall at the default pace", found["idle_stall"] * 1e3, "ms", users, at_most=most
    )


def measured(users: int, per_user: str, seconds: float, tell: Tell) -> dict[str, Any]:
    """What an exporter that watches so many users takes."""
    what = f"{users:,} users, per_user {per_user}"
    tell(f"{what}: the first round at full speed")
    with tempfile.TemporaryDirectory() as folder, served(Cloud(users=users, sessions=SESSIONS_EACH * users)) as url:
        everybody = [(user_name(number), user_id(number)) for number in range(users)]
        file = configuration(Path(folder), url, everybody, poll=FULL_SPEED, metrics={"per_user": per_user})
        with exporter_process(file) as exporter:
            first = exporter.ask("ready")
            busy = exporter.ask("watch", seconds=seconds)
            exporter.ask("poll", **DEFAULT)
            tell(f"{what}: at the default pace")
            exporter.ask("watch", seconds=seconds / 5)
            idle = exporter.ask("watch", seconds=2 * seconds)
    return {
        "resident": busy["rss"],
        "reloaded": idle["rss"],
        "peak": idle["peak"],
        "idle_cpu": idle["cpu"],
        "idle_stall": idle["stall"],
        "calls": busy["calls"],
        "cpu_a_call": busy["cpu"] / max(busy["calls"], 1),
        "stall": max(first["stall"], busy["stall"]),
        "work": max(first["work"], busy["work"]),
    }
