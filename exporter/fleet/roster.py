"""The watched users by name and id, and how they come and go.

Work on many users is split into steps, so that the event loop can run other tasks in between.
"""

import math
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import TypeVar

from msgspec.structs import replace

from exporter.config.names import Fit, domain_fit, login_parts
from exporter.fleet.counts import Counts
from exporter.fleet.members import FreshUser, Member, Watched, weight
from exporter.fleet.names import Names

STEP = 1000  # work items in one step, for example users and their sessions. A step takes a few milliseconds.
_Item = TypeVar("_Item")


def in_steps(items: Iterable[_Item], weight: Callable[[_Item], int] = lambda _: 1) -> Iterator[list[_Item]]:
    """Split items into parts of about STEP work items. ``weight`` returns how many work items an item is."""
    part: list[_Item] = []
    size = 0
    for item in items:
        part.append(item)
        size += weight(item)
        if size >= STEP:
            yield part
            part, size = [], 0
    if part:
        yield part


class Roster:
    """The watched users of one project, their number, and which of them complete scans cover."""

    def __init__(self) -> None:
        self.members: tuple[Member, ...] = ()  # replaced by a new sequence whenever users or their order change
        self.scan_complete = False  # whether there is a complete scan that is not stale
        self._counts = Counts()
        self._names = Names()
        self._joined: Counter[float] = Counter()  # members by joined_after
        self._last_page = self._last_scan = -math.inf  # when the last page arrived; when the last whole scan began

    def update(self, users: Iterable[Watched], at: float = -math.inf) -> Iterator[None]:
        """Make these the watched users from now on, in this order. Only one update at a time.

        Users who stay keep their data, except for the account data of a user whose configured id changes.
        """
        staying: dict[Member, None] = {}
        for part in in_steps(users, lambda _: 3):  # as much work as three sessions
            joined = []
            for user in part:
                # Only a configured name may be a whole `login_user`.
                user_name, domain = user.name, user.domain
                if not user.discovered:
                    user_name, domain = login_parts(user_name, domain)
                member = self._known(user_name, domain, user.id, staying)
                if member is None:
                    fresh = FreshUser(user.name, user.id, discovered=user.discovered)
                    member = Member(user.name, user_name, user.id, domain, fresh, self._last_page, at)
                    self._joined[self._last_page] += 1
                    self._names.add(member)
                    self._name(member)
                    joined.append(member)
                elif (user.name, user.id, domain, user.discovered) != _configured(member):
                    self._configure(member, user, domain)
                staying[member] = None
            if joined:
                self.members += tuple(joined)
                self._counts.configured += len(joined)
                self._count_covered()
            yield
        leaving = [member for member in self.members if member not in staying]
        for members in in_steps(_popped(leaving), weight):
            for member in members:
                self._remove(member)
            self.members = (*staying, *leaving)
            self._count_covered()
            yield
        if (ordered := tuple(staying)) != self.members:
            self.members = ordered

    def namesakes(self, member: Member) -> Sequence[Member]:
        """Return the members that the same query is about, in an order that stays: those with the member's name."""
        return [each for each in self._names.namesakes(member.user_name) if each.query_name == member.query_name]

    def _forget(self, member: Member) -> None:
        """Drop all references to a member who has been removed."""

    def _known(
        self, user_name: str, domain: str | None, user_id: str | None, staying: Container[Member]
    ) -> Member | None:
        """Return the member with exactly this name and a domain that fits, among those who may leave."""
        found, best_fit = None, (Fit.OTHER, False)
        for member in self._names.namesakes(user_name):
            if member.user_name == user_name and member not in staying:
                fit = domain_fit(member.domain, domain), user_id is not None and member.id == user_id
                if fit[0] and fit > best_fit:
                    found, best_fit = member, fit
        return found

    def _configure(self, member: Member, user: Watched, domain: str | None) -> None:
        """Set a user's written name, id and domain."""
        looked_up = user.id is None and member.given_id is None
        now = replace(member.fresh, id=member.id if looked_up else user.id, discovered=user.discovered)
        if now.id != member.id:  # another id is another account
            self._counts.accounts -= member.account_at is not None
            member.account_at = member.unlocked_since = None
            now = replace(now, account=None, without_account=False)
        self._names.remove(member)
        member.written, member.given_domain, member.given_id = user.name, domain, user.id
        self._know(member, now)
        self._names.add(member)
        self._name(member)

    def _name(self, member: Member) -> None:
        """Name the members with this one's name as metrics show them: with their domains if there are several."""
        same = [each for each in self._names.namesakes(member.user_name) if each.user_name == member.user_name]
        for each in same:
            name = f"{each.user_name}@{each.domain}" if len(same) > 1 and each.domain else each.written
            if name != each.fresh.name:
                self._know(each, replace(each.fresh, name=name))

    def _remove(self, member: Member) -> None:
        self._names.remove(member)
        self._name(member)
        self._counts.change(member.fresh, FreshUser(member.written))
        self._counts.configured -= 1
        self._counts.queried -= member.queried_at is not None
        self._counts.accounts -= member.account_at is not None
        self._joined -= Counter([member.joined_after])  # also drops a value that reaches 0
        member.joined_after = math.inf
        self._forget(member)

    def _covered(self, member: Member) -> bool:
        """Return whether a complete scan has ever covered a user, who may have joined in the middle of one."""
        return member.joined_after < self._last_scan

    def _count_covered(self) -> None:
        covered = sum(n for joined_after, n in self._joined.items() if joined_after < self._last_scan)
        self._counts.scanned = covered if self.scan_complete else 0

    def _know(self, member: Member, now: FreshUser) -> None:
        self._counts.change(member.fresh, now)
        member.fresh = now


def _configured(member: Member) -> tuple[str, str | None, str | None, bool]:
    return member.written, member.given_id, member.given_domain, member.fresh.discovered


def _popped(members: list[Member]) -> Iterator[Member]:
    """Remove members from a list one by one, so that each can be freed as soon as it is handled."""
    while members:
        yield members.pop()
