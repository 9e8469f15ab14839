"""A project at one moment: everything that metrics and page are made of. Plain data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from exporter.cloud.telemetry import Telemetry
from exporter.fleet import Attempts, Counts, FreshUser, Recent, ServerCounts
from exporter.polling.cycles import Cycles, Failure
from exporter.polling.source import Source


@dataclass(frozen=True, slots=True)
class OperationStatus:
    """How the polling of one operation goes."""

    cycles: Cycles
    interval: float  # seconds that a cycle takes: the configured interval, or longer if rate limit or cloud require it
    requests: float  # requests per minute at present
    fresh: int | None  # users with a fresh answer; None if the operation is not about users
    failures: Sequence[Failure] = ()  # what fails at present


@dataclass(frozen=True, slots=True)
class DiscoveryStatus:
    """How the discovery of users goes."""

    users: int  # watched users who were discovered
    successful: bool  # whether the last listing was complete and plausible


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """One project."""

    project: str
    taken_at: float  # wall time in seconds since 1970
    counts: Counts
    users: Sequence[FreshUser]  # all watched users
    attempts: Attempts
    account_locks: int  # accounts that became locked
    operations: Mapping[str, OperationStatus]
    source: Source  # where sessions come from
    up: bool  # whether the cloud answers about sessions
    ready: bool  # whether the first cycles about sessions and accounts have ended
    paused: bool  # whether no request is sent because the credentials are rejected or cannot be had
    rate_limit: float  # requests per minute and operation, as configured
    telemetry: Telemetry
    credentials_expire_at: float | None
    discovery: DiscoveryStatus | None = None  # None if no discovery is configured
    ages: Mapping[tuple[str, str], int] = field(default_factory=dict)  # sessions by state and time in that state
    servers: ServerCounts | None = None  # None if they are unknown, as without permission
    group_names: Mapping[str, str] = field(default_factory=dict)  # known names of server groups, by id
    short_sessions_counted: bool = False  # whether sessions that begin and end between two polls are counted
    unavailable: Sequence[Failure] = ()  # optional operations that are not permitted, or that the region lacks
    failures_scan_incomplete: bool = False  # whether it did not list failures that users' own queries found
    recent: Recent = field(default_factory=Recent)  # how it went lately
    data_age: float | None = None  # seconds after which a failed start is seen at present; None before the first cycle
    labels: Mapping[str, str] = field(default_factory=dict)  # further labels of every series

    @property
    def configured(self) -> int:
        """Watched users."""
        return self.counts.configured

    @property
    def users_known(self) -> bool:
        """Whether it is known who is watched: without discovery always, else once it has found out."""
        return self.discovery is None or self.discovery.successful or self.configured > 0

    @property
    def sessions_by_state(self) -> Counter[str]:
        """The number of sessions by state."""
        states: Counter[str] = Counter()
        for (state, _), sessions in self.ages.items():
            states[state] += sessions
        return states

    @property
    def sessions_known(self) -> bool:
        """Whether there are numbers about sessions: a fresh answer, or no user to poll."""
        return self.users_known and self.counts.sessions_known

    @property
    def accounts_known(self) -> bool:
        """Whether there are numbers about accounts."""
        return self.users_known and (self.counts.accounts > 0 or self.configured == 0)


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """The exporter itself."""

    version: str
    revision: str
    python_version: str
    loaded_at: float  # when the configuration in effect was loaded. All times are in seconds since 1970.
    reload_rejected_at: float | None = None  # since when reloads are rejected; None if the last one was applied
    users_files_rejected: Mapping[str, float] = field(default_factory=dict)  # since when, by project
    publish_failed_at: float | None = None  # since when a bug keeps new numbers from being published
    log_lines_dropped: int = 0  # because standard error was not read

    @property
    def reload_successful(self) -> bool:
        """Whether the configuration and the users files, as they were last read, are in effect."""
        return self.reload_rejected_at is None and not self.users_files_rejected


@dataclass(frozen=True, slots=True)
class Published:
    """What was last published."""

    process: ProcessStatus
    projects: tuple[ProjectStatus, ...] = ()
