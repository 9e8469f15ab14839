"""What is known of every configured user of a project, and the counts over them.

Plain data with pure rules: no HTTP, no Prometheus, no clock. Times are handed in, in seconds of one steady clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.cloud.models import Session, UserDetail

INIT_FAIL = "InitFail"
DOCUMENTED_STATES = ("Active", "Disconnected", "AppcInit", "SignedOut", INIT_FAIL)
"""The states that the reference documents for a session."""

REMEMBERED = 3600.0
"""Seconds that a failed session is remembered after it was last listed, in case it is listed again."""

UNKNOWN = "unknown"
"""Stands for what the cloud does not say."""

OTHER = "other"
"""Stands for all values beyond a number of them."""

MOST_VALUES = 1000
"""Error codes, and server groups, that InitFail is counted by; a cloud that sends more costs no more memory."""

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """What the cloud last said about a user, and when; ``value`` is None where it does not know the user."""

    at: float
    value: T_co | None


@dataclass(slots=True)
class Member:
    """One configured user."""

    name: str
    given_id: str | None = None
    found_id: str | None = None
    sessions: Answer[tuple[Session, ...]] | None = None
    account: Answer[UserDetail] | None = None
    failed_sessions: dict[str, float] = field(default_factory=dict)
    """Ids of the sessions that have been at InitFail, with the time they were last listed."""

    @property
    def id(self) -> str | None:
        """The user's id; None as long as it is neither given nor found."""
        return self.given_id or self.found_id


@dataclass(frozen=True, slots=True)
class FreshUser:
    """A user with those answers that are fresh."""

    name: str
    id: str | None
    sessions: Answer[tuple[Session, ...]] | None
    account: Answer[UserDetail] | None

    @property
    def listed(self) -> tuple[Session, ...]:
        """The user's sessions; none where no answer about them is fresh."""
        return (self.sessions.value if self.sessions else None) or ()

    @property
    def detail(self) -> UserDetail | None:
        """The user's account; None where no answer about it is fresh, or the cloud does not know the user."""
        return self.account.value if self.account else None

    @property
    def missing(self) -> bool:
        """Whether the cloud does not know the user."""
        return any(answer is not None and answer.value is None for answer in (self.sessions, self.account))


@dataclass(frozen=True, slots=True)
class Counts:
    """The fleet at one moment, counted over fresh answers."""

    users: tuple[FreshUser, ...]
    """Every configured user."""
    fresh_sessions: int
    """Users with a fresh answer about their sessions."""
    fresh_accounts: int
    """Users with a fresh answer about their account."""
    missing: int
    locked: int
    expired: int
    disabled: int
    sessions: Counter[tuple[str, str, str]]
    """Sessions by session_state, client_version and agent_version."""


@dataclass(slots=True)
class InitFailures:
    """Distinct sessions seen to enter InitFail."""

    total: int = 0
    by_code: Counter[str] = field(default_factory=Counter)
    by_server_group: Counter[str] = field(default_factory=Counter)

    def add(self, sessions: Iterable[Session]) -> None:
        """Count these sessions."""
        for session in sessions:
            self.total += 1
            _count(self.by_code, session.failed_code)
            _count(self.by_server_group, session.app_server_group_id)


def _count(counts: Counter[str], value: str | None) -> None:
    value = value or UNKNOWN
    counts[value if value in counts or len(counts) < MOST_VALUES else OTHER] += 1


class Fleet:
    """The configured users of one project."""

    def __init__(self, users: Iterable[tuple[str, str | None]], before: Fleet | None = None) -> None:
        """``users`` are names, each with its id where that is given.

        Who was in the fleet ``before`` is taken over from it, and its count of failures goes on.
        """
        known = {member.name: member for member in before.members} if before else {}
        self.members: tuple[Member, ...] = tuple(_member(name, user_id, known.get(name)) for name, user_id in users)
        self.init_failures: InitFailures = before.init_failures if before else InitFailures()

    def sessions_answered(self, member: Member, sessions: tuple[Session, ...] | None, at: float) -> None:
        """Take in what the cloud says of a user's sessions; None if it does not know the user.

        A session counts as an InitFail once, and not at all if it stood there when its user was first looked at.
        """
        listed = {s.id: s for s in sessions or () if s.id}
        failed = {session_id: s for session_id, s in listed.items() if s.session_state == INIT_FAIL}
        if member.sessions is not None:
            self.init_failures.add(s for session_id, s in failed.items() if session_id not in member.failed_sessions)
        remembered = {i: last for i, last in member.failed_sessions.items() if last > at - REMEMBERED}
        member.failed_sessions = remembered | dict.fromkeys(failed.keys() | (remembered.keys() & listed.keys()), at)
        member.sessions = Answer(at, sessions)

    def account_answered(self, member: Member, account: UserDetail | None, at: float) -> None:
        """Take in what the cloud says of a user's account; None if it does not know the user."""
        member.account = Answer(at, account)

    def counts(self, *, sessions_since: float, accounts_since: float) -> Counts:
        """Count over the answers that came at these times or later."""
        users = tuple(
            FreshUser(m.name, m.id, _since(sessions_since, m.sessions), _since(accounts_since, m.account))
            for m in self.members
        )
        accounts = [user.detail for user in users if user.detail]
        return Counts(
            users=users,
            fresh_sessions=sum(user.sessions is not None for user in users),
            fresh_accounts=sum(user.account is not None for user in users),
            missing=sum(user.missing for user in users),
            locked=sum(bool(account.locked) for account in accounts),
            expired=sum(bool(account.user_expired) for account in accounts),
            disabled=sum(bool(account.disabled) for account in accounts),
            sessions=Counter(
                (s.session_state or UNKNOWN, s.client_version or UNKNOWN, s.agent_version or UNKNOWN)
                for user in users
                for s in user.listed
            ),
        )


def _member(name: str, given_id: str | None, known: Member | None) -> Member:
    if known is None:
        return Member(name, given_id)
    if given_id != known.given_id:
        if given_id != known.id:  # another id is another account
            known.account = None
        known.given_id, known.found_id = given_id, None
    return known


def _since(oldest: float, answer: Answer[T_co] | None) -> Answer[T_co] | None:
    return answer if answer and answer.at >= oldest else None
