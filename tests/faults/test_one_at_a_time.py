"""Each fault alone: in all calls for sessions, for accounts or for ids, in all about one user, and in all at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults.rows import GROUPS, OPERATIONS, STALLS, Row
from faults.scene import PLACES, WELL, Scene, hits, meant, scene
from faults.truth import HEALTHY, USERS
from support.promises import Promise

if TYPE_CHECKING:
    from faults.told import Told


@pytest.mark.promise(Promise.PROMPT, Promise.INVALID, Promise.UNSTOPPED, Promise.APART)
@pytest.mark.parametrize("rows", GROUPS.values(), ids=GROUPS.keys())
async def test_fault(rows: tuple[Row, ...], subtests: pytest.Subtests) -> None:
    """It is counted as what it is, costs at most the answers that it hits, and leaves nothing behind."""
    async with scene(timeout=0.5 if rows == STALLS else 10) as stage:
        for row in rows:
            with subtests.test(row.name):
                try:
                    await _suffer(stage, row)
                finally:
                    await stage.recovered()


async def _suffer(stage: Scene, row: Row) -> None:
    before = await stage.scrape()
    stage.log.clear()
    stage.begin(row)

    def told_so(now: dict[str, Told]) -> bool:
        return all(_shows(row, place, now[place], before[place]) for place in PLACES)

    def never_wrong(now: dict[str, Told]) -> bool:
        return all(now[place].numbers == HEALTHY or meant(row, place) != HEALTHY for place in PLACES)

    now = await stage.until(told_so, always=never_wrong)
    assert {share for place in PLACES for share in now[place].coverage.values()} == {1}
    failing = {event["code"] for event in stage.log if event["event"] == "calls_failing"}
    assert failing == {row.code} - {"200"}


def _shows(row: Row, place: str, now: Told, before: Told) -> bool:
    """Whether a place tells all that it is to tell of the fault; it must never tell of another one."""
    hit = {op: [user for user in USERS if hits(row, place, op, user)] for op in OPERATIONS}
    hit[OPERATIONS[2]] = [user for user in hit[OPERATIONS[2]] if user == "zoe"]  # the others' ids are known
    enough = True
    for operation in OPERATIONS:
        news = now.news(before, operation)
        usual = {"200", "404"} if operation == OPERATIONS[0] else {"200"}
        assert news.keys() <= usual | ({row.code} if hit[operation] else set()), (place, operation, news)
        enough &= news[row.code if hit[operation] else "200"] >= max(1, len(hit[operation]))
    down = not row.believed and len(hit[OPERATIONS[0]]) == len(USERS)
    return enough and now.numbers == meant(row, place) and now.up == float(not down)


def test_every_place_but_one_has_trouble() -> None:
    """Each operation alone, one user alone and one project alone are hit, and one project never is."""
    struck = {place: {(op, user) for op in OPERATIONS for user in USERS if PLACES[place](op, user)} for place in PLACES}
    assert struck[WELL] == set()
    assert [{op for op, _ in struck[place]} for place in ("sessions", "accounts", "lookups")] == [
        {op} for op in OPERATIONS
    ]
    assert {user for _, user in struck["bob"]} == {"bob"}
    assert len(struck["everything"]) == len(OPERATIONS) * len(USERS)
