"""The users of one project, as the cloud's answers and sweeps make them known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec.structs import replace

from exporter.fleet.failures import InitFailures, failing, forget, remember, unremembered
from exporter.fleet.locks import locked_anew
from exporter.fleet.members import FreshUser, Member, as_known
from exporter.fleet.names import Names
from exporter.fleet.sweeps import Swept
from exporter.fleet.tally import Counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from exporter.cloud.models import Session, User, UserDetail


class Fleet:
    """The configured users of one project."""

    def __init__(self, users: Iterable[tuple[str, str | None]], before: Fleet | None = None) -> None:
        """``users`` are names, each with its id where that is given.

        What is known of those who were in the fleet ``before`` is known here too, and its counters go on.
        """
        known = {member.name: member for member in before.members} if before else {}
        self.members: tuple[Member, ...] = tuple(_member(name, user_id, known.get(name)) for name, user_id in users)
        self.init_failures: InitFailures = before.init_failures.copy() if before else InitFailures()
        self.account_locks: int = before.account_locks if before else 0
        self._names = Names(self.members)
        self.swept: Swept = before.swept.among(self._names.exact) if before else Swept()
        self._counts = Counts(configured=len(self.members))
        self._oldest_asked = _oldest(m.asked_at for m in self.members)
        self._oldest_account = _oldest(m.account_at for m in self.members)
        for member in self.members:
            self._counts.add(member.fresh)
            self._counts.asked += member.asked_at is not None
            self._counts.accounts += member.account_at is not None
        self._count_swept()

    def sessions_answered(self, member: Member, sessions: tuple[Session, ...] | None, at: float) -> None:
        """Take in what the cloud says of a user's sessions, all of them; None if it does not know the user.

        A session counts as an InitFail once, and not at all if it stood there when its user was first looked at.
        """
        listed = as_known(member.fresh.listed, sessions or ())
        failed = failing(listed)
        new = unremembered(member, failed)
        if member.asked:
            self._failed(member, new)
        elif member.swept:  # it may be older than sweeps look back; if not, the next one tells
            self.swept.unjudged |= {session.id: at for session in new if session.id}
        remember(member, failed, listed, at)
        forget(member, at)
        self.swept.asked(member, listed, at)
        self._counts.asked += member.asked_at is None
        self._oldest_asked = min(self._oldest_asked, at)
        member.asked, member.asked_at = True, at
        self._know(member, replace(member.fresh, sessions=listed, without_sessions=sessions is None))

    def sessions_sighted(self, found: Iterable[tuple[str | None, Session]], at: float) -> int:
        """Take in what a page of a sweep lists: sessions with the names of their users; they may have others besides.

        Sessions without an id, and those of nobody here, are passed over. Returns how many are somebody's here.
        """
        by_member: dict[Member, dict[str, Session]] = {}
        for name, session in found:
            member = self._names.find(name) or self.swept.listed.get(session.id or "")
            if member and session.id:
                by_member.setdefault(member, {})[session.id] = session
        for member, sessions in by_member.items():
            self._sighted(member, sessions, at)
        self.swept.sighted(by_member, at)
        return sum(map(len, by_member.values()))

    def sweep_ended(self, sighted: AbstractSet[str], began: float, oldest: float) -> None:
        """A sweep that began at this time has ended whole, with these sessions by id; what else it knew has ended.

        Unless it may have started before ``oldest``, in seconds since 1970 by a clock of any zone.
        """

        def too_old(member: Member, session_id: str) -> bool:
            session = next((s for s in member.fresh.listed if s.id == session_id), None)
            return session is not None and (session.started is None or session.started < oldest)

        for member, session_id in self.swept.ended(sighted, began, too_old):
            self._drop(member, session_id)
        if self._counts.swept < len(self.members):
            for member in self.members:
                member.swept = True
            self._count_swept()

    def has_any_of(self, sighted: AbstractSet[str]) -> bool:
        """Whether any of these sessions is known as a user's, under whatever name a sweep lists it."""
        return any(session.id in sighted for member in self.members for session in member.fresh.listed)

    def account_answered(self, member: Member, account: UserDetail | None, at: float) -> None:
        """Take in what the cloud says of a user's account; None if it does not know the user."""
        self._counts.accounts += member.account_at is None
        self._oldest_account = min(self._oldest_account, at)
        if account is not None:
            self.account_locks += locked_anew(member, account.locked, at)
        member.account_at = at
        if account is None or account != member.fresh.account:
            self._know(member, replace(member.fresh, account=account, without_account=account is None))

    def accounts_listed(self, users: Iterable[User], at: float) -> None:
        """Take in a page of the list of all users, who may be others than the configured ones."""
        for user in users:
            if member := self._names.entry(user.user_name, user.id):
                if user.id and user.id != member.id:
                    self.found(member, user.id)
                self.account_answered(member, user.detail, at)

    def accounts_not_listed(self, listed_since: float, at: float) -> None:
        """A whole list of all users began at this time: whom it does not have the cloud does not know."""
        for member in self.members:
            if member.account_at is None or member.account_at < listed_since:
                self.account_answered(member, None, at)

    def found(self, member: Member, user_id: str | None) -> None:
        """Take in the id that belongs to a user's name; None where it is not known, or no longer."""
        self._know(member, replace(member.fresh, id=member.given_id or user_id))

    def expire(self, *, asked_since: float, accounts_since: float, swept_since: float) -> None:
        """Let go of what the cloud said before these times."""
        if self.swept.since is not None and self.swept.since < swept_since:
            self._swept_long_ago()
        for session_id, (member, since) in list(self.swept.kept.items()):
            if since < asked_since:
                del self.swept.kept[session_id]
                self._drop(member, session_id)
        if self._oldest_asked < asked_since:
            for member in [m for m in self.members if _before(asked_since, m.asked_at)]:
                self._asked_long_ago(member)
            self._oldest_asked = _oldest(m.asked_at for m in self.members)
        if self._oldest_account < accounts_since:
            for member in [m for m in self.members if _before(accounts_since, m.account_at)]:
                self._account_long_ago(member)
            self._oldest_account = _oldest(m.account_at for m in self.members)

    def counts(self, *, sessions_since: float, accounts_since: float, swept_since: float = -math.inf) -> Counts:
        """Count over the answers that came, and the sweeps that began, at these times or later."""
        self.expire(asked_since=sessions_since, accounts_since=accounts_since, swept_since=swept_since)
        return self._counts.copy()

    def users(self) -> Sequence[FreshUser]:
        """Every configured user with what is known of it at this moment."""
        return [member.fresh for member in self.members]

    def _sighted(self, member: Member, sessions: dict[str, Session], at: float) -> None:
        failed = failing(sessions.values())
        if failed or member.failed_sessions:
            new = unremembered(member, failed) if member.swept or member.asked else []
            judged = [failed[i] for i in self.swept.unjudged.keys() & failed.keys()]
            self._failed(member, [*new, *judged])
            for session in judged:
                self.swept.unjudged.pop(session.id or "")
            remember(member, failed, sessions.values(), at)
        before = member.fresh.listed
        new = [session for session_id, session in sessions.items() if all(session_id != s.id for s in before)]
        after = as_known(before, (*(sessions.get(s.id or "", s) for s in before), *new))
        if after != before:
            self._know(member, replace(member.fresh, sessions=after))

    def _failed(self, member: Member, sessions: Sequence[Session]) -> None:
        if sessions:
            self.init_failures.add(sessions)
            self._know(member, replace(member.fresh, init_failures=member.fresh.init_failures + len(sessions)))

    def _swept_long_ago(self) -> None:
        """Only what users were asked for still counts."""
        expired, self.swept = self.swept, Swept(due=self.swept.due, kept=self.swept.kept)
        for session_id, member in expired.listed.items():
            if member.asked_at is None:
                self._drop(member, session_id)
        self._count_swept()

    def _asked_long_ago(self, member: Member) -> None:
        """Only what sweeps list of the user's sessions still counts."""
        member.asked_at = None
        self._counts.asked -= 1
        listed = tuple(s for s in member.fresh.listed if s.id in self.swept.listed or s.id in self.swept.kept)
        self._know(member, replace(member.fresh, sessions=listed or None, without_sessions=False))

    def _account_long_ago(self, member: Member) -> None:
        member.account_at = None
        self._counts.accounts -= 1
        self._know(member, replace(member.fresh, account=None, without_account=False))

    def _drop(self, member: Member, session_id: str) -> None:
        left = tuple(session for session in member.fresh.listed if session.id != session_id)
        known = left if left or member.asked_at is not None else None
        self._know(member, replace(member.fresh, sessions=known))

    def _know(self, member: Member, now: FreshUser) -> None:
        self._counts.change(member.fresh, now)
        member.fresh = now

    def _count_swept(self) -> None:
        self._counts.swept = sum(member.swept for member in self.members) if self.swept.whole else 0


def _member(name: str, given_id: str | None, known: Member | None) -> Member:
    """A member of its own, since an answer may still reach the one known before; its name and id are those given."""
    if known is None:
        return Member(given_id, FreshUser(name, given_id))
    looked_up = given_id is None and known.given_id is None
    fresh = replace(known.fresh, name=name, id=known.id if looked_up else given_id)
    member = replace(known, given_id=given_id, fresh=fresh)
    if fresh.id != known.id:  # another id is another account
        member.account_at = member.unlocked_since = None
        member.fresh = replace(fresh, account=None, without_account=False)
    return member


def _before(time: float, answered: float | None) -> bool:
    return answered is not None and answered < time


def _oldest(times: Iterable[float | None]) -> float:
    return min((time for time in times if time is not None), default=math.inf)
