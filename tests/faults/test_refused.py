"""Credentials that the cloud refuses: a few calls, then ever longer pauses, and recovery without anybody's help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults.rows import OPERATIONS, Row, status
from faults.scene import WELL, Scene, scene
from faults.truth import HEALTHY
from support.promises import Promise

from exporter.polling import gate

if TYPE_CHECKING:
    from faults.told import Told

REFUSED = Row("401", "401", status("401 Unauthorized", b'{"error_code":"APIG.0301"}'))
SICK = "everything"
MOST_REFUSED = 4
"""Requests, which may have been in flight together, until no more is sent."""


def _refused(stage: Scene) -> int:
    return sum(stage.server.faulty[SICK, operation] for operation in OPERATIONS)


def _begin(stage: Scene) -> None:
    stage.begin_spoiling(lambda call, body: stage.sent(REFUSED, body) if call.project_id == SICK else None)


def _nothing_moves(now: dict[str, Told]) -> bool:
    return all(told.numbers == HEALTHY for told in now.values())


@pytest.mark.promise(Promise.PAUSED, Promise.APART)
async def test_no_key_is_locked() -> None:
    """After a few rejections no request is sent, while the other projects continue as before."""
    async with scene() as stage:
        _begin(stage)
        await stage.until(lambda _: len(_pauses(stage)) == 1, always=_nothing_moves)
        await _others_go_on(stage)  # what was under way is over then
        refused = _refused(stage)
        assert 1 <= refused <= MOST_REFUSED
        await _others_go_on(stage)
        assert _refused(stage) == refused
        assert _pauses(stage) == [gate.FIRST_PAUSE]


async def _others_go_on(stage: Scene) -> None:
    before = await stage.scrape()
    await stage.until(
        lambda now: all(now[place].news(before[place], OPERATIONS[0])["200"] >= 20 for place in (WELL, "bob")),
        always=_nothing_moves,
    )


@pytest.mark.promise(Promise.PAUSED, Promise.RESUMED)
async def test_rejected_credentials_are_tried_rarely_and_recover_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause is twice the last one and ends with a single call; once that is answered, all is as before."""
    monkeypatch.setattr(gate, "FIRST_PAUSE", 0.1)
    async with scene() as stage:
        stage.log.clear()
        _begin(stage)
        await stage.until(lambda _: len(_pauses(stage)) >= 4, always=_nothing_moves)
        pauses = _pauses(stage)
        assert pauses == [0.1 * 2**n for n in range(len(pauses))]
        assert _refused(stage) <= MOST_REFUSED + len(pauses) - 1
        await stage.recovered()


def _pauses(stage: Scene) -> list[float]:
    return [event["seconds"] for event in stage.log if event["event"] == "requests_paused"]
