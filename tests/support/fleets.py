"""Fleets for tests, with users and answers written in short."""

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING

from exporter.fleet import Fleet, Member, Watched

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
    fleet.sessions_answered(member, None if sessions is None else [(None, session) for session in sessions], at)


def run(steps: Iterator[None]) -> None:
    """Take all steps."""
    for _ in steps:
        pass
