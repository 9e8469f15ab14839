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
    """A plugin of pytest that counts what the tests note and what they are marked with.

    With pytest-xdist each worker has one as well, and hands its counts to the one that reports.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._whole = _is_whole(config)
        self._outcomes: dict[Promise, Counter[str]] = {promise: Counter() for promise in Promise}
        self._recorded: list[tuple[str, object]] = []

    @property
    def unproven(self) -> list[Promise]:
        """The promises without a passed test, or with a failed one."""
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
        """Have the report say which promises the test checks; a worker sends it on with that."""
        report = yield
        report.promises = [promise.name for marker in item.iter_markers("promise") for promise in marker.args]  # type: ignore[attr-defined] # reports take what plugins add
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note for each promise what became of its tests."""
        if report.when == "call" or report.failed:
            for name in getattr(report, "promises", ()):  # subtests and crashed workers have none
                self._outcomes[Promise[name]][report.outcome] += 1
        if report.when == "call" and report.passed:
            self._recorded += report.user_properties

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a whole run that has left a promise unproven, or lost a scrape. A worker sends its counts instead."""
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput.update(ledger=LEDGER.as_plain(), whole=self._whole)
        elif self._whole and (self.unproven or LEDGER.lost) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add the counts of a worker that has ended."""
        if output := getattr(node, "workeroutput", None):  # a crashed one leaves none
            LEDGER.add(output["ledger"])
            self._whole &= output["whole"]

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
        for name, value in self._recorded:
            terminalreporter.line(f"{name}: {value}")
        for promise in unproven if self._whole else []:
            terminalreporter.line(f"unproven: {promise.value} ({promise})", red=True)


def _is_whole(config: pytest.Config) -> bool:
    """Whether all tests run."""
    wanted = config.option
    asked_for_all = config.args_source is pytest.Config.ArgsSource.TESTPATHS or hasattr(config, "workerinput")
    return asked_for_all and not (wanted.keyword or wanted.markexpr or wanted.collectonly)


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
