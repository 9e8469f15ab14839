"""The watched users and their sessions.

The garbage collector does not track these objects: with many users, its passes would block the event loop. They must
therefore never form a reference cycle. A session record does not refer to its member.
"""

from enum import Enum, auto
from typing import NamedTuple

import msgspec

from exporter.cloud.models import Session, UserDetail
from exporter.config.names import domain_fit

ACTIVE, DISCONNECTED, APPC_INIT, INIT_FAIL = "Active", "Disconnected", "AppcInit", "InitFail"
# The session states in the API reference.
DOCUMENTED_STATES = (ACTIVE, DISCONNECTED, APPC_INIT, "SignedOut", INIT_FAIL)
# The states that scans of live sessions list. A session that is signed out has ended.
LIVE_STATES = (ACTIVE, DISCONNECTED, APPC_INIT, INIT_FAIL)
UNKNOWN = "unknown"  # stands for a value that the cloud does not report
OTHER = "other"  # stands for all values beyond a limit


class FreshUser(msgspec.Struct, frozen=True, gc=False):
    """A user with everything known and not stale. Changes replace the whole object, so a reference is a snapshot."""

    name: str  # as metrics show it
    id: str | None = None
    sessions: tuple[Session, ...] | None = None  # None if nothing is known about them
    account: UserDetail | None = None  # None if nothing is known about it, or the cloud does not know it
    without_sessions: bool = False
    """Whether the user's own session query reported the user as unknown, and no answer has shown otherwise since."""
    without_account: bool = False  # the same for the account queries
    init_failures: int = 0  # distinct sessions of the user that entered InitFail
    discovered: bool = False  # whether the user is watched only because discovery found the user

    @property
    def listed(self) -> tuple[Session, ...]:
        """The user's sessions; empty if nothing is known about them."""
        return self.sessions or ()

    @property
    def missing(self) -> bool:
        """Whether the user is unknown to the cloud."""
        return self.without_sessions or self.without_account

    @property
    def known(self) -> bool:
        """Whether anything is known, including that the user is unknown to the cloud."""
        return self.sessions is not None or self.account is not None or self.missing


class Scan(Enum):
    """A session as scans report it."""

    SILENT = auto()  # no scan lists it, and none is expected to
    LISTED = auto()  # the last complete scan lists it, or a page since
    EXPECTED = auto()  # the user's own query listed it first. The next complete scan should list it, too.
    DENIED = auto()
    """A scan lists it under the user's name, but the user's own query did not. It does not count, and if the next
    complete scan lists it, the user is polled again."""
    REJECTED = auto()  # the same, and the user has been polled again. It does not count.
    OUTSIDE = auto()
    """A scan no longer lists it, but it may be outside the look-back window. It counts until the user's next answer."""


NOT_COUNTED = (Scan.DENIED, Scan.REJECTED)
COUNTS_ALONE = (Scan.LISTED, Scan.OUTSIDE)  # sessions that count even without a fresh answer to their user's own query


class Start(Enum):
    """Whether a session's start has been counted."""

    NONE = auto()  # it is not counted: the session is not known to have started after the first look
    COUNTED = auto()  # it is counted, and the session has not been seen Active since, nor in a later state
    SETTLED = auto()  # it is counted, and so is the time to Active if that is known


class Failure(Enum):
    """Whether a session's failure has been counted."""

    NONE = auto()  # the session has not been seen at InitFail
    OLD = auto()  # it failed before its user joined
    EXISTED = auto()  # it was at InitFail at the first look. It counts only if a scan says that it failed later.
    AWAITING_SCAN = auto()
    """The same, but scans covered the user before. It is new if a scan lists it, else it is older than the window."""
    COUNTED = auto()


class SessionRecord(msgspec.Struct, eq=False, gc=False):
    """One session with its history.

    A session that existed at the first look has no record as long as only its user's own answers list it.
    """

    session: Session  # as last listed
    queried_at: float | None = None  # when the user's own query last listed it
    scanned_at: float | None = None
    """When a scan last listed it; when OUTSIDE, the start of the scan that no longer did."""
    scan: Scan = Scan.SILENT
    start: Start = Start.NONE
    failure: Failure = Failure.NONE


class Watched(NamedTuple):
    """A user to watch."""

    name: str  # `name`, or `name@domain` as in a `login_user`
    id: str | None = None
    domain: str | None = None
    discovered: bool = False  # whether the user is not configured but found


class Member(msgspec.Struct, eq=False, gc=False):
    """One watched user in its fleet."""

    written: str  # the name as it is configured
    user_name: str  # the name without a domain, which queries take
    given_id: str | None  # the configured id
    given_domain: str | None  # the configured domain
    fresh: FreshUser
    joined_after: float
    """When the last page of any listing before the user joined arrived; infinity once the user is removed."""
    joined_at: float  # a session that started later is a new one
    queried: bool = False  # whether the user's own session query has ever been answered
    queried_at: float | None = None  # when it was last answered; None if never, or if that answer is stale
    account_at: float | None = None  # the same for the account
    unlocked_since: float | None = None
    """Since when the account is not locked: -infinity if always, infinity while locked, None before the first look."""
    records: tuple[SessionRecord, ...] = ()  # records of known sessions, and of failed ones that are no longer listed
    listed_name: str | None = None  # how the list of all users writes the name, if that is another case
    listed_domain: str | None = None  # the domain in the list of all users
    seen_domain: str | None = None  # the domain in the user's own sessions
    ambiguous: bool = False  # whether the list of all users names several users who may be this one

    @property
    def query_name(self) -> str:
        """The name for queries."""
        return self.listed_name or self.user_name

    @property
    def domain(self) -> str | None:
        """The user's domain; None while it is unknown."""
        return self.given_domain or self.listed_domain or self.seen_domain

    @property
    def login_domain(self) -> str | None:
        """The same as in a `login_user`, which may have a DNS name where the others have a short name."""
        known = self.domain
        short = known and "." not in known and domain_fit(known, self.seen_domain)
        return self.seen_domain or known if short else known

    @property
    def id(self) -> str | None:
        """The user's id; None while it is neither configured nor found."""
        return self.fresh.id

    @property
    def removed(self) -> bool:
        """Whether the user is no longer watched."""
        return self.joined_after == float("inf")


def weight(member: Member) -> int:
    """Return how many work items a member is."""
    return 1 + len(member.fresh.listed) + len(member.records)
