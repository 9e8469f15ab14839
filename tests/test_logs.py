"""The log: its three formats, and that nobody waits for its reader."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

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
    token = "ydobon-fo-nek0t"[::-1]  # so that it is not in the source, which a traceback may quote
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


def test_a_failing_cloud_is_reported_once_a_kind_and_its_recovery_once(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_refusal_is_not_over_while_nobody_is_queried_because_of_it(capsys: pytest.CaptureFixture[str]) -> None:
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


class Pipe:
    """A pipe of one page with a handler that writes to it."""

    def __init__(self, most: int = 1 << 20) -> None:
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, 4096)
        self.handler = logs.BackgroundHandler(self.writing, most)

    def log(self, text: str) -> None:
        self.handler.handle(logging.LogRecord("exporter.test", logging.INFO, __file__, 1, text, (), None))

    def lines(self, count: int) -> list[str]:
        text = b""
        while text.count(b"\n") < count:
            text += os.read(self.reading, 1 << 16)
        return text.decode().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    # The thread ends its last write before the number of its descriptor is given to another file.
    with contextlib.suppress(OSError):
        os.close(pipe.reading)
    pipe.handler.flush()
    with contextlib.suppress(OSError):
        os.close(pipe.writing)


def test_lines_wait_in_order_until_they_are_read(pipe: Pipe) -> None:
    """They take more than fits the pipe, and no call waits."""
    for number in range(2000):
        pipe.log(f"line {number}")
    assert pipe.lines(2000) == [f"line {number}" for number in range(2000)]
    assert pipe.handler.dropped == 0


def test_lines_that_exceed_the_memory_for_them_are_dropped_and_counted(pipe: Pipe) -> None:
    pipe.handler._most = 100_000  # noqa: SLF001 - a smaller limit
    for number in range(20_000):
        pipe.log(f"line {number:05}")
    kept = 20_000 - pipe.handler.dropped
    assert 100_000 // len("line 00000\n") <= kept <= 110_000 // len("line 00000\n")
    lines = pipe.lines(kept)
    assert lines == sorted(lines)
    pipe.handler.flush()
    pipe.log("it goes on")
    assert pipe.lines(1) == ["it goes on"]


def test_flushing_gives_up_after_a_moment(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_LAST_MOMENT", 0.01)
    pipe.log("x" * 10_000)
    pipe.handler.flush()


def test_flushing_waits_until_everything_is_written(pipe: Pipe) -> None:
    pipe.log("x" * 1000)
    pipe.handler.flush()
    os.set_blocking(pipe.reading, False)
    assert len(os.read(pipe.reading, 5000)) == 1001


def test_a_pipe_that_is_non_blocking_loses_no_line(pipe: Pipe) -> None:
    os.set_blocking(pipe.writing, False)
    for number in range(2000):
        pipe.log(f"line {number}")
    assert pipe.lines(2000) == [f"line {number}" for number in range(2000)]


def test_lines_without_a_reader_are_counted_and_later_ones_are_written(pipe: Pipe) -> None:
    """EPIPE, EBADF and ENOSPC end neither the thread nor the process."""
    os.close(pipe.reading)
    pipe.log("to nobody")
    pipe.handler.flush()
    assert pipe.handler.dropped == 1
    pipe.reading, again = os.pipe()
    os.dup2(again, pipe.writing)
    os.close(again)
    pipe.log("to somebody")
    assert pipe.lines(1) == ["to somebody"]


def test_a_full_disk_is_survived() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        handler = logs.BackgroundHandler(full.fileno())
        handler.handle(logging.LogRecord("exporter.test", logging.INFO, __file__, 1, "a", (), None))
        handler.flush()
    assert handler.dropped == 1


def test_a_line_that_cannot_be_formatted_is_reported(pipe: Pipe) -> None:
    pipe.handler.handle(logging.LogRecord("exporter.test", logging.INFO, __file__, 1, "%d", ("a",), None))
    assert pipe.lines(1) == ["level=error event=log_line_broken logger=exporter.test"]


def test_a_reload_changes_format_and_level_of_the_same_handler(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(logged(capsys, level="error")) == 1  # the library's
    assert len(logged(capsys, level="info", format="json")) == 2
    assert logging.getLogger().handlers == [logs.standard_error()]


def test_warnings_of_python_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(config.Log())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", RuntimeWarning, stacklevel=1)
    assert "level=warning" in capsys.readouterr().err
