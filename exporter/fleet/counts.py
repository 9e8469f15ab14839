"""Counts over a fleet, updated with each change, so that reading them takes no pass over the users."""

from array import array
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise

from exporter.cloud.models import Session, SessionKind, UserDetail
from exporter.cloud.telemetry import Latencies
from exporter.fleet.members import OTHER, UNKNOWN, FreshUser

# Distinct values of each label of the counters; further ones count as OTHER, to bound memory.
MOST_VALUES = 1000
INIT_BUCKETS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds in seconds for the time from a session's start to Active."""
AGES = ("0-5m", "5m-1h", "1h-24h", "24h-72h", "72h+")
_AGE_BOUNDS = (300.0, 3600.0, 86400.0, 259200.0)  # seconds; a bound belongs to the age above it
_SPAN = 900.0  # seconds


@dataclass(slots=True)
class Counts:
    """A fleet at one moment, counted over everything that is not stale."""

    configured: int = 0  # watched users
    queried: int = 0  # users with a fresh answer to their own session query
    scanned: int = 0  # users covered by a fresh complete scan
    accounts: int = 0  # users with a fresh answer about their account
    missing: int = 0  # configured users unknown to the cloud
    locked: int = 0
    expired: int = 0
    disabled: int = 0
    password_change_due: int = 0  # users who have to set another password
    password_change_known: int = 0  # users with an account that says whether they have to
    password_never_expires: int = 0
    password_expiry_known: int = 0
    without_desktop: int = 0
    desktops_known: int = 0
    sessions: Counter[SessionKind] = field(default_factory=Counter)
    changes: dict[tuple[str, float], "array[float]"] = field(default_factory=dict)
    """When sessions changed to their state, in seconds since 1970, without unknown times.

    By state and span of _SPAN seconds, each sorted: a single array would take milliseconds for each change.
    """

    @property
    def sessions_known(self) -> bool:
        """Whether session counts mean anything: there is a fresh answer, or no user to query."""
        return self.queried + self.scanned > 0 or self.configured == 0

    def copy(self) -> "Counts":
        """Return a copy that no longer changes."""
        changes = {key: times[:] for key, times in self.changes.items()}
        return replace(self, sessions=self.sessions.copy(), changes=changes)

    def ages(self, now: float) -> Counter[tuple[str, str]]:
        """Return the number of sessions by state and time in that state. ``now`` is in seconds since 1970, UTC."""
        ages: Counter[tuple[str, str]] = Counter()
        for kind, sessions in self.sessions.items():
            ages[kind.session_state or UNKNOWN, UNKNOWN] += sessions
        for (state, _), times in self.changes.items():
            since = [0, *(bisect_right(times, now - bound) for bound in reversed(_AGE_BOUNDS)), len(times)]
            for age, (begin, end) in zip(reversed(AGES), pairwise(since), strict=True):
                ages[state, age] += end - begin
            ages[state, UNKNOWN] -= len(times)
        return ages

    def change(self, before: FreshUser, after: FreshUser) -> None:
        """Replace what is counted for a user."""
        self.missing += _missing(after) - _missing(before)
        if before.account is not after.account:
            for account, times in ((before.account, -1), (after.account, 1)):
                if account:
                    self._account(account, times)
        if before.listed != after.listed:
            for session in before.listed:
                self._remove(session)
            for session in after.listed:
                self._add(session)

    def _add(self, session: Session) -> None:
        self.sessions[session.kind] += 1
        if session.changed is not None:
            insort(self.changes.setdefault(_span(session, session.changed), array("d")), session.changed)

    def _remove(self, session: Session) -> None:
        self.sessions[session.kind] -= 1
        if not self.sessions[session.kind]:
            del self.sessions[session.kind]
        if session.changed is not None:
            span = _span(session, session.changed)
            times = self.changes[span]
            del times[bisect_left(times, session.changed)]
            if not times:
                del self.changes[span]

    def _account(self, account: UserDetail, times: int) -> None:
        self.locked += times * bool(account.locked)
        self.expired += times * bool(account.user_expired)
        self.disabled += times * bool(account.disabled)
        self.password_change_due += times * bool(account.next_login_change_password)
        self.password_change_known += times * (account.next_login_change_password is not None)
        self.password_never_expires += times * bool(account.password_never_expired)
        self.password_expiry_known += times * (account.password_never_expired is not None)
        self.without_desktop += times * (account.total_desktops == 0)
        self.desktops_known += times * (account.total_desktops is not None)


def _span(session: Session, changed: float) -> tuple[str, float]:
    return session.session_state or UNKNOWN, changed // _SPAN


def _missing(user: FreshUser) -> bool:
    return user.missing and not user.discovered  # who was found and is gone, leaves soon


@dataclass(slots=True)
class Tally:
    """Distinct sessions that were counted once, as started or as failed."""

    total: int = 0
    by_client_version: Counter[str] = field(default_factory=Counter)
    by_server_group: Counter[str] = field(default_factory=Counter)
    by_code: Counter[str] = field(default_factory=Counter)

    def add(self, session: Session) -> None:
        """Count a session."""
        self.total += 1
        _count(self.by_client_version, session.kind.client_version)
        _count(self.by_server_group, session.kind.app_server_group_id)
        _count(self.by_code, session.kind.failed_code)

    def copy(self) -> "Tally":
        """Return a copy that no longer changes."""
        return Tally(self.total, self.by_client_version.copy(), self.by_server_group.copy(), self.by_code.copy())


@dataclass(slots=True)
class Attempts:
    """How session starts went, since the exporter started. The numbers never fall, not even when users leave."""

    starts: Tally = field(default_factory=Tally)  # including those that failed
    failures: Tally = field(default_factory=Tally)
    init_durations: Latencies = field(default_factory=lambda: Latencies(INIT_BUCKETS))  # from the start to Active
    disconnects: int = 0  # changes from Active to Disconnected
    reconnects: int = 0

    def copy(self) -> "Attempts":
        """Return a copy that no longer changes."""
        return replace(
            self, starts=self.starts.copy(), failures=self.failures.copy(), init_durations=self.init_durations.copy()
        )


def _count(counts: Counter[str], value: str | None) -> None:
    value = value or UNKNOWN
    counts[value if value in counts or len(counts) < MOST_VALUES else OTHER] += 1
