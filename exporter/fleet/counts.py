"""Counts over a fleet, updated with each change, so that reading them takes no pass over the users."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from exporter.cloud.models import Session
from exporter.fleet.members import OTHER, UNKNOWN, FreshUser

# Distinct error codes or server groups counted for InitFail; further ones count as OTHER, to bound memory.
MOST_VALUES = 1000


@dataclass(slots=True)
class Counts:
    """A fleet at one moment, counted over everything that is not stale."""

    configured: int = 0  # watched users
    asked: int = 0  # users with a fresh answer to their own session query
    swept: int = 0  # users covered by a fresh complete scan
    accounts: int = 0  # users with a fresh answer about their account
    missing: int = 0  # configured users unknown to the cloud
    locked: int = 0
    expired: int = 0
    disabled: int = 0
    sessions: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # by state and the two versions

    @property
    def sessions_known(self) -> bool:
        """Whether session counts mean anything: there is a fresh answer, or no user to query."""
        return self.asked + self.swept > 0 or self.configured == 0

    def copy(self) -> "Counts":
        """Return a copy that no longer changes."""
        return replace(self, sessions=self.sessions.copy())

    def change(self, before: FreshUser, after: FreshUser) -> None:
        """Replace what is counted for a user."""
        self._flags(before, -1)
        self._flags(after, 1)
        if before.listed == after.listed:
            return
        for session in before.listed:
            key = _key(session)
            self.sessions[key] -= 1
            if not self.sessions[key]:
                del self.sessions[key]
        for session in after.listed:
            self.sessions[_key(session)] += 1

    def _flags(self, user: FreshUser, times: int) -> None:
        self.missing += times * (user.missing and not user.discovered)  # who was found and is gone, leaves soon
        if user.account:
            self.locked += times * bool(user.account.locked)
            self.expired += times * bool(user.account.user_expired)
            self.disabled += times * bool(user.account.disabled)


@dataclass(slots=True)
class InitFailures:
    """Distinct sessions that entered InitFail."""

    total: int = 0
    by_code: Counter[str] = field(default_factory=Counter)
    by_server_group: Counter[str] = field(default_factory=Counter)

    def add(self, sessions: Iterable[Session]) -> None:
        """Count these sessions."""
        for session in sessions:
            self.total += 1
            _count(self.by_code, session.failed_code)
            _count(self.by_server_group, session.app_server_group_id)

    def copy(self) -> "InitFailures":
        """Return a copy that no longer changes."""
        return InitFailures(self.total, self.by_code.copy(), self.by_server_group.copy())


def _count(counts: Counter[str], value: str | None) -> None:
    value = value or UNKNOWN
    counts[value if value in counts or len(counts) < MOST_VALUES else OTHER] += 1


def _key(session: Session) -> tuple[str, str, str]:
    return session.session_state or UNKNOWN, session.client_version or UNKNOWN, session.agent_version or UNKNOWN
