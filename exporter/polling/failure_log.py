"""Logs failing requests when something changes, so that a failing cloud does not flood the log."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from exporter.cloud.client import IAM_ACTIONS
from exporter.cloud.errors import CloudError, Forbidden
from exporter.polling.cycles import Cycle

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """A kind of failure that has not ended."""

    error: CloudError  # the first of its kind
    since: float  # wall time


class FailureLog:
    """One line when a kind of failure begins and one when it ends, for the cycles of one operation.

    ``now`` returns the wall clock, in seconds since 1970.
    """

    def __init__(self, project: str, operation: str, now: Callable[[], float]) -> None:
        self._log = _logger.bind(project=project, operation=operation)
        self._now = now
        self._failures: dict[tuple[str, str], Failure] = {}  # current kinds of failure, by operation and outcome
        self._seen: set[tuple[str, str]] = set()  # those of the running cycle

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What fails at present, in the order in which it began."""
        return tuple(self._failures.values())

    def failed(self, error: CloudError) -> None:
        """Note that a request of the running cycle failed, or one that it needed, such as for a token."""
        kind = (error.operation, error.outcome)
        self._seen.add(kind)
        if kind in self._failures:
            return
        self._failures[kind] = Failure(error.bare(), self._now())
        action = IAM_ACTIONS.get(error.operation) if isinstance(error, Forbidden) else None
        missing = {"missing_iam_action": action} if action else {}
        self._log.warning("requests_failing", **error.facts(), **missing)

    def paused(self, seconds: float, error: CloudError) -> None:
        """Note that no request is sent for so many seconds, because of this error about the credentials."""
        self._log.warning("requests_paused", seconds=seconds, reason=str(error))

    def finished(self, cycle: Cycle, duration: float) -> None:
        """Log what no longer fails after a cycle of so many seconds.

        An outcome that entries of the cycle failed with has not ended, even if no request was sent any more.
        """
        for kind in sorted(self._failures.keys() - self._seen):
            operation, outcome = kind
            if outcome in cycle.failed:
                continue
            self._log.info("requests_recovered", operation=operation, code=outcome)
            del self._failures[kind]
        self._seen = set()
        self._log.debug(
            "cycle_finished",
            **{cycle.entries: cycle.total},
            answered=cycle.answered,
            failed=cycle.failed.total(),
            seconds=round(duration, 3),
        )
