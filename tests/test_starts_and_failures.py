"""Session starts and failures are those of the cloud, whatever happens while they are counted."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import replace

import pytest
import structlog
from support.session_traffic import HOUR, Habits, Traffic, sessions_at
from support.traffic_cloud import Life, TrafficCloud, seen_in_polls, user_name
from support.virtual_time import EPOCH, run_virtually
from support.watches import polled, watch_of

FEW = Life(
    users=15,
    length=1.5 * HOUR,
    reload_every=HOUR / 4,
    moving=0.5,
    habits=Habits(starts_a_day=100, hours=(0.1, 0.5), failing=0.1),
)
MANY = Life(
    users=150,
    length=0.7 * HOUR,
    reload_every=HOUR / 5,
    moving=0.5,
    habits=Habits(starts_a_day=40, hours=(0.1, 1.5), failing=0.05),
    poll={"rate_limit": 15},  # which so many users do not fit: sessions come from scans
)


@pytest.mark.parametrize(
    "other_poll",
    [
        pytest.param({"interval": 90, "failures_interval": 7}, id="other-intervals"),
        pytest.param({"source": "bulk"}, id="other-source"),
        pytest.param({"failures_interval": 0}, id="no-failures-scan"),
    ],
)
def test_each_user_polled(other_poll: dict[str, object]) -> None:
    """All starts and failures are counted once, while users come and go and reloads change the settings."""
    found = replace(FEW, other_poll=other_poll).run()
    assert len(found.starts) > 100
    assert (found.attempts.starts.total, found.attempts.failures.total) == (len(found.starts), len(found.failures))


@pytest.mark.parametrize(("order", "counts"), [("newest", True), ("oldest", True), ("random", False)])
def test_scans_of_all(order: str, *, counts: bool) -> None:
    """The same from scans whose pages change while they are read, in any order, with or without a right total."""
    found = replace(MANY, other_poll={"interval": 90}, order=order, counts=counts).run()
    assert found.cloud.calls["ListSessions live"] > 2 * MANY.length / 90  # several pages each
    assert len(found.starts) > 100
    assert (found.attempts.starts.total, found.attempts.failures.total) == (len(found.starts), len(found.failures))


@pytest.mark.parametrize("life", [FEW, MANY], ids=["each-user", "scans"])
def test_faults(life: Life) -> None:
    """At least 99.9 % of them are counted, and none twice, while one request in ten fails."""
    found = replace(life, faults=0.1).run()
    for counted, true in (
        (found.attempts.starts.total, len(found.starts)),
        (found.attempts.failures.total, len(found.failures)),
    ):
        assert 0.999 * true <= counted <= true


def test_no_permission_for_scans() -> None:
    """What at least one of the users' own answers lists is counted, if ListSessions is not permitted."""
    found = replace(FEW, permitted=False, noting=True).run()
    started, failed = seen_in_polls(found.cloud, found.spans)
    assert started < found.starts
    assert (found.attempts.starts.total, found.attempts.failures.total) == (len(started), len(failed))


def scanned(failing: float, rate_limit: float) -> tuple[list[float], list[float]]:
    """Return since when starts may be missing, every second, and the wall times at which scans of starts ended."""

    async def scan() -> tuple[list[float], list[float]]:
        starts = [int(EPOCH + number / 5) for number in range(5 * 200)]
        sessions = sessions_at(starts, 300, Habits(failing=failing), random.Random(1))  # noqa: S311 - no secret
        watch = watch_of(TrafficCloud(Traffic(sessions), 300), *map(user_name, range(300)), rate_limit=rate_limit)
        scan, complete, ended = watch.poller.starts, [], dict[float, None]()
        async with polled(watch):
            for _ in range(200):
                await asyncio.sleep(1)
                complete.append(scan.complete_since or 0.0)
                ended[scan.cycles.last_ended or 0.0] = None
        return complete, list(ended)

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    return run_virtually(scan())


def test_what_is_complete_never_goes_back() -> None:
    """A long scan of starts does not make the failures scan read again what it has read meanwhile."""
    complete, _ = scanned(failing=0.01, rate_limit=60)
    assert complete == sorted(complete)
    assert complete[-1] > 100


def test_scans_of_starts_end_while_sessions_start() -> None:
    """Scans of all starts come to their end, though the listing would grow meanwhile and the rate is low."""
    _, ended = scanned(failing=0.05, rate_limit=30)
    assert len(ended) >= 3
