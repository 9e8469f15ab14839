"""A project as it stands at one moment: all that the metrics and the page are made of. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.cloud.telemetry import Telemetry
    from exporter.fleet import Counts, FreshUser, InitFailures
    from exporter.polling.failure_log import Trouble
    from exporter.polling.rounds import Rounds
    from exporter.polling.source import Source


@dataclass(frozen=True, slots=True)
class OperationStatus:
    """How the polling of one operation goes."""

    rounds: Rounds
    interval: float
    """Seconds that a round takes at the present rate limit, or the configured interval if longer."""
    calls: int
    """How many calls a round takes."""
    fresh: int
    """Users with a fresh answer."""
    troubles: tuple[Trouble, ...] = ()
    """What fails at present."""


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """How one project stands."""

    project: str
    taken_at: float
    """Wall time in seconds since 1970."""
    counts: Counts
    users: Sequence[FreshUser]
    """Every configured user."""
    init_failures: InitFailures
    account_locks: int
    """Accounts seen to become locked."""
    operations: Mapping[str, OperationStatus]
    source: Source
    """Where sessions come from."""
    up: bool
    """Whether the cloud answers about sessions."""
    ready: bool
    """Whether a first round has told of sessions, and one of accounts."""
    paused: bool
    """Whether nothing is asked at present, because the cloud refuses the credentials."""
    rate_limit: float
    """Calls a minute and operation, as configured."""
    telemetry: Telemetry
    credentials_expire_at: float | None

    @property
    def configured(self) -> int:
        """Configured users."""
        return self.counts.configured

    @property
    def sessions_known(self) -> bool:
        """Whether there is anything to say of sessions: a fresh answer, or nobody to ask for one."""
        return self.counts.sessions_known

    @property
    def accounts_known(self) -> bool:
        """The same of accounts."""
        return self.counts.accounts > 0 or self.configured == 0


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """The exporter itself."""

    version: str
    revision: str
    python_version: str
    reload_successful: bool
    loaded_at: float
    """Wall time, in seconds since 1970, at which the configuration in force was loaded."""
