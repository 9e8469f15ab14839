"""The counts over what is known, kept up with each change, so that to read them costs nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from exporter.fleet.members import UNKNOWN

if TYPE_CHECKING:
    from exporter.cloud.models import Session
    from exporter.fleet.members import FreshUser


@dataclass(slots=True)
class Counts:
    """The fleet at one moment, counted over what is not stale."""

    configured: int = 0
    """Configured users."""
    asked: int = 0
    """Users with a fresh answer of ListSessionByUserName."""
    swept: int = 0
    """Users of whom a fresh sweep of ListSessions tells."""
    accounts: int = 0
    """Users with a fresh answer about their account."""
    missing: int = 0
    locked: int = 0
    expired: int = 0
    disabled: int = 0
    sessions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Sessions by session_state, client_version and agent_version."""

    @property
    def sessions_known(self) -> bool:
        """Whether there is anything to say of sessions: a fresh answer, or nobody to ask for one."""
        return self.asked + self.swept > 0 or self.configured == 0

    def copy(self) -> Counts:
        """The same counts, which no longer change."""
        return replace(self, sessions=self.sessions.copy())

    def add(self, user: FreshUser) -> None:
        """Count what is known of a user."""
        self._flags(user, 1)
        for session in user.listed:
            self.sessions[_key(session)] += 1

    def change(self, before: FreshUser, after: FreshUser) -> None:
        """Count what is known of a user now in place of what was known before."""
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
        self.missing += times * user.missing
        if user.account:
            self.locked += times * bool(user.account.locked)
            self.expired += times * bool(user.account.user_expired)
            self.disabled += times * bool(user.account.disabled)


def _key(session: Session) -> tuple[str, str, str]:
    return session.session_state or UNKNOWN, session.client_version or UNKNOWN, session.agent_version or UNKNOWN
