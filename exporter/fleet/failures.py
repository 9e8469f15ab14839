"""Sessions that enter InitFail: each counts once, by whatever listing it is seen, and not if it stood there before."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.fleet.members import INIT_FAIL, OTHER, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.cloud.models import Session
    from exporter.fleet.members import Member

REMEMBERED = 3600.0
"""Seconds that a failed session is remembered after it was last listed, in case it is listed again."""

MOST_VALUES = 1000
"""Error codes, and server groups, that InitFail is counted by; a cloud that sends more costs no more memory."""


@dataclass(slots=True)
class InitFailures:
    """Distinct sessions seen to enter InitFail."""

    total: int = 0
    by_code: Counter[str] = field(default_factory=Counter)
    by_server_group: Counter[str] = field(default_factory=Counter)

    def add(self, sessions: Iterable[Session]) -> None:
        """Count these sessions."""
        for session in sessions:
            self.total += 1
            _count(self.by_code, session.failed_code)
            _count(self.by_server_group, session.app_server_group_id)

    def copy(self) -> InitFailures:
        """The same numbers, which go their own way."""
        return InitFailures(self.total, self.by_code.copy(), self.by_server_group.copy())


def failing(sessions: Iterable[Session]) -> dict[str, Session]:
    """Those at InitFail that can be told apart, by id."""
    return {s.id: s for s in sessions if s.session_state == INIT_FAIL and s.id}


def unremembered(member: Member, failed: dict[str, Session]) -> list[Session]:
    """Those at InitFail that have not been seen there."""
    seen = member.failed_sessions or {}
    return [session for session_id, session in failed.items() if session_id not in seen]


def remember(member: Member, failed: Iterable[str], listed: Iterable[Session], at: float) -> None:
    """Remember who is at InitFail, and that those who have been there are still listed."""
    before = member.failed_sessions or {}
    still = (s.id for s in listed if s.id in before)
    member.failed_sessions = before | dict.fromkeys((*failed, *(i for i in still if i)), at) or None


def forget(member: Member, at: float) -> None:
    """Forget who was last listed more than REMEMBERED ago."""
    before = member.failed_sessions or {}
    member.failed_sessions = {i: last for i, last in before.items() if last > at - REMEMBERED} or None


def _count(counts: Counter[str], value: str | None) -> None:
    value = value or UNKNOWN
    counts[value if value in counts or len(counts) < MOST_VALUES else OTHER] += 1
