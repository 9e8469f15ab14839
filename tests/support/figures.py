"""The figures at the end of a test run, and the check that a whole run proves every promise."""

from __future__ import annotations

from collections import Counter
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest
from support.ledger import LEDGER
from support.promises import Promise

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence


class Figures:
    """A plugin of pytest that counts what the tests note and what they are marked with."""

    def __init__(self, config: pytest.Config) -> None:
        self._whole = _is_whole(config)
        self._outcomes: dict[Promise, Counter[str]] = {promise: Counter() for promise in Promise}

    @property
    def unproven(self) -> list[Promise]:
        """The promises of which no test has passed, or one has failed."""
        return [p for p, outcomes in self._outcomes.items() if outcomes["failed"] or not outcomes["passed"]]

    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        """Have every generated bad input counted."""
        generated = [item.obj.hypothesis for item in items if _is_bad_input(item) and _is_generated(item)]  # type: ignore[attr-defined] # functions
        for test in {id(test): test for test in generated}.values():
            test.inner_test = _counting(test.inner_test)

    def pytest_deselected(self) -> None:
        """See that something has been left out."""
        self._whole = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Count a bad input that is not generated."""
        LEDGER.bad_inputs += _is_bad_input(item) and not _is_generated(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note for each promise what became of its tests."""
        report = yield
        if report.when == "call" or report.failed:
            for marker in item.iter_markers("promise"):
                for promise in marker.args:
                    self._outcomes[promise][report.outcome] += 1
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a whole run that has left a promise unproven, or lost a scrape."""
        if self._whole and (self.unproven or LEDGER.lost) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the figures."""
        faults, unproven = LEDGER.faults, self.unproven
        terminalreporter.section("figures")
        terminalreporter.line(
            f"faults tried: {len(faults)} kinds, {faults.total():,} times"
            f" · promises checked: {len(Promise) - len(unproven)} of {len(Promise)}"
            f" · bad inputs tried: {LEDGER.bad_inputs:,}"
            f" · scrapes: {LEDGER.scrapes:,}, lost: {LEDGER.lost:,}, later than a second: {LEDGER.late:,}"
        )
        for promise in unproven if self._whole else []:
            terminalreporter.line(f"unproven: {promise.value} ({promise})", red=True)


def _is_whole(config: pytest.Config) -> bool:
    """Whether every test is asked for, and runs in this process."""
    wanted = config.option
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS and not (
        wanted.keyword or wanted.markexpr or wanted.collectonly or getattr(wanted, "numprocesses", None)
    )


def _is_bad_input(item: pytest.Item) -> bool:
    return item.get_closest_marker("bad_input") is not None


def _is_generated(item: pytest.Item) -> bool:
    return hasattr(getattr(item, "obj", None), "hypothesis")


def _counting(test: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(test)
    def counted(*args: Any, **kwargs: Any) -> Any:
        LEDGER.bad_inputs += 1
        return test(*args, **kwargs)

    return counted
