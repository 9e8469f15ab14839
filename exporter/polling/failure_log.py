"""Tells of failing calls when something changes, so that a failing cloud does not flood the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from exporter.cloud.client import IAM_ACTIONS
from exporter.cloud.errors import Forbidden

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.cloud.errors import CloudError
    from exporter.polling.rounds import Round

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A kind of failure that goes on."""

    error: CloudError
    """The first of its kind."""
    since: float
    """Wall time."""


class FailureLog:
    """One line when a kind of failure begins and one when it is over, for the rounds of one operation.

    ``now`` gives the wall clock, in seconds since 1970.
    """

    def __init__(self, project: str, operation: str, now: Callable[[], float]) -> None:
        self._log = _logger.bind(project=project, operation=operation)
        self._now = now
        self._troubles: dict[tuple[str, str], Trouble] = {}
        """Kinds of failure, by operation and outcome, that have begun and are not over."""
        self._seen: set[tuple[str, str]] = set()
        """Those of the round under way."""

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What fails at present, in the order in which it began."""
        return tuple(self._troubles.values())

    def failed(self, error: CloudError) -> None:
        """A call of the round under way failed, perhaps one that a call needed, such as for a token."""
        kind = (error.operation, error.outcome)
        self._seen.add(kind)
        if kind in self._troubles:
            return
        self._troubles[kind] = Trouble(error.bare(), self._now())
        action = IAM_ACTIONS.get(error.operation) if isinstance(error, Forbidden) else None
        missing = {"missing_iam_action": action} if action else {}
        self._log.warning("calls_failing", **error.facts(), **missing)

    def paused(self, seconds: float) -> None:
        """The credentials were refused, and nothing is asked for so long."""
        self._log.warning("calls_paused", seconds=seconds, reason="the cloud refuses the credentials")

    def finished(self, round_: Round, duration: float) -> None:
        """A round ended after ``duration`` seconds; what no longer fails in it is told.

        What entries of the round have failed with goes on failing, even if nobody was asked any more for that reason.
        """
        for kind in sorted(self._troubles.keys() - self._seen):
            operation, outcome = kind
            if outcome in round_.failed:
                continue
            self._log.info("calls_recovered", operation=operation, code=outcome)
            del self._troubles[kind]
        self._seen = set()
        self._log.debug(
            "round_finished",
            **{round_.entries: round_.total},
            answered=round_.answered,
            failed=round_.failed.total(),
            seconds=round(duration, 3),
        )
