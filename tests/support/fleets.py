"""Fleets for tests, with users and answers written in short."""

from __future__ import annotations

from collections import Counter
from itertools import starmap
from typing import TYPE_CHECKING

from exporter.cloud.models import ListedSession
from exporter.fleet import UNKNOWN, Counts, Fleet, Member, Watched

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.cloud.models import Session


def watching(written: Iterable[tuple[str, str | None]]) -> Iterator[Watched]:
    """Users by name and configured id."""
    return starmap(Watched, written)


def fleet_of(*names: str) -> Fleet:
    """A fleet of users without configured ids."""
    return Fleet(map(Watched, names))


def answered(fleet: Fleet, member: Member, sessions: Iterable[Session] | None, at: float) -> None:
    """Answer a user's own query with sessions that name no user."""
    listed = None if sessions is None else [ListedSession(None, session) for session in sessions]
    fleet.sessions_answered(member, listed, at)


def scan_page(
    fleet: Fleet, found: Iterable[tuple[str | None, Session] | ListedSession], at: float, clock: float = 0.0
) -> int:
    """Apply a page of sessions, each with its user as listed."""
    return fleet.scan_page([ListedSession(*each) for each in found], at, clock)


def by_version(counts: Counts) -> Counter[tuple[str, str, str]]:
    """The number of sessions by state, client version and agent version."""
    found: Counter[tuple[str, str, str]] = Counter()
    for kind, sessions in counts.sessions.items():
        texts = (kind.session_state, kind.client_version, kind.agent_version)
        state, client, agent = (text or UNKNOWN for text in texts)
        found[state, client, agent] += sessions
    return found


def run(steps: Iterator[None]) -> None:
    """Take all steps."""
    for _ in steps:
        pass
