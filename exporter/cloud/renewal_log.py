"""Tells of renewals that fail while calls still succeed, so that there is time to mend what would make them fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from exporter.cloud.errors import CloudError

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class RenewalLog:
    """One line when a kind of failure begins and one when a renewal succeeds again, for what a project is lent."""

    def __init__(self, project: str) -> None:
        self._log = _logger.bind(project=project)
        self._failing: set[tuple[str, str]] = set()
        """Kinds of failure since the last success, by operation and outcome."""

    def failed(self, error: CloudError, expires_in: float) -> None:
        """A renewal failed, and what was to be renewed lasts for so many seconds yet."""
        kind = (error.operation, error.outcome)
        if kind not in self._failing:
            self._failing.add(kind)
            self._log.warning("renewal_failing", **error.facts(), expires_in_seconds=round(expires_in))

    def succeeded(self) -> None:
        """A renewal succeeded."""
        for operation in {operation for operation, _ in self._failing}:
            self._log.info("renewal_recovered", operation=operation)
        self._failing.clear()
