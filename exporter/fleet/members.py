"""The configured users, each with what is known of it.

None of these is looked at by the garbage collector, which would hold everything up once there are many: they refer to
nothing that refers back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from exporter.cloud.models import Session, UserDetail

INIT_FAIL = "InitFail"
DOCUMENTED_STATES = ("Active", "Disconnected", "AppcInit", "SignedOut", INIT_FAIL)
"""The states that the reference documents for a session."""

UNKNOWN = "unknown"
"""Stands for what the cloud does not say."""

OTHER = "other"
"""Stands for all values beyond a number of them."""


class FreshUser(msgspec.Struct, frozen=True, gc=False):
    """A user with what is known and not stale; replaced as a whole, so that who holds one holds a moment's truth."""

    name: str
    id: str | None = None
    sessions: tuple[Session, ...] | None = None
    """None where nothing is known of them."""
    account: UserDetail | None = None
    """None where nothing is known of it, or there is none."""
    without_sessions: bool = False
    """Whether the cloud does not know the user, asked for the sessions."""
    without_account: bool = False
    """The same, asked for the account."""
    init_failures: int = 0
    """Distinct sessions of the user seen to enter InitFail."""

    @property
    def listed(self) -> tuple[Session, ...]:
        """The user's sessions; none where nothing is known of them."""
        return self.sessions or ()

    @property
    def missing(self) -> bool:
        """Whether the cloud does not know the user."""
        return self.without_sessions or self.without_account

    @property
    def known(self) -> bool:
        """Whether anything is known, be it that the cloud does not know the user."""
        return self.sessions is not None or self.account is not None or self.missing


class Member(msgspec.Struct, eq=False, gc=False):
    """One configured user, in its fleet. Times are when the cloud last said so; None where that is stale or never."""

    given_id: str | None
    fresh: FreshUser
    asked: bool = False
    """Whether an answer about this user's sessions alone has ever come."""
    asked_at: float | None = None
    """Of that answer."""
    account_at: float | None = None
    swept: bool = False
    """Whether a whole sweep has ever told of this user."""
    failed_sessions: dict[str, float] | None = None
    """Ids of the sessions that have been at InitFail, with the time they were last listed; None where none has."""
    unlocked_since: float | None = None
    """From when on the account has not been locked: -inf where it never was, inf while it is; None before the first
    look."""

    @property
    def name(self) -> str:
        """The user's name."""
        return self.fresh.name

    @property
    def id(self) -> str | None:
        """The user's id; None as long as it is neither given nor found."""
        return self.fresh.id


def as_known(known: tuple[Session, ...], listed: tuple[Session, ...]) -> tuple[Session, ...]:
    """The sessions that are listed, in the memory that they have already as far as they are known."""
    if listed == known:
        return known
    by_id = {session.id: session for session in known}
    return tuple([_as_known(by_id.get(session.id), session) for session in listed])


def _as_known(known: Session | None, now: Session) -> Session:
    if known is None:
        return now
    return known if known == now else msgspec.structs.replace(now, id=known.id)
