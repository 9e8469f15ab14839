"""What all tests share."""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import aiohttp
import aioresponses.core
import hypothesis
import pytest
import structlog
from support.figures import Figures

import exporter
from exporter import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _MockedResponse(aiohttp.ClientResponse):
    """A response as aioresponses 0.7.9 makes it, without the writer that aiohttp 3.14 expects."""

    def __init__(self, *args: Any, **parts: Any) -> None:
        super().__init__(*args, stream_writer=Mock(), **parts)


aioresponses.core.ClientResponse = _MockedResponse  # type: ignore[attr-defined] # this is what has to be mended

# The same examples in every run, without a limit on the time of each: the machine may be busy.
hypothesis.settings.load_profile("ci")

IN_CI = os.environ.get("CI") == "true"
PROGRAMS = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
"""Where programs are: those that the lock file pins come first."""


def pytest_configure(config: pytest.Config) -> None:
    """Count what the tests try."""
    config.pluginmanager.register(Figures(config))


def pytest_collection_finish() -> None:
    """Exempt all imported modules from garbage collection. Each pass over them takes tens of milliseconds."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    """Say which exporter is tested: in CI it has to be the installed wheel."""
    return f"exporter: {exporter.__version__} from {Path(exporter.__file__).parent}"


def pytest_sessionstart() -> None:
    """Refuse to test the sources in CI."""
    if IN_CI and "site-packages" not in exporter.__file__:
        raise pytest.UsageError(f"in CI the installed wheel is tested, but this is {exporter.__file__}")


@pytest.fixture(autouse=True)
def _one_at_a_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a test that is marked ``alone`` run while no other process runs one, and without garbage of other tests."""
    if request.node.get_closest_marker("alone"):
        gc.collect()
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:
        yield
        return
    with (Path(tempfile.gettempdir()) / f"pytest-{run}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if request.node.get_closest_marker("alone") else fcntl.LOCK_SH)
        yield


class _AtOnce(logs.BackgroundHandler):
    """Writes lines before the logging call returns, so that a test sees them."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self._rejected = self._failed = 0

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)  # noqa: T201 - to the standard error that pytest captures

    def flush(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Log without a thread, and undo what a test configured of the process-wide logging."""
    handler = _AtOnce()
    monkeypatch.setattr(logs, "standard_error", lambda: handler)
    root, ours = logging.getLogger(), logging.getLogger("exporter")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Path of a program that a test needs; where it is missing the test is skipped, and fails in CI."""

    def find(name: str) -> str:
        path = shutil.which(name, path=PROGRAMS)
        if path is None:
            message = f"{name} is not installed"
            if IN_CI:
                pytest.fail(message)
            pytest.skip(message)
        return path

    return find
