"""What lasts, what goes away and comes back, and what is no fault of a single answer."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from faults.rows import (
    BROKEN,
    INVALID,
    OF_LOOKUPS,
    OF_SESSIONS,
    OPERATIONS,
    Row,
    always,
    bent,
    ok,
    page,
    same,
    status,
)
from faults.scene import PLACES, WELL, scene
from faults.truth import ACCOUNTS, COUNTED, HEALTHY, NO_NEW_FAILURE, of_accounts, of_sessions, of_users
from support.faulty_server import Fault, http
from support.promises import Promise

from exporter.cloud.client import LIST_SESSION_BY_USER_NAME, LIST_USER_DETAIL, LIST_USERS

if TYPE_CHECKING:
    from faults.scene import Scene
    from faults.told import Told

ANN = {"ann": COUNTED["ann"]}, {"ann": ACCOUNTS["ann"]}
STALE = {
    "sessions": of_users(["zoe"]) | NO_NEW_FAILURE | of_accounts(ACCOUNTS),
    "accounts": of_users(["zoe"]) | NO_NEW_FAILURE | of_sessions(COUNTED) | of_accounts({}),
    "lookups": HEALTHY,  # the others' ids are known, and the query for zoe's sessions shows that she does not exist
    "bob": of_users(["zoe"], ["ann", "zoe"]) | NO_NEW_FAILURE | of_sessions(ANN[0]) | of_accounts(ANN[1]),
    "everything": NO_NEW_FAILURE,
    WELL: HEALTHY,
}
"""The samples when nothing is known any more about what meets a fault."""

COVERAGE = {
    "sessions": (0, 1),
    "accounts": (1, 1 / 3),
    "lookups": (1, 2 / 3),
    "bob": (2 / 3, 2 / 3),
    "everything": (0, 0),
    WELL: (1, 1),
}
"""Coverage of sessions and accounts by then."""


@pytest.mark.promise(Promise.STALE, Promise.ABSENT, Promise.APART)
@pytest.mark.parametrize(
    "row",
    [
        Row("500", "500", status("500 Internal Server Error")),
        Row("a hang", "timeout", always(Fault(then="hang"))),
        Row("null", INVALID, ok(b"null")),
    ],
    ids=lambda row: row.name,
)
async def test_what_lasts_makes_users_stale(row: Row) -> None:
    """Who is no longer fresh drops out of every count; with nobody left, what is not known is absent and never 0."""
    async with scene(stale_after=1, timeout=0.3) as stage:
        stage.begin(row)
        coverage = {
            place: {LIST_SESSION_BY_USER_NAME: pytest.approx(sessions), LIST_USER_DETAIL: pytest.approx(accounts)}
            for place, (sessions, accounts) in COVERAGE.items()
        }
        now = await stage.until(
            lambda now: all(
                now[place].numbers == STALE[place] and now[place].coverage == coverage[place] for place in PLACES
            )
        )
        assert {place: now[place].up for place in PLACES} == {
            place: float(place not in ("sessions", "everything")) for place in PLACES
        }
        await stage.recovered()


@pytest.mark.promise(Promise.PROMPT, Promise.APART)
async def test_a_cloud_that_cannot_be_reached() -> None:
    """Refused connections cost nothing but the answers, and are over once somebody listens at the address again."""
    async with scene() as stage:
        before = await stage.scrape()
        stage.log.clear()
        async with stage.server.refusing():
            now = await stage.until(
                lambda now: all(
                    now[place].up == 0 and all(now[place].news(before[place], op)[BROKEN] >= 2 for op in OPERATIONS)
                    for place in PLACES
                    if place != WELL
                ),
                always=lambda now: all(told.numbers == HEALTHY for told in now.values()),
            )
            assert {share for told in now.values() for share in told.coverage.values()} == {1}
        await stage.recovered()
    assert {event["code"] for event in stage.log if event["event"] == "requests_failing"} == {BROKEN}


@pytest.mark.promise(Promise.MISSING)
async def test_a_user_that_the_cloud_no_longer_knows() -> None:
    """The service's own 404 is an answer: no sessions, missing, and no failure of the round."""
    gone = Row("404", "404", status("404 Not Found", b'{"error_code":"WKS.00010404"}'), OF_SESSIONS)
    async with scene() as stage:
        before = await stage.scrape()
        stage.begin(gone)
        now = await stage.until(
            lambda now: [now[place].numbers["users_missing"] for place in ("sessions", "bob")] == [{(): 3}, {(): 2}]
        )
        assert now["bob"].numbers == of_users(["bob", "zoe"]) | NO_NEW_FAILURE | of_sessions(ANN[0]) | of_accounts(
            ACCOUNTS
        )
        assert set(now["sessions"].numbers["sessions"].values()) == {0}
        later = await stage.until(lambda now: _answered_again(now, before))
        assert {told.up for told in later.values()} == {1}
        assert {share for told in later.values() for share in told.coverage.values()} == {1}
        await stage.recovered()
    assert _failing(stage) == set()


def _failing(stage: Scene) -> set[tuple[str, str]]:
    """Operations that failed, with outcomes, except for those that nobody may use here."""
    failing = [event for event in stage.log if event["event"] == "requests_failing"]
    return {(event["operation"], event["code"]) for event in failing if event["code"] != "403"}


def _answered_again(now: dict[str, Told], before: dict[str, Told]) -> bool:
    """Whether rounds have ended without a failed call since."""
    return all(
        now[place].last_success[operation] > before[place].last_success[operation]
        for place in PLACES
        for operation in (LIST_SESSION_BY_USER_NAME, LIST_USER_DETAIL)
    )


async def test_pages_without_end_are_given_up() -> None:
    """A cloud that always has another page of users is not believed, and costs that look-up only."""
    strangers = page(*({"id": f"{i}", "user_name": f"user{i}"} for i in range(3)), total=10**9)
    async with scene() as stage:
        stage.begin(Row("a page after every page", INVALID, ok(strangers), OF_LOOKUPS))
        await stage.until(
            lambda _: (
                {"lookups", "everything"} <= {event["project"] for event in stage.log if event.get("code") == INVALID}
            ),
            always=lambda now: all(told.numbers == HEALTHY for told in now.values()),
        )
        await stage.recovered()
    assert _failing(stage) == {(LIST_USERS, INVALID)}


@pytest.mark.promise(Promise.BOUNDED)
async def test_an_endless_body_is_not_read_to_its_end() -> None:
    """/metrics is answered at once all the while."""
    endless = Row("an endless body", INVALID, always(Fault(http(Content_Length=str(10**12)), "flood")), OF_SESSIONS)
    async with scene() as stage:
        before = await stage.scrape()
        stage.begin_spoiling(
            lambda call, body: stage.sent(endless, body) if (call.project_id, *call.users) == ("bob", "bob") else None
        )
        await stage.until(
            lambda now: now["bob"].news(before["bob"], LIST_SESSION_BY_USER_NAME)[INVALID] >= 2,
            always=lambda now: all(told.numbers == HEALTHY for told in now.values()),
        )
        await stage.recovered()


async def test_a_clock_that_is_a_day_off_shows() -> None:
    """As long as the cloud's Date says so, and no longer."""
    date = formatdate(time.time() + 86400, usegmt=True)
    async with scene() as stage:
        stage.begin(Row("a clock a day ahead", "200", bent(same, Date=date)))
        await stage.until(
            lambda now: now["everything"].skew == pytest.approx(86400, abs=30),
            always=lambda now: now[WELL].skew == pytest.approx(0, abs=30),
        )
        await stage.recovered()
        await stage.until(lambda now: all(told.skew == pytest.approx(0, abs=30) for told in now.values()))


@pytest.mark.promise(Promise.UNASKED)
async def test_scrapes_query_nothing() -> None:
    """However many there are, the cloud gets no more calls than its turn has come for; by then, hardly any."""
    async with scene(interval=600, user_interval=600) as stage:
        before = stage.server.good.total() + stage.well.good.total()
        for _ in range(100):
            await stage.scrape()
        assert stage.server.good.total() + stage.well.good.total() - before <= len(PLACES) * len(OPERATIONS)
