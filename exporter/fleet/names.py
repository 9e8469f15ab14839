"""Which watched user a name from the cloud means. One rule for all sources of sessions and accounts.

Where both sides name a domain, it has to be the same. Then the exact name counts, else the only name that differs in
case alone: directories ignore case, and people log in as they like.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TypeVar

from exporter.cloud.models import User
from exporter.config.names import Fit, composed, domain_fit, folded, login_parts
from exporter.fleet.members import Member

_T = TypeVar("_T", Member, User)


def best(entries: Sequence[_T], name: str, domain: str | None, domain_of: Callable[[_T], str | None]) -> _T | None:
    """Return the one of these users with equal folded names that a name and a domain mean; None if no single one."""
    if len(entries) == 1:
        return entries[0] if domain_fit(domain_of(entries[0]), domain) else None
    fits = [(domain_fit(domain_of(entry), domain), entry) for entry in entries]
    best_fit = max((fit for fit, _ in fits), default=Fit.OTHER)
    fitting = [entry for fit, entry in fits if fit is best_fit] if best_fit else []
    exact = [entry for entry in fitting if composed(entry.user_name or "") == composed(name)] or fitting
    return exact[0] if len(exact) == 1 else None


class Names:
    """Members by name and configured id."""

    def __init__(self) -> None:
        self._first: dict[str, Member] = {}  # by folded name; a list for each name would take too much memory
        self._further: dict[str, list[Member]] = {}
        self._given_ids: dict[str, Member] = {}

    def add(self, member: Member) -> None:
        """Add a member, or its new configured id."""
        name = folded(member.user_name)
        if self._first.setdefault(name, member) is not member and member not in self._further.get(name, ()):
            self._further.setdefault(name, []).append(member)
        if member.given_id and not member.fresh.discovered:  # who is discovered has the name that is listed
            self._given_ids[member.given_id] = member

    def remove(self, member: Member) -> None:
        """Remove a member."""
        name = folded(member.user_name)
        left = [each for each in self.namesakes(name) if each is not member]
        self._first.pop(name, None)
        self._further.pop(name, None)
        for each in left:
            self.add(each)
        if self._given_ids.get(member.given_id or "") is member:
            del self._given_ids[member.given_id or ""]

    def namesakes(self, name: str) -> Sequence[Member]:
        """Return the members with this name in any case."""
        name = folded(name)
        first = self._first.get(name)
        if first is None:
            return ()
        return (first, *self._further[name]) if name in self._further else (first,)

    def find(self, login_user: str | None, otherwise: Member | None = None) -> Member | None:
        """Return the member that a ``login_user`` means, None for somebody else, ``otherwise`` for an unknown name."""
        name, domain = login_parts(login_user or "")
        namesakes = self.namesakes(name)
        if not namesakes:
            return otherwise
        known = [member for member in namesakes if not member.fresh.missing]  # the others cannot have logged in
        return best(known or namesakes, name, domain, attrgetter("login_domain"))

    def find_listed(self, user: User) -> Member | None:
        """Return the member that an entry of ListUsers means: by id, else by name; None if no single one."""
        if user.id and (member := self._given_ids.get(user.id)) and member.given_id == user.id:
            return member
        namesakes = self.namesakes(user.user_name or "")
        if not namesakes:
            return None
        if user.id and (known := [member for member in namesakes if member.id == user.id]):
            return known[0]
        return best(self.like(user), user.user_name or "", user.domain, attrgetter("given_domain"))

    def like(self, user: User) -> Sequence[Member]:
        """Return the members that an entry of ListUsers may mean by its name and domain."""
        return [
            member
            for member in self.namesakes(user.user_name or "")
            if member.given_id is None and domain_fit(member.given_domain, user.domain)
        ]
