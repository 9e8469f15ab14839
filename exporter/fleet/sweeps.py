"""What sweeps of ListSessions list, and what follows for a session that a sweep does not list.

A sweep sees the sessions in a live state that started within its window. ListSessionByUserName sees all of a user's.
So what a sweep no longer lists has ended, unless it has grown too old for the window; what no sweep ever listed may be
older than the window, or has ended within moments of its start. In both cases its user is asked again, out of turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.fleet.members import INIT_FAIL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from exporter.cloud.models import Session
    from exporter.fleet.members import Member

LIVE_STATES = ("Active", "Disconnected", "AppcInit", INIT_FAIL)
"""What is swept: a session that is signed out is over."""


@dataclass(slots=True)
class Swept:
    """The last sweeps of one project. Times are of the steady clock."""

    listed: dict[str, Member] = field(default_factory=dict)
    """By id, the sessions that the last whole sweep lists, or a page since, as far as they have not ended since."""
    near_the_edge: AbstractSet[str] = frozenset()
    """Of these, such as may be too old for the next sweep."""
    since: float | None = None
    """When the last whole sweep began, or the first page came as long as there is none."""
    whole: bool = False
    """Whether a sweep has ended whole, so that nobody's sessions are unknown."""
    due: dict[Member, None] = field(default_factory=dict)
    """Users to ask out of turn, in this order."""
    unexplained: dict[str, tuple[Member, float]] = field(default_factory=dict)
    """By id, live sessions that a user's answer of this time was the first to tell of."""

    def among(self, members: Mapping[str, Member]) -> Swept:
        """The same about these members, by name; they are others than here."""
        listed = {i: members[m.name] for i, m in self.listed.items() if m.name in members}
        due = {members[m.name]: None for m in self.due if m.name in members}
        return Swept(listed, self.near_the_edge, self.since, self.whole, due)

    def asked(self, member: Member, sessions: Iterable[Session], at: float) -> None:
        """A user's answer came, before it is taken in."""
        self.due.pop(member, None)
        live = {s.id for s in sessions if s.id and s.session_state in LIVE_STATES}
        before = {s.id for s in member.fresh.listed if s.id}
        for ended in before - live:
            self.listed.pop(ended, None)
        if self.whole:
            for session_id in live - before - self.listed.keys():
                self.unexplained[session_id] = (member, at)

    def sighted(self, found: Mapping[Member, Iterable[str]], at: float) -> None:
        """A page of a sweep lists these."""
        for member, ids in found.items():
            self.listed.update(dict.fromkeys(ids, member))
        if self.since is None:
            self.since = at

    def ended(
        self, sighted: AbstractSet[str], near_the_edge: AbstractSet[str], began: float
    ) -> list[tuple[Member, str]]:
        """A sweep that began at this time ended whole. Returns the sessions that have ended."""
        over = []
        for session_id in self.listed.keys() - sighted:
            member = self.listed.pop(session_id)
            self.due[member] = None
            if session_id not in self.near_the_edge or member.asked_at is None:
                over.append((member, session_id))
        for session_id, (member, at) in list(self.unexplained.items()):
            if at < began:
                del self.unexplained[session_id]
                if session_id not in sighted:
                    self.due[member] = None
        self.near_the_edge, self.since, self.whole = near_the_edge, began, True
        return over
