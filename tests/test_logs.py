"""The three formats of the log."""

from __future__ import annotations

import json
import logging
from collections import Counter

import pytest
import structlog
from support.promises import Promise

from exporter import config, logs
from exporter.cloud.errors import CloudError, refusal
from exporter.polling.cycles import Cycle, FailureLog


def logged(capsys: pytest.CaptureFixture[str], **settings: str) -> list[str]:
    """Return the lines for an event of the exporter, one below the level, and one of a library."""
    logs.configure(config.Log.model_validate(settings))
    structlog.get_logger("exporter.test").info("cycle_finished", project="a b", seconds=1.5)
    structlog.get_logger("exporter.test").debug("unheard")
    logging.getLogger("some.library").warning("careful with %s", "this")
    return capsys.readouterr().err.splitlines()


def test_logfmt_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    ours, library = logged(capsys)
    assert 'level=info event=cycle_finished project="a b" seconds=1.5' in ours
    assert 'level=warning event="careful with this"' in library


def test_json_has_one_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    ours, library = map(json.loads, logged(capsys, format="json"))
    assert (ours["event"], ours["project"], ours["seconds"]) == ("cycle_finished", "a b", 1.5)
    assert library["event"] == "careful with this"


def test_console_shows_the_event(capsys: pytest.CaptureFixture[str]) -> None:
    ours, _ = logged(capsys, format="console")
    assert "cycle_finished" in ours


@pytest.mark.parametrize("log_format", ["logfmt", "json", "console"])
def test_a_traceback_shows_no_variable(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    logs.configure(config.Log.model_validate({"format": log_format}))
    token = "ydobon-fo-nek0t"[::-1]  # so that it does not stand in the source, which a traceback may quote
    try:
        int("broken" if token else "")
    except ValueError:
        structlog.get_logger("exporter.test").exception("crashed")
    told = capsys.readouterr().err
    assert "broken" in told
    assert "t0ken-of-nobody" not in told


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
def test_a_traceback_stays_on_its_line(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    logs.configure(config.Log.model_validate({"format": log_format}))
    try:
        int("broken")
    except ValueError:
        structlog.get_logger("exporter.test").exception("crashed")
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "broken" in told[0]


def test_a_failing_cloud_is_told_once_a_kind_and_its_recovery_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(config.Log.model_validate({}))
    log = FailureLog("berlin", "ListSessionByUserName", lambda: 0.0)
    for _ in range(3):
        round_ = Cycle(total=100, started=0)
        for status in [500] * 60 + [503] * 40:
            log.failed(refusal("ListSessionByUserName", status, "WKS.1", f"request-{status}"))
            round_.failed[str(status)] += 1
        log.finished(round_, 1.0)
    for _ in range(3):
        log.finished(Cycle(total=100, started=0, answered=100), 1.0)
    told = [line.partition("event=")[2] for line in capsys.readouterr().err.splitlines()]
    assert [line.partition(" ")[0] for line in told] == ["requests_failing"] * 2 + ["requests_recovered"] * 2
    assert "code=500 error_code=WKS.1 request_id=request-500" in told[0]


def test_a_refusal_is_not_over_while_nobody_is_asked_because_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pause the users of a round fail without a call."""
    logs.configure(config.Log.model_validate({}))
    log = FailureLog("berlin", "ListSessionByUserName", lambda: 0.0)
    log.failed(refusal("ListSessionByUserName", 401, None, None))
    for _ in range(2):
        log.finished(Cycle(total=3, started=0, failed=Counter({"401": 3})), 1.0)
        assert len(log.failures) == 1
    assert "requests_recovered" not in capsys.readouterr().err
    log.finished(Cycle(total=3, started=0, answered=3), 1.0)
    assert "event=requests_recovered" in capsys.readouterr().err


@pytest.mark.promise(Promise.NAMED)
def test_a_missing_permission_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(config.Log.model_validate({}))
    FailureLog("berlin", "ListUserDetail", lambda: 0.0).failed(refusal("ListUsers", 403, None, None))
    assert "operation=ListUsers code=403 missing_iam_action=workspace:users:list" in capsys.readouterr().err


def test_what_fails_is_remembered_without_what_it_came_from() -> None:
    """A traceback would keep the whole answer in memory, 16 MiB for each kind of failure."""
    log = FailureLog("berlin", "ListUserDetail", lambda: 7.0)
    error = refusal("ListUsers", 500, "WKS.1", "request-1")
    with pytest.raises(CloudError) as raised:
        raise error from ValueError("the answer")
    log.failed(raised.value)
    [failure] = log.failures
    assert (failure.error, failure.since) == (error, 7.0)
    assert failure.error.__traceback__ is None
    assert failure.error.__cause__ is None
    assert error.__traceback__ is not None
