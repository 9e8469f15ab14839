"""What the worst answers leave behind: no memory, no task, no file."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from dataclasses import dataclass
from functools import cache
from itertools import count, cycle
from typing import TYPE_CHECKING, NamedTuple

import pytest
from faults import told
from faults.failures import BOMB, BREAKS, DEEP, NO_ANSWERS, NO_BODIES, STATUSES
from faults.rows import LONG, ONE, Bend, Row, always, listing, ok
from faults.scene import PLACES, Scene, scene
from support.faulty_server import Call, Fault, http

from exporter.cloud.client import LIST_SESSION_BY_USER_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = 512 * 1024
"""Bytes that may stay: caches that fill once."""

SAMPLES = 20
"""Moments at which use is measured, over two cycles or more: at some of them no cycle is under way."""

_numbers = count()


def _versions(_: bytes) -> Fault:
    """Two versions that nobody has ever had, one of them 1 MB long."""
    n = str(next(_numbers))
    return Fault(http(body=listing(ONE | {"client_version": n + LONG, "agent_version": n})))


@cache
def _sessions(_: bytes) -> bytes:
    """1,000 sessions that nobody else has ever had, instead of a good answer.

    A user gets the same ones each time: the exporter remembers the sessions of each user for an hour.
    """
    news = [str(next(_numbers)) for _ in range(1_000)]
    return http(body=listing(*({"id": n, "client_version": n[-3:]} for n in news)))


_each = cycle([*STATUSES, *BREAKS, *NO_BODIES, *NO_ANSWERS])


@dataclass(frozen=True)
class Worst:
    """What is sent in place of answers about sessions, how often, and in which projects."""

    name: str
    times: int
    bend: Bend
    places: tuple[str, ...] = tuple(PLACES)


WORST = (
    Worst("1,000 sessions at a time", 10, lambda body: Fault(_sessions(body)), places=("bob",)),
    Worst("1 MB versions by the hundred", 100, _versions),
    Worst("endless bodies", 50, always(Fault(http(Content_Length=str(10**12)), "flood"))),
    Worst("gzip bombs", 50, ok(BOMB, Content_Encoding="gzip")),
    Worst("deep nesting", 50, ok(DEEP)),
    Worst("one fault after another", 100, lambda body: next(_each).fault(body)),
)


class InUse(NamedTuple):
    """What the process has at one moment."""

    tasks: int
    files: int
    memory: int
    """Bytes."""


@pytest.fixture
def _traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("_traced")
async def test_what_the_worst_answers_cost_is_given_back(subtests: pytest.Subtests) -> None:
    """Whatever came, afterwards as much memory, as many tasks and as many files are in use as before."""
    async with scene(interval=0.5, user_interval=1) as stage:  # idle in between, even if all is slow
        stage.in_time = 10  # tracing makes everything slow
        for worst in WORST:
            await _suffer(stage, worst, 3)  # what is kept for good is kept from then on
        await stage.recovered()
        for worst in WORST:
            with subtests.test(worst.name):
                await _leaves_nothing(stage, worst)


async def _leaves_nothing(stage: Scene, worst: Worst) -> None:
    before = await _least_in_use(stage)
    await _suffer(stage, worst, worst.times)
    await stage.recovered()
    stage.log.clear()
    most = before._replace(memory=before.memory + KEPT)
    after = await _least_in_use(stage)
    for _ in range(10):  # what has been given up may take a moment to end
        if _no_more_than(most, after):
            break
        after = await _least_in_use(stage)
    assert _no_more_than(most, after), f"{after}, where at most {most} was expected"


async def _suffer(stage: Scene, worst: Worst, times: int) -> None:
    row = Row(worst.name, "", worst.bend)

    enough = asyncio.Event()

    def spoil(call: Call, body: bytes) -> Fault | None:
        if stage.server.faulty.total() >= times:
            enough.set()
        hit = call.operation == LIST_SESSION_BY_USER_NAME and call.project_id in worst.places
        return stage.sent(row, body) if hit else None

    stage.begin_spoiling(spoil)
    await enough.wait()


async def _least_in_use(stage: Scene) -> InUse:
    """Return the lowest use of several samples. At that moment no cycle is under way."""
    told.parsed_labels.cache_clear()  # the tests' own memory
    samples = []
    for _ in range(SAMPLES):
        gc.collect()
        samples.append(InUse(stage.tasks, stage.unpaired_files, tracemalloc.get_traced_memory()[0]))
        await asyncio.sleep(0.05)
    return InUse(*(min(values) for values in zip(*samples, strict=True)))


def _no_more_than(most: InUse, now: InUse) -> bool:
    return all(value <= limit for value, limit in zip(now, most, strict=True))
