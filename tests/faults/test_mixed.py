"""All faults at once: three calls in ten meet one of them."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from faults.failures import FAILURES
from faults.rows import OPERATIONS, Row
from faults.scene import CONCURRENCY, PLACES, Scene, scene
from faults.truth import HEALTHY
from support.promises import Promise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faults.told import Told
    from support.faulty_server import Call, Fault

SHARE = 0.3
"""Share of the calls that meet a fault."""

TIMES = dict(zip(OPERATIONS, (3, 3, 1), strict=True))
"""How often each fault must have come up at least, by operation; ids are looked up more rarely."""

IN_FLIGHT = len(PLACES) * len(OPERATIONS) * CONCURRENCY
"""Calls that may be under way at a time: each operation has slots of its own."""


class Deck:
    """Deals rows in random order, each once before any comes up again."""

    def __init__(self, rows: Sequence[Row], chance: random.Random) -> None:
        self.dealt: Counter[str] = Counter(dict.fromkeys((row.name for row in rows), 0))
        self._rows = rows
        self._chance = chance
        self._left: list[Row] = []

    def deal(self) -> Row:
        """The next row."""
        self._left = self._left or self._chance.sample(self._rows, len(self._rows))
        row = self._left.pop()
        self.dealt[row.name] += 1
        return row


@pytest.mark.promise(Promise.PROMPT, Promise.APART, Promise.LASTING)
async def test_faults_at_three_calls_in_ten() -> None:
    """The numbers never move, nothing grows, nothing is missing, and in the end all is as before."""
    seed = random.SystemRandom().randrange(10**6)
    try:
        async with scene(timeout=1) as stage:
            await _suffer(stage, random.Random(seed))  # noqa: S311 - chance in a test is no secret
    except BaseException as error:
        error.add_note(f"the faults came up as with the seed {seed}")
        raise


async def _suffer(stage: Scene, chance: random.Random) -> None:
    decks = {op: Deck([row for row in FAILURES if op in row.operations], chance) for op in OPERATIONS}
    tasks, files = stage.tasks, stage.unpaired_files

    def spoil(call: Call, body: bytes) -> Fault | None:
        return stage.sent(decks[call.operation].deal(), body) if chance.random() < SHARE else None

    def as_if_nothing_were(now: dict[str, Told]) -> bool:
        assert stage.tasks <= tasks + IN_FLIGHT
        assert stage.server.open_connections <= IN_FLIGHT
        told = [(one.numbers, set(one.coverage.values())) for one in now.values()]
        return told == [(HEALTHY, {1})] * len(PLACES)

    def all_came_up(_: dict[str, Told]) -> bool:
        return all(min(decks[operation].dealt.values()) >= TIMES[operation] for operation in OPERATIONS)

    stage.begin_spoiling(spoil)
    await stage.until(all_came_up, always=as_if_nothing_were, patience=60)
    await stage.recovered()
    await stage.until(lambda _: stage.tasks <= tasks and stage.unpaired_files <= files)
