"""Whom the cloud means by a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.fleet.members import Member


class Names:
    """The members by name. A directory tells no cases apart, so that who logs in as ``Anna`` is ``anna``."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.exact = {member.name: member for member in members}
        self._folded = {
            folded: member for name, member in self.exact.items() if (folded := name.casefold()) not in self.exact
        }
        """Only where that is another name."""
        self._given_ids = {member.given_id: member for member in self.exact.values() if member.given_id}

    def find(self, name: str | None) -> Member | None:
        """The member that a name is meant for; None where it is none's."""
        if not name:
            return None
        return self.exact.get(name) or self.exact.get(name.casefold()) or self._folded.get(name.casefold())

    def entry(self, name: str | None, user_id: str | None) -> Member | None:
        """The member that an entry in the list of all users is about: by its id where that is given, else by name."""
        if user_id in self._given_ids:
            return self._given_ids[user_id]
        member = self.exact.get(name or "")
        return member if member and member.given_id is None else None
