"""The watched users by name and id, and how they come and go.

Work on many users is split into steps, so that the event loop can run other tasks in between.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TypeVar

from msgspec.structs import replace

from exporter.fleet.counts import Counts
from exporter.fleet.members import FreshUser, Member, weight

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


class Names:
    """Members by name and configured id. Directories ignore case: ``Anna`` may log in as ``anna``."""

    def __init__(self) -> None:
        self.exact: dict[str, Member] = {}
        self._folded: dict[str, Member] = {}  # by case-folded name, if that differs from the name
        self._given_ids: dict[str, Member] = {}

    def add(self, member: Member) -> None:
        """Add a member, or its new configured id."""
        self.exact[member.name] = member
        if (folded := member.name.casefold()) != member.name:
            self._folded[folded] = member
        if member.given_id:
            self._given_ids[member.given_id] = member

    def pop(self, name: str) -> Member | None:
        """Remove and return the member with exactly this name, or return None."""
        member = self.exact.pop(name, None)
        if member:
            for members, key in (self._folded, name.casefold()), (self._given_ids, member.given_id or ""):
                if members.get(key) is member:
                    del members[key]
        return member

    def find(self, name: str | None) -> Member | None:
        """Return the member with this name, in any case if the exact name does not exist, or None."""
        if not name:
            return None
        return self.exact.get(name) or self.exact.get(name.casefold()) or self._folded.get(name.casefold())

    def find_listed(self, name: str | None, user_id: str | None) -> Member | None:
        """Return the member that an entry of ListUsers describes: by configured id, else by exact name, or None."""
        member = self._given_ids.get(user_id or "")
        if member and member.given_id == user_id:
            return member
        member = self.exact.get(name or "")
        return member if member and member.given_id is None else None


class Roster:
    """The watched users of one project, their number, and which of them complete scans cover."""

    def __init__(self) -> None:
        self.members: tuple[Member, ...] = ()  # replaced by a new sequence whenever users or their order change
        self.scan_complete = False  # whether there is a complete scan that is not stale
        self._counts = Counts()
        self._names = [Names()]  # more than one only during an update, which moves the users to a new one
        self._joined: Counter[float] = Counter()  # members by joined_after
        self._last_page = self._last_scan = -math.inf  # when the last page arrived; when the last whole scan began

    def update(self, users: Iterable[tuple[str, str | None]]) -> Iterator[None]:
        """Make these the watched users, in this order. Only one update at a time.

        Users who stay keep their data, except for the account data of a user whose configured id changes.
        """
        before, names = self._names, Names()
        self._names = [names, *before]
        for part in in_steps(users, lambda _: 3):  # as much work as three sessions
            joined = []
            for name, given_id in part:
                if member := next((known for each in self._names if (known := each.pop(name))), None):
                    self._configure(member, name, given_id)
                else:
                    joined.append(member := Member(given_id, FreshUser(name, given_id), self._last_page))
                    self._joined[self._last_page] += 1
                names.add(member)
            if joined:
                self.members += tuple(joined)
                self._counts.configured += len(joined)
                self._count_covered()
            yield
        leaving = [member for each in before for member in each.exact.values()]
        for members in in_steps(_popped(leaving), weight):
            for member in members:
                self._remove(member)
            self.members = (*names.exact.values(), *leaving)
            self._count_covered()
            yield
        self._names = [names]
        if (ordered := tuple(names.exact.values())) != self.members:
            self.members = ordered

    def _forget(self, member: Member) -> None:
        """Drop all references to a member who has been removed."""

    def _configure(self, member: Member, name: str, given_id: str | None) -> None:
        """Set a user's name and id: also if equal, so that the old configuration's objects can be freed."""
        if name is member.name and given_id is member.given_id:
            return
        looked_up = given_id is None and member.given_id is None
        now = replace(member.fresh, name=name, id=member.id if looked_up else given_id)
        if now.id != member.id:  # another id is another account
            self._counts.accounts -= member.account_at is not None
            member.account_at = member.unlocked_since = None
            now = replace(now, account=None, without_account=False)
        member.given_id = given_id
        self._know(member, now)

    def _remove(self, member: Member) -> None:
        for names in self._names:
            names.pop(member.name)
        self._counts.change(member.fresh, FreshUser(member.name))
        self._counts.configured -= 1
        self._counts.asked -= member.asked_at is not None
        self._counts.accounts -= member.account_at is not None
        self._joined -= Counter([member.joined_after])  # also drops a value that reaches 0
        member.joined_after = math.inf
        self._forget(member)

    def _find(self, name: str | None) -> Member | None:
        exact = (names.exact.get(name or "") for names in self._names)
        folded = (names.find(name) for names in self._names)
        return next(filter(None, chain(exact, folded)), None)

    def _find_listed(self, name: str | None, user_id: str | None) -> Member | None:
        return next(filter(None, (names.find_listed(name, user_id) for names in self._names)), None)

    def _covered(self, member: Member) -> bool:
        """Return whether a complete scan has ever covered a user, who may have joined in the middle of one."""
        return member.joined_after < self._last_scan

    def _count_covered(self) -> None:
        covered = sum(n for joined_after, n in self._joined.items() if joined_after < self._last_scan)
        self._counts.swept = covered if self.scan_complete else 0

    def _know(self, member: Member, now: FreshUser) -> None:
        self._counts.change(member.fresh, now)
        member.fresh = now


def _popped(members: list[Member]) -> Iterator[Member]:
    """Remove members from a list one by one, so that each can be freed as soon as it is handled."""
    while members:
        yield members.pop()
