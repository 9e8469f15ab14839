"""The accounts of the watched users, as answers and listings of the cloud report them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from sys import intern

from msgspec.structs import replace

from exporter.cloud.models import User, UserDetail
from exporter.config.names import domain_fit
from exporter.fleet.members import Member, Scan, weight
from exporter.fleet.names import best
from exporter.fleet.roster import Roster, in_steps

# Seconds for which an account must stay unlocked before its next lock counts. A device that retries an old password
# locks its user again each time the lock ends.
RELOCK_PAUSE = 3600.0
_ALWAYS = -math.inf  # one object for all members


class Accounts(Roster):
    """The watched users of one project with their accounts.

    Methods that return an iterator do their work while they are iterated, a few milliseconds at a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.account_locks = 0  # accounts that became locked. It never falls when users leave.
        self.ambiguous_users = 0  # users with a name that several listed users have
        self._oldest_account = math.inf  # no answer is older

    def account_answered(self, member: Member, account: UserDetail | None, at: float) -> None:
        """Apply an answer about a user's account; None if the user is unknown."""
        if member.removed:
            return
        self._note_account(member, at)
        if account is not None:
            self.account_locks += _newly_locked(member, account.locked, at)
            now = replace(member.fresh, account=account, without_account=False, without_sessions=False)
        elif self._has_known_twin(member):  # the cloud writes the name in another case: the sessions are the twin's
            self._doubt_sessions(member)
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

        Return the users who can be distinguished only with the whole list. They are for :meth:`accounts_distinguished`.
        """
        self._last_page = at
        unclear = []
        for user in users:
            member = self._names.find_listed(user)
            if member is None:
                for several in self._names.like(user):  # one of them is listed, so none is unknown to the cloud
                    self._set_ambiguous(several, ambiguous=several.id is None)
                continue
            if user.id in {None, member.id} or not (member.ambiguous or _answered_since(member, began)):
                self._set_ambiguous(member, ambiguous=False)
                self._listed(member, user)
                self.account_answered(member, user.detail, at)
            else:
                unclear.append(user)
        return unclear

    def accounts_distinguished(self, unclear: Iterable[User], at: float) -> None:
        """Apply what :meth:`accounts_listed` returned for a whole list: several users may be one watched user."""
        for member, users in self._by_listed_member(unclear).items():
            if member.id and all(user.id != member.id for user in users):
                users.append(User(member.id, member.query_name, domain=member.listed_domain))
            found = self._distinguish(member, users)
            if found is None:
                self._forget_account(member)
            elif found.id != member.id:
                self._listed(member, found)
                self.account_answered(member, found.detail, at)

    def names_listed(self, members: Iterable[Member], users: Iterable[User], at: float) -> None:
        """Apply all users with the names of these members, in any case: find the ids, and note who is unknown."""
        by_member = self._by_listed_member(users)
        for member in members:
            listed = by_member.get(member)
            if listed is None:
                self.account_answered(member, None, at)
            elif found := self._distinguish(member, listed):
                self._listed(member, found)
            else:
                self._forget_account(member)

    def _by_listed_member(self, users: Iterable[User]) -> dict[Member, list[User]]:
        by_member: dict[Member, dict[str | None, User]] = {}
        for user in users:
            if member := self._names.find_listed(user):
                by_member.setdefault(member, {})[user.id] = user
        return {member: list(listed.values()) for member, listed in by_member.items()}

    def _distinguish(self, member: Member, users: Sequence[User]) -> User | None:
        """Return the one of these listed users that a member is; None if that is unclear."""
        of_domain = partial(best, users, member.user_name, domain_of=attrgetter("domain"))
        found = of_domain(member.given_domain) or of_domain(member.given_domain or member.seen_domain)
        self._set_ambiguous(member, ambiguous=found is None)
        if found is None:
            self.found(member, None)
            member.listed_name = member.listed_domain = None
        return found

    def _set_ambiguous(self, member: Member, *, ambiguous: bool) -> None:
        self.ambiguous_users += ambiguous - member.ambiguous
        member.ambiguous = ambiguous

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
                listed = member.ambiguous or _answered_since(member, began)
                if member.joined_after < began and not listed:
                    self.account_answered(member, None, at)
            yield

    def found(self, member: Member, user_id: str | None) -> None:
        """Set the id that belongs to a user's name; None if it is no longer known. A configured id wins."""
        if not member.removed:
            self._know(member, replace(member.fresh, id=member.given_id or user_id))

    def _expire_account(self, member: Member, accounts_since: float) -> None:
        if member.account_at is not None and member.account_at < accounts_since:
            self._forget_account(member)
        self._oldest_account = min(self._oldest_account, math.inf if member.account_at is None else member.account_at)

    def _forget_account(self, member: Member) -> None:
        """Forget what is known about an account: the user is no longer covered."""
        self._counts.accounts -= member.account_at is not None
        member.account_at = None
        self._know(member, replace(member.fresh, account=None, without_account=False))

    def _doubt_sessions(self, member: Member) -> None:
        """Forget the sessions of a user, which are probably somebody else's."""

    def _forget(self, member: Member) -> None:
        self.ambiguous_users -= member.ambiguous


def _answered_since(member: Member, time: float) -> bool:
    return member.account_at is not None and member.account_at >= time


def _newly_locked(member: Member, locked: bool | None, at: float) -> bool:
    """Note whether an account is locked, None if not reported. Return whether to count a new lock."""
    since = member.unlocked_since
    if locked:
        member.unlocked_since = math.inf
        return since is not None and since <= at - RELOCK_PAUSE
    if locked is False and (since is None or since == math.inf):
        member.unlocked_since = _ALWAYS if since is None else at
    return False
