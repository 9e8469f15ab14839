"""The watched users of one project, with what the cloud's answers and scans say about them."""

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from sys import intern

from msgspec.structs import replace

from exporter.cloud.models import ListedSession, Session
from exporter.config.names import Fit, domain_fit, login_parts
from exporter.fleet.accounts import Accounts
from exporter.fleet.counting import REMEMBERED, Changes, Look, after_sighting, counted_elsewhere
from exporter.fleet.counts import Attempts, Counts
from exporter.fleet.members import (
    COUNTS_ALONE,
    NOT_COUNTED,
    FreshUser,
    Member,
    Scan,
    SessionRecord,
    Watched,
    weight,
)
from exporter.fleet.roster import in_steps
from exporter.fleet.sessions import (
    after_answer,
    after_scan,
    denials,
    expire_scans,
    is_live,
    outdated,
    with_denied,
    with_known_objects,
    without,
)
from exporter.fleet.zone import TimeZone

_LATELY = 600.0  # seconds
_MOST_FAILED_ANSWERS = 100  # remembered for a failures scan, which there may not be
_MOST_LOGINS = 16  # in an answer about one user, to learn the domain from. Real answers have one or two.


class Fleet(Accounts):
    """The watched users of one project.

    Methods that return an iterator do their work while they are iterated, a few milliseconds at a time. The fleet is
    consistent after each step, and answers may arrive in between.
    """

    def __init__(self, users: Iterable[Watched] = ()) -> None:
        super().__init__()
        self.attempts = Attempts()
        self.zone = TimeZone()
        self._failed_answers: dict[str, float] = {}  # when answers showed failures, by session id
        self.scanned_since: float | None = None
        """When the last complete scan began, or the first page arrived if there is none; None if that is stale."""
        self._by_session: dict[str, Member] = {}  # the member of each session record, by session id
        self._oldest_query = math.inf  # no answer is older, nor any scan that left a session OUTSIDE
        self._priority: dict[Member, None] = {}
        self._in_flight: dict[Member, None] = {}  # taken from the priority queue and not answered since
        self._failed_at = OrderedDict[Member, float]()  # when users had their last failed start, the latest last
        for _ in self.update(users):
            pass

    def sessions_answered(
        self, member: Member, sessions: Iterable[ListedSession] | None, at: float, clock: float = 0.0
    ) -> None:
        """Apply the answer to a query by a member's name: the sessions of all users with this name, in any domain.

        None if the cloud knows no such user. ``clock`` is the cloud's time, in seconds since 1970, at time 0.
        """
        queried = [] if member.removed else self.namesakes(member)
        listed = list(sessions or ())
        self.zone.learn(listed)
        if (ahead := self.zone.ahead) is not None:
            listed = [each if each.utc else each.in_utc(ahead) for each in listed]
        logins = {each.login_user for each in listed}
        if len(queried) == 1 and len(logins) <= _MOST_LOGINS:
            self._learn_domain(member, logins)
        owners = {login_user: self._owner(login_user, queried) for login_user in logins}
        shares: dict[Member, list[ListedSession]] = {each: [] for each in queried}
        for each in listed:
            if (owner := owners[each.login_user]) in shares:
                shares[owner].append(each)
        for each_member, share in shares.items():
            look = Look(at, clock, own=True, covered=self._covered(each_member))
            self._answered(each_member, share, look, unknown=sessions is None)

    def _answered(self, member: Member, share: Sequence[ListedSession], look: Look, *, unknown: bool) -> None:
        at = look.at
        listed = with_known_objects(member.fresh.listed, share, look.seen(member))
        self._take_over(member, share)
        changes = after_answer(member, zip(share, listed, strict=True), look)
        if changes.failed and len(self._failed_answers) < _MOST_FAILED_ANSWERS:
            failed = {session.id for session in changes.failed}
            lately = [each for each in share if each.utc and (each.started or 0.0) > at + look.clock - _LATELY]
            self._failed_answers |= {each.session.id or "": at for each in lately if each.session.id in failed}
        if unknown:  # an answer that knows no such user denies none of the user's sessions
            changes.records = tuple([record for record in changes.records if record.scan not in NOT_COUNTED])
        self._priority.pop(member, None)
        self._in_flight.pop(member, None)
        self._counts.queried += member.queried_at is None
        self._oldest_query = min(self._oldest_query, at)
        member.queried, member.queried_at = True, at
        self._change(member, listed, changes, at, unknown=unknown)

    def _owner(self, login_user: str | None, queried: Sequence[Member]) -> Member | None:
        """Return the owner of a session that a query for these members lists; None if that is somebody else."""
        only = queried[0] if len(queried) == 1 else None
        # who logged in by another name than the query's is the only one
        return self._names.find(login_user, otherwise=only) if login_user else only

    def _learn_domain(self, member: Member, logins: AbstractSet[str | None]) -> None:
        """Note the domain of a user's own sessions, if it is a single one."""
        own = [login_user for login_user in logins if login_user and self._names.find(login_user) is member]
        domains = {login_parts(login_user)[1] for login_user in own}
        if len(domains) == 1 and member.seen_domain is None and (domain := domains.pop()):
            member.seen_domain = intern(domain)
            self._name(member)

    def scan_page(self, found: Iterable[ListedSession], at: float, clock: float = 0.0) -> int:
        """Apply a page of a scan of live sessions. Return how many of its sessions name a watched user.

        Sessions without an id are ignored. Users may have other sessions besides. If a user has been polled, earlier
        sessions that the poll did not list belong to somebody else. They do not count. ``clock`` is the cloud's time,
        in seconds since 1970, at time 0.
        """
        found = list(found)
        for member, sessions in self._by_member(found).items():
            look = Look(at, clock, own=False, covered=self._covered(member))
            before = member.fresh.listed
            known = {session.id for session in before}
            new = [each for session_id, each in sessions.items() if session_id not in known]
            if denied := denials(member, new, clock):
                others = {session.id for session in denied}
                new = [each for each in new if each.session.id not in others]
            listed = (*(sessions[s.id] if s.id in sessions else ListedSession(None, s) for s in before), *new)
            shown = with_known_objects(before, listed, look.seen(member))
            self._take_over(member, sessions.values())
            on_page = [(each, kept) for each, kept in zip(listed, shown, strict=True) if kept.id in sessions]
            changes = after_answer(member, on_page, look)
            if denied:
                changes.records = with_denied(changes.records, denied, at)
            self._change(member, shown, changes, at)
        if self.scanned_since is None:
            self.scanned_since = at
        self._last_page = at
        return sum(self._names.find(each.login_user) is not None for each in found if each.session.id)

    def listed_by_scan(self, found: Iterable[ListedSession], at: float, clock: float = 0.0) -> None:
        """Apply a page of sessions in any state: they are counted as started and failed, and change nothing else."""
        for member, sessions in self._by_member(found).items():
            known = {session.id for session in member.fresh.listed}
            unsure = [each for each in sessions.values() if each.session.id not in known and not _is_own(member, each)]
            others = {session.id for session in denials(member, unsure, clock)}
            counted = [each for each in sessions.values() if each.session.id not in others]
            self._take_over(member, counted)
            look = Look(at, clock, own=False, covered=self._covered(member))
            self._count(member, after_sighting(member, counted, look), at)

    def _take_over(self, member: Member, listed: Iterable[ListedSession]) -> None:
        """Copy what was counted of these sessions while they seemed to be another user's."""
        for each in listed:
            owner = self._by_session.get(each.session.id or "")
            if owner is not None and owner is not member:
                known = any(record.session.id == each.session.id for record in member.records)
                if not known and (record := counted_elsewhere(each.session, owner)):
                    member.records = (*member.records, record)

    def take_failed_answers(self) -> dict[str, float]:
        """Return, and forget, when users' own queries were the first to show a failure, by id of its session.

        Only of sessions that are known to have started lately.
        """
        taken, self._failed_answers = self._failed_answers, {}
        return taken

    def _by_member(self, found: Iterable[ListedSession]) -> dict[Member, dict[str | None, ListedSession]]:
        """Return the sessions of watched users by member and id."""
        found = list(found)
        self.zone.learn(found)
        by_member: dict[Member, dict[str | None, ListedSession]] = {}
        for each in found:
            session_id = each.session.id
            # a session without a known name belongs to the user who is known to have it
            otherwise = self._by_session.get(session_id or "")
            if session_id and (member := self._names.find(each.login_user, otherwise)):
                by_member.setdefault(member, {})[session_id] = each
        return by_member

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
                    self._oldest_query = min(self._oldest_query, began)
                if poll:
                    self._priority[member] = None
                if ended:
                    self._drop(member, ended)
                if old := outdated(member, began - REMEMBERED):
                    self._remember(member, tuple([each for each in member.records if each.session.id not in old]))
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

    def expire(self, *, queried_since: float, accounts_since: float, scanned_since: float) -> Iterator[None]:
        """Remove everything the cloud reported before these times. Does nothing while all is newer."""
        scans = self.scanned_since is not None and self.scanned_since < scanned_since
        if not scans and self._oldest_query >= queried_since and self._oldest_account >= accounts_since:
            return
        last_page = self._last_page if scans else None
        if scans:  # pages that arrive between the steps count
            self.scanned_since, self.scan_complete = None, False
            self._count_covered()
        self._oldest_query = self._oldest_account = math.inf  # answers that arrive between the steps lower it
        try:
            for members in in_steps(self.members, weight):
                for member in members:
                    if not member.removed:
                        self._expire(member, queried_since, accounts_since, last_page)
                yield
        except GeneratorExit:  # not finished: the next call starts again
            self._oldest_query = self._oldest_account = -math.inf
            if scans:
                self.scanned_since = -math.inf
            raise

    def counts(self) -> Counts:
        """Return a copy of the counts."""
        return self._counts.copy()

    def failing_users(self, since: float) -> int:
        """Return how many users have had a failed start since a time, and forget earlier ones."""
        while self._failed_at and next(iter(self._failed_at.values())) < since:
            self._failed_at.popitem(last=False)
        return len(self._failed_at)

    def users(self) -> Sequence[FreshUser]:
        """Return every watched user with what is known at this moment."""
        return [member.fresh for member in self.members]

    def _expire(self, member: Member, queried_since: float, accounts_since: float, last_page: float | None) -> None:
        queried = member.queried_at
        if queried is not None and queried < queried_since:
            member.queried_at = None
            self._counts.queried -= 1
        left_open = expire_scans(member.records, queried_since, last_page)
        self._oldest_query = min(self._oldest_query, left_open, _or_never(member.queried_at))
        if member.queried_at is None:
            by_scan = {record.session.id for record in member.records if record.scan in COUNTS_ALONE}
            denied = {record.session.id for record in member.records if record.scan in NOT_COUNTED}
            gone = {session.id for session in member.fresh.listed} - by_scan | denied
            if gone or queried is not None:
                self._drop(member, gone)
        self._expire_account(member, accounts_since)

    def _doubt_sessions(self, member: Member) -> None:
        self._drop(member, {session.id for session in member.fresh.listed})
        self._priority[member] = None

    def _forget(self, member: Member) -> None:
        super()._forget(member)
        self._remember(member, ())
        self._priority.pop(member, None)
        self._in_flight.pop(member, None)

    def _change(
        self, member: Member, listed: tuple[Session, ...], changes: Changes, at: float, *, unknown: bool = False
    ) -> None:
        """Set a user's sessions. A live one shows that the user exists, whatever was answered before."""
        self._count(member, changes, at)
        no_account = member.fresh.without_account and not any(map(is_live, listed))
        self._know(member, replace(member.fresh, sessions=listed, without_sessions=unknown, without_account=no_account))

    def _count(self, member: Member, changes: Changes, at: float) -> None:
        self._remember(member, changes.records)
        attempts = self.attempts
        for session in changes.started:
            attempts.starts.add(session)
        for session in changes.failed:
            attempts.failures.add(session)
        for duration in changes.init_durations:
            attempts.init_durations.observe(duration)
        attempts.disconnects += changes.disconnects
        attempts.reconnects += changes.reconnects
        if changes.failed:
            self._failed_at[member] = at
            self._failed_at.move_to_end(member)
            failures = member.fresh.init_failures + len(changes.failed)
            self._know(member, replace(member.fresh, init_failures=failures))

    def _drop(self, member: Member, gone: AbstractSet[str | None]) -> None:
        """Forget these sessions of a user."""
        listed = tuple([session for session in member.fresh.listed if session.id not in gone])
        self._remember(member, without(member, gone))
        queried = member.queried_at is not None
        without_sessions = queried and member.fresh.without_sessions
        known = listed if listed or queried else None
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


def _is_own(member: Member, each: ListedSession) -> bool:
    """Return whether a session with this user's name also has the user's domain."""
    return domain_fit(member.login_domain, login_parts(each.login_user or "")[1]) is Fit.SAME


def _or_never(time: float | None) -> float:
    return math.inf if time is None else time
