"""The watched users of one project, with what the cloud's answers and scans say about them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from operator import attrgetter
from sys import intern

from msgspec.structs import replace

from exporter.cloud.models import ListedSession, Login, Session, User, UserDetail
from exporter.fleet.counts import Counts, InitFailures
from exporter.fleet.members import FreshUser, Member, Scan, SessionRecord, Watched, weight
from exporter.fleet.names import best, domain_fit
from exporter.fleet.roster import Roster, in_steps
from exporter.fleet.sessions import (
    COUNTS_ALONE,
    NOT_COUNTED,
    Changes,
    after_answer,
    after_scan,
    denials,
    expire_scans,
    is_live,
    with_denied,
    with_known_objects,
    without,
)

# Seconds for which an account must stay unlocked before its next lock counts. A device that retries an old password
# locks its user again each time the lock ends.
RELOCK_PAUSE = 3600.0
_ALWAYS = -math.inf  # one object for all members


class Fleet(Roster):
    """The watched users of one project.

    Methods that return an iterator do their work while they are iterated, a few milliseconds at a time. The fleet is
    consistent after each step, and answers may arrive in between.
    """

    def __init__(self, users: Iterable[Watched] = ()) -> None:
        super().__init__()
        self.init_failures = InitFailures()
        self.account_locks = 0  # accounts that became locked. Like init_failures, it never falls when users leave.
        self.scanned_since: float | None = None
        """When the last complete scan began, or the first page arrived if there is none; None if that is stale."""
        self._by_session: dict[str, Member] = {}  # the member of each session record, by session id
        self._oldest_asked = self._oldest_account = math.inf
        """No answer is older; for sessions, nor is any scan that left a session OUTSIDE."""
        self._priority: dict[Member, None] = {}
        self._in_flight: dict[Member, None] = {}  # taken from the priority queue and not answered since
        for _ in self.update(users):
            pass

    def sessions_answered(self, member: Member, sessions: Iterable[ListedSession] | None, at: float) -> None:
        """Apply the answer to a query by a member's name: the sessions of all users with this name, in any domain.

        None if the cloud knows no such user. A session at InitFail counts once, unless it was there when its user was
        first looked at.
        """
        asked = [] if member.removed else self.namesakes(member)
        listed = list(sessions or ())
        if len(asked) == 1:
            self._learn_domain(member, listed)
        shares: dict[Member, list[Session]] = {each: [] for each in asked}
        for login_user, session in listed:
            if (owner := self._owner(login_user, asked)) in shares:
                shares[owner].append(session)
        for each, share in shares.items():
            self._answered(each, share, at, unknown=sessions is None)

    def _answered(self, member: Member, sessions: Sequence[Session], at: float, *, unknown: bool) -> None:
        listed = with_known_objects(member.fresh.listed, tuple(sessions))
        records, failed = after_answer(member, listed, at, own=True, covered=self._covered(member))
        if unknown:  # an answer that knows no such user denies none of the user's sessions
            records = tuple([record for record in records if record.scan not in NOT_COUNTED])
        self._priority.pop(member, None)
        self._in_flight.pop(member, None)
        self._counts.asked += member.asked_at is None
        self._oldest_asked = min(self._oldest_asked, at)
        member.asked, member.asked_at = True, at
        self._change(member, listed, (records, failed), unknown=unknown)

    def _owner(self, login_user: str | None, asked: Sequence[Member]) -> Member | None:
        """Return whose session it is that a query for these members lists; None if it belongs to somebody else."""
        only = asked[0] if len(asked) == 1 else None
        if not login_user:
            return only
        name = Login.of(login_user).name
        if self._names.namesakes(name):
            return self._names.find(login_user)
        return only  # who logged in by another name than the query's

    def _learn_domain(self, member: Member, sessions: Sequence[ListedSession]) -> None:
        """Note the domain of a user's own sessions, if it is a single one."""
        logins = {login_user for login_user, _ in sessions if self._names.find(login_user) is member}
        domains = {Login.of(login_user).domain for login_user in logins if login_user}
        if len(domains) == 1 and member.seen_domain is None and (domain := domains.pop()):
            member.seen_domain = intern(domain)
            self._name(member)

    def scan_page(self, found: Iterable[ListedSession], at: float, started_before: float = -math.inf) -> int:
        """Apply a page of a scan. Return how many of its sessions belong to watched users.

        Sessions without an id are ignored. Users may have other sessions besides. Of a user who has been polled,
        sessions do not count that started ``started_before`` (in seconds since 1970, of time 0) that poll, and that it
        did not list: they are somebody else's.
        """
        by_member: dict[Member, dict[str, Session]] = {}
        for login_user, session in found:
            if session.id and (member := self._scanned(login_user, session.id)):
                by_member.setdefault(member, {})[session.id] = session
        for member, sessions in by_member.items():
            before = member.fresh.listed
            denied = denials(member, sessions.values(), started_before)
            known = {session.id for session in (*before, *denied)}
            new = [session for session_id, session in sessions.items() if session_id not in known]
            listed = with_known_objects(before, (*(sessions.get(s.id or "", s) for s in before), *new))
            on_page = [session for session in listed if session.id in sessions]
            records, failed = after_answer(member, on_page, at, own=False, covered=self._covered(member))
            self._change(member, listed, (with_denied(records, denied, at) if denied else records, failed))
        if self.scanned_since is None:
            self.scanned_since = at
        self._last_page = at
        return sum(map(len, by_member.values()))

    def _scanned(self, login_user: str | None, session_id: str) -> Member | None:
        """Return the member of a session that a scan lists: by name, or as known if nobody is watched by this name."""
        name = Login.of(login_user or "").name
        return self._names.find(login_user) if self._names.namesakes(name) else self._by_session.get(session_id)

    def scan_ended(self, listed_ids: AbstractSet[str], began: float, oldest: float) -> Iterator[None]:
        """Apply the end of a complete scan that listed these sessions: the others that scans listed have ended.

        Except for sessions that may have started before ``oldest`` (seconds since 1970): these may be outside the
        look-back window.
        """
        for members in in_steps(self.members, weight):
            for member in members:
                if not member.records or member.removed:
                    continue
                ended, poll = after_scan(member, listed_ids, began, oldest)
                if any(record.scan is Scan.OUTSIDE for record in member.records):
                    self._oldest_asked = min(self._oldest_asked, began)
                if poll:
                    self._priority[member] = None
                if ended:
                    self._drop(member, ended)
            yield
        self._priority |= self._in_flight
        self._in_flight.clear()
        self.scanned_since, self.scan_complete, self._last_scan = began, True, began
        self._count_covered()

    def has_any_of(self, ids: AbstractSet[str]) -> bool:
        """Return whether any of these sessions is known, under whatever user name a scan lists it."""
        if not ids or not self._by_session.keys().isdisjoint(ids):
            return bool(ids)
        return any(s.id in ids for member in self.members if (known := member.fresh.sessions) for s in known)

    def take_priority(self) -> Member | None:
        """Take the next user to poll ahead of others, or None. Without an answer, the next scan adds the user again."""
        member = next(iter(self._priority), None)
        if member:
            del self._priority[member]
            self._in_flight[member] = None
        return member

    def account_answered(self, member: Member, account: UserDetail | None, at: float) -> None:
        """Apply an answer about a user's account; None if the user is unknown."""
        if member.removed:
            return
        self._note_account(member, at)
        if account is not None:
            self.account_locks += _newly_locked(member, account.locked, at)
            now = replace(member.fresh, account=account, without_account=False, without_sessions=False)
        elif self._has_known_twin(member):  # the cloud writes the name in another case: the sessions are the twin's
            self._drop(member, {session.id for session in member.fresh.listed})
            self._priority[member] = None
            now = replace(member.fresh, account=None, without_account=True)
        else:  # as long as scans list a session of the user, the user exists
            listed = any(record.scan is Scan.LISTED for record in member.records)
            now = replace(member.fresh, account=None, without_account=not listed)
        if now != member.fresh:
            self._know(member, now)

    def _has_known_twin(self, member: Member) -> bool:
        """Return whether the cloud knows a watched user with this name in another case."""
        twins = [each for each in self._names.namesakes(member.user_name) if each.user_name != member.user_name]
        return any(each.fresh.account and domain_fit(each.domain, member.domain) for each in twins)

    def _note_account(self, member: Member, at: float) -> None:
        self._counts.accounts += member.account_at is None
        self._oldest_account = min(self._oldest_account, at)
        member.account_at = at

    def accounts_listed(self, users: Iterable[User], at: float, began: float) -> list[User]:
        """Apply a page of the list of all users, which began at this time. It may contain users who are not watched.

        Return the users whom only the whole list can tell from others. They are for :meth:`accounts_told_apart`.
        """
        self._last_page = at
        unclear = []
        for user in users:
            if member := self._names.find_listed(user):
                listed = member.account_at is not None and member.account_at >= began
                if user.id in {None, member.id} or not (member.ambiguous or listed):
                    self._listed(member, user)
                    self.account_answered(member, user.detail, at)
                else:
                    unclear.append(user)
        return unclear

    def accounts_told_apart(self, unclear: Iterable[User], at: float) -> None:
        """Apply users whom :meth:`accounts_listed` returned for a whole list: where several may be one watched user."""
        for member, users in self._by_listed_member(unclear).items():
            if not member.ambiguous:
                users.append(User(member.id, member.query_name, domain=member.listed_domain))
            told = self._tell_apart(member, users)
            if told is None:
                self._note_account(member, at)
                self._know(member, replace(member.fresh, account=None, without_account=False))
            elif told.id != member.id:
                self._listed(member, told)
                self.account_answered(member, told.detail, at)

    def names_listed(self, members: Iterable[Member], users: Iterable[User], at: float) -> None:
        """Apply all users with the names of these members, in any case: find the ids, and note who is unknown."""
        by_member = self._by_listed_member(users)
        for member in members:
            listed = by_member.get(member)
            if listed is None:
                self.account_answered(member, None, at)
            elif told := self._tell_apart(member, listed):
                self._listed(member, told)
            else:
                self._note_account(member, at)

    def _by_listed_member(self, users: Iterable[User]) -> dict[Member, list[User]]:
        by_member: dict[Member, dict[str | None, User]] = {}
        for user in users:
            if member := self._names.find_listed(user):
                by_member.setdefault(member, {})[user.id] = user
        return {member: list(listed.values()) for member, listed in by_member.items()}

    def _tell_apart(self, member: Member, users: Sequence[User]) -> User | None:
        """Return the one of these listed users that a member is; None if that is unclear."""
        domain = member.given_domain or member.seen_domain
        told = best(users, member.user_name, domain, attrgetter("domain"))
        member.ambiguous = told is None
        if told is None:
            self.found(member, None)
            member.listed_name = member.listed_domain = None
        return told

    def _listed(self, member: Member, user: User) -> None:
        """Note id, spelling and domain of a member in the list of all users."""
        if user.id and user.id != member.id:
            self.found(member, user.id)
        if user.user_name:
            member.listed_name = None if user.user_name == member.user_name else user.user_name
        if member.listed_domain != user.domain:
            member.listed_domain = intern(user.domain) if user.domain else None
            self._name(member)

    def accounts_not_listed(self, began: float, at: float) -> Iterator[None]:
        """Apply the end of a complete list of all users that began at this time: the cloud does not know the others."""
        for members in in_steps(self.members, weight):
            for member in members:
                if member.joined_after < began and (member.account_at is None or member.account_at < began):
                    self.account_answered(member, None, at)
            yield

    def found(self, member: Member, user_id: str | None) -> None:
        """Set the id that belongs to a user's name; None if it is no longer known. A configured id wins."""
        if not member.removed:
            self._know(member, replace(member.fresh, id=member.given_id or user_id))

    def expire(self, *, asked_since: float, accounts_since: float, scanned_since: float) -> Iterator[None]:
        """Remove everything the cloud reported before these times. Does nothing while all is newer."""
        scans = self.scanned_since is not None and self.scanned_since < scanned_since
        if not scans and self._oldest_asked >= asked_since and self._oldest_account >= accounts_since:
            return
        last_page = self._last_page if scans else None
        if scans:  # pages that arrive between the steps count
            self.scanned_since, self.scan_complete = None, False
            self._count_covered()
        self._oldest_asked = self._oldest_account = math.inf  # answers that arrive between the steps lower it
        try:
            for members in in_steps(self.members, weight):
                for member in members:
                    if not member.removed:
                        self._expire(member, asked_since, accounts_since, last_page)
                yield
        except GeneratorExit:  # not finished: the next call starts again
            self._oldest_asked = self._oldest_account = -math.inf
            if scans:
                self.scanned_since = -math.inf
            raise

    def counts(self) -> Counts:
        """Return a copy of the counts."""
        return self._counts.copy()

    def users(self) -> Sequence[FreshUser]:
        """Return every watched user with what is known at this moment."""
        return [member.fresh for member in self.members]

    def _expire(self, member: Member, asked_since: float, accounts_since: float, last_page: float | None) -> None:
        asked, account = member.asked_at, member.account_at
        if asked is not None and asked < asked_since:
            member.asked_at = None
            self._counts.asked -= 1
        left_open = expire_scans(member.records, asked_since, last_page)
        self._oldest_asked = min(self._oldest_asked, left_open, _or_never(member.asked_at))
        if member.asked_at is None:
            by_scan = {record.session.id for record in member.records if record.scan in COUNTS_ALONE}
            denied = {record.session.id for record in member.records if record.scan in NOT_COUNTED}
            gone = {session.id for session in member.fresh.listed} - by_scan | denied
            if gone or asked is not None:
                self._drop(member, gone)
        if account is not None and account < accounts_since:
            member.account_at = None
            self._counts.accounts -= 1
            self._know(member, replace(member.fresh, account=None, without_account=False))
        self._oldest_account = min(self._oldest_account, _or_never(member.account_at))

    def _forget(self, member: Member) -> None:
        self._remember(member, ())
        self._priority.pop(member, None)
        self._in_flight.pop(member, None)

    def _change(self, member: Member, listed: tuple[Session, ...], changes: Changes, *, unknown: bool = False) -> None:
        """Set a user's sessions. A live one shows that the user exists, whatever was answered before."""
        records, failed = changes
        self._remember(member, records)
        self.init_failures.add(failed)
        no_account = member.fresh.without_account and not any(map(is_live, listed))
        now = replace(member.fresh, sessions=listed, without_sessions=unknown, without_account=no_account)
        self._know(member, replace(now, init_failures=now.init_failures + len(failed)) if failed else now)

    def _drop(self, member: Member, gone: AbstractSet[str | None]) -> None:
        """Forget these sessions of a user."""
        listed = tuple([session for session in member.fresh.listed if session.id not in gone])
        self._remember(member, without(member, gone))
        asked = member.asked_at is not None
        without_sessions = asked and member.fresh.without_sessions
        known = listed if listed or asked else None
        self._know(member, replace(member.fresh, sessions=known, without_sessions=without_sessions))

    def _remember(self, member: Member, records: tuple[SessionRecord, ...]) -> None:
        before = {record.session.id or "" for record in member.records}
        after = {record.session.id or "" for record in records}
        for session_id in before - after:
            if self._by_session.get(session_id) is member:
                del self._by_session[session_id]
        for record in records:
            self._by_session.setdefault(record.session.id or "", member)
        member.records = records


def _newly_locked(member: Member, locked: bool | None, at: float) -> bool:
    """Note whether an account is locked, None if not reported. Return whether to count a new lock."""
    since = member.unlocked_since
    if locked:
        member.unlocked_since = math.inf
        return since is not None and since <= at - RELOCK_PAUSE
    if locked is False and (since is None or since == math.inf):
        member.unlocked_since = _ALWAYS if since is None else at
    return False


def _or_never(time: float | None) -> float:
    return math.inf if time is None else time
