"""A project under watch, as the metrics and the page see it."""

from __future__ import annotations

import asyncio

from support.fake_cloud import FakeCloud
from support.virtual_time import EPOCH, run_virtually
from support.watches import statuses, watch_of

from exporter.cloud.errors import Unreachable
from exporter.cloud.models import Session


def cloud_of_two() -> FakeCloud:
    cloud = FakeCloud()
    cloud.add("anna", Session.of(id="1", session_state="Active"))
    cloud.add("bert")
    return cloud


def test_a_project_is_up_and_ready_after_its_first_round() -> None:
    before, after = run_virtually(statuses(watch_of(cloud_of_two(), "anna", "bert"), 0, 10))
    assert (before.up, before.ready, before.sessions_known) == (False, False, False)
    assert (after.up, after.ready, after.sessions_known) == (True, True, True)
    assert after.taken_at == EPOCH + 10
    assert {name: status.fresh for name, status in after.operations.items()} == {
        "ListSessionByUserName": 2,
        "ListUserDetail": 2,
    }


def test_a_status_stays_as_it_was_taken_while_the_polling_continues() -> None:
    """It is read some of it at a time, with calls in between."""
    watch = watch_of(cloud_of_two(), "anna", "bert")

    async def taken_and_later() -> tuple[str, str]:
        (taken,) = await statuses(watch, 0)
        before = repr(taken)
        watch.connection.telemetry.attempted("ListUsers", "200")
        watch.connection.telemetry.answered("ListUsers", 0.1)
        await statuses(watch, 10)
        return before, repr(taken)

    before, later = run_virtually(taken_and_later())
    assert before == later


def test_a_project_is_not_up_when_no_answer_is_fresh_though_the_round_has_had_one() -> None:
    """With rounds that take longer than an answer counts, the last one's answers are all stale at its end."""
    slow = watch_of(cloud_of_two(), "anna", "bert", interval=600.0, stale_after=30.0)
    early, late = run_virtually(statuses(slow, 10, 250))
    assert early.up
    assert late.operations["ListSessionByUserName"].cycles.up
    assert not late.up
    assert not late.sessions_known


def test_a_project_goes_down_with_its_cloud_and_comes_back_with_it() -> None:
    cloud = cloud_of_two()

    def away(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        if 100 < asyncio.get_running_loop().time() < 1000:
            raise Unreachable(operation, "timeout")

    cloud.fault = away
    before, during, after = run_virtually(statuses(watch_of(cloud, "anna", "bert"), 90, 900, 1200))
    assert (before.up, during.up, after.up) == (True, False, True)
    assert (before.sessions_known, during.sessions_known, after.sessions_known) == (True, False, True)


def test_a_status_does_not_change_after_it_was_taken() -> None:
    early, late = run_virtually(statuses(watch_of(cloud_of_two(), "anna", "bert"), 0.1, 10))
    assert not early.ready
    assert late.ready


def test_a_mistake_of_our_own_stops_the_polling_for_a_minute_only() -> None:
    cloud = cloud_of_two()

    def mistaken(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        if asyncio.get_running_loop().time() < 30:
            raise ZeroDivisionError

    cloud.fault = mistaken
    broken, mended = run_virtually(statuses(watch_of(cloud, "anna", "bert"), 30, 70))
    assert not broken.up
    assert mended.up
