"""What sweeps of ListSessions list, and what follows for a session that a sweep does not list.

A sweep sees the sessions in a live state that started within its window. ListSessionByUserName sees all of a user's.
So what a sweep no longer lists has ended, unless it may have grown too old for the window; and what no sweep ever
listed may be older than the window, or has ended within moments of its start. In either case its user is asked again,
out of turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.fleet.members import INIT_FAIL

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from exporter.cloud.models import Session
    from exporter.fleet.members import Member

LIVE_STATES = ("Active", "Disconnected", "AppcInit", INIT_FAIL)
"""What is swept: a session that is signed out is over."""


@dataclass(slots=True)
class Swept:
    """The last sweeps of one project. Times are of the steady clock; sessions stand under their ids."""

    listed: dict[str, Member] = field(default_factory=dict)
    """What the last whole sweep lists, or a page since, as far as it has not ended since."""
    since: float | None = None
    """When the last whole sweep began, or the first page came as long as there is none."""
    whole: bool = False
    """Whether a sweep has ended whole, so that nobody's sessions are unknown."""
    due: dict[Member, None] = field(default_factory=dict)
    """Users to ask out of turn, in this order."""
    being_asked: set[Member] = field(default_factory=set)
    """Users who were due, and have given no answer since."""
    kept: dict[str, tuple[Member, float]] = field(default_factory=dict)
    """What a sweep of this time no longer listed, though it may be too old for it: it counts until that is known."""
    unexplained: dict[str, tuple[Member, float]] = field(default_factory=dict)
    """Live sessions that a user's answer of this time was the first to tell of."""
    unjudged: dict[str, float] = field(default_factory=dict)
    """Sessions at InitFail in a user's first answer, of this time: new if a sweep lists them, old if none does."""

    def among(self, members: Mapping[str, Member]) -> Swept:
        """The same about these members, by name; they are others than here."""

        def these(sessions: Mapping[str, tuple[Member, float]]) -> dict[str, tuple[Member, float]]:
            return {i: (members[m.name], at) for i, (m, at) in sessions.items() if m.name in members}

        return Swept(
            listed={i: members[m.name] for i, m in self.listed.items() if m.name in members},
            since=self.since,
            whole=self.whole,
            due={members[m.name]: None for m in (*self.due, *self.being_asked) if m.name in members},
            kept=these(self.kept),
            unexplained=these(self.unexplained),
            unjudged=dict(self.unjudged),
        )

    def take_due(self) -> Member | None:
        """A user to ask out of turn."""
        member = next(iter(self.due), None)
        if member:
            del self.due[member]
            self.being_asked.add(member)
        return member

    def asked(self, member: Member, sessions: Iterable[Session], at: float) -> None:
        """A user's answer came, and is to be taken in."""
        self.due.pop(member, None)
        self.being_asked.discard(member)
        live = {s.id for s in sessions if s.id and s.session_state in LIVE_STATES}
        before = {s.id for s in member.fresh.listed if s.id}
        for session_id in before:
            self.kept.pop(session_id, None)
            if session_id not in live:
                self.listed.pop(session_id, None)
        if self.whole:
            for session_id in live - before - self.listed.keys():
                self.unexplained[session_id] = (member, at)

    def sighted(self, found: Mapping[Member, Container[str]], at: float) -> None:
        """A page of a sweep lists these, after they are taken in."""
        for member, ids in found.items():
            for session_id in [s.id for s in member.fresh.listed if s.id and s.id in ids]:  # in the same memory
                self.listed[session_id] = member
                self.kept.pop(session_id, None)
        if self.since is None:
            self.since = at

    def ended(
        self, sighted: AbstractSet[str], began: float, too_old: Callable[[Member, str], bool]
    ) -> list[tuple[Member, str]]:
        """A sweep that began at this time ended whole. Returns the sessions that have ended.

        ``too_old`` tells whether a session may be older than the sweep's window.
        """
        over = []
        for session_id in self.listed.keys() - sighted:
            member = self.listed.pop(session_id)
            self.due[member] = None
            if member.asked_at is not None and member.asked_at >= began:  # the answer knows better
                self.unexplained[session_id] = (member, member.asked_at)
            elif too_old(member, session_id):
                self.kept[session_id] = (member, began)
            else:
                over.append((member, session_id))
        for session_id, (member, at) in list(self.unexplained.items()):
            if at < began:
                del self.unexplained[session_id]
                if session_id not in sighted:
                    self.due[member] = None
        self.unjudged = {i: at for i, at in self.unjudged.items() if at >= began}
        self.due |= dict.fromkeys(self.being_asked)
        self.being_asked.clear()
        self.since, self.whole = began, True
        return over
