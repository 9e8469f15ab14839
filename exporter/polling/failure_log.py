"""Tells of failing calls when something changes, so that a failing cloud does not flood the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from exporter.cloud.client import IAM_ACTIONS
from exporter.cloud.errors import Forbidden

if TYPE_CHECKING:
    from exporter.cloud.errors import CloudError
    from exporter.polling.rounds import Round

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class FailureLog:
    """One line when a kind of failure begins and one when it is over, for one operation of one project."""

    def __init__(self, project: str, operation: str) -> None:
        self._log = _logger.bind(project=project, operation=operation)
        self._failing: set[str] = set()

    def failed(self, error: CloudError) -> None:
        """A call failed; its first like it since the last good round is told."""
        if error.outcome in self._failing:
            return
        self._failing.add(error.outcome)
        facts = {
            "operation": error.operation,
            "code": error.outcome,
            "error_code": error.error_code,
            "request_id": error.request_id,
            "detail": error.detail or None,
            "missing_iam_action": IAM_ACTIONS.get(error.operation) if isinstance(error, Forbidden) else None,
        }
        self._log.warning("calls_failing", **{name: value for name, value in facts.items() if value is not None})

    def finished(self, round_: Round, duration: float) -> None:
        """A round ended after ``duration`` seconds; what no longer fails in it is told."""
        for outcome in sorted(self._failing - round_.failed.keys()):
            self._log.info("calls_recovered", code=outcome)
        self._failing &= round_.failed.keys()
        self._log.debug(
            "round_finished",
            users=round_.users,
            answered=round_.answered,
            failed=round_.failed.total(),
            seconds=round(duration, 3),
        )
