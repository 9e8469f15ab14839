"""Each fault alone: in all calls for sessions, for accounts or for ids, in all about one user, and in all at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults.failures import BREAKS, FAILURES, NO_ANSWERS, NO_BODIES, STALLS, STATUSES, WRONG_TYPES
from faults.oddities import ODD_ACCOUNTS, ODD_LOOKUPS, ODD_SESSIONS, ODDITIES
from faults.rows import OPERATIONS, Row
from faults.scene import PLACES, USUAL, WELL, Scene, hits, meant, scene
from faults.truth import ACCOUNTS, HEALTHY, USERS
from support.promises import Promise

from exporter.cloud.client import LIST_SESSION_BY_USER_NAME, LIST_USER_DETAIL, LIST_USERS

if TYPE_CHECKING:
    from faults.told import Told

GROUPS = {
    "statuses": STATUSES,
    "broken connections": BREAKS,
    "stalled connections": STALLS,
    "no body that may be read": NO_BODIES,
    "no answer": NO_ANSWERS,
    "wrong types": WRONG_TYPES,
    "odd sessions": ODD_SESSIONS,
    "odd accounts": ODD_ACCOUNTS,
    "odd lookups": ODD_LOOKUPS,
}

ASKED_ABOUT = {
    LIST_SESSION_BY_USER_NAME: USERS,
    LIST_USER_DETAIL: tuple(ACCOUNTS),
    LIST_USERS: tuple(user for user in USERS if user not in ACCOUNTS),  # the others' ids are known
}
"""The users that each operation is called for, in every cycle."""


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
    failing = {event["code"] for event in stage.log if event["event"] == "requests_failing"}
    assert failing == {row.code} - {"200"}


def _shows(row: Row, place: str, now: Told, before: Told) -> bool:
    """Return whether a project shows everything about the fault. It must never show another one."""
    enough = True
    for operation in OPERATIONS:
        hit = sum(hits(row, place, operation, user) for user in ASKED_ABOUT[operation])
        news = now.news(before, operation)
        assert news.keys() <= USUAL[operation] | ({row.code} if hit else set()), (place, operation, news)
        enough &= news[row.code if hit else "200"] >= max(1, hit)
    down = not row.believed and all(hits(row, place, LIST_SESSION_BY_USER_NAME, user) for user in USERS)
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


def test_every_row_has_a_name_of_its_own() -> None:
    names = [row.name for rows in GROUPS.values() for row in rows]
    assert len(set(names)) == len(names)
    assert set(names) == {row.name for row in (*FAILURES, *ODDITIES)}
