"""Accounts that become locked: what was locked at the first look does not count, nor what is locked again soon."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.fleet.members import Member

REMEMBERED = 3600.0
"""Seconds for which an account that is unlocked must stay so, that its next lock counts: a device that tries an old
password locks its user again as often as the lock ends."""


def locked_anew(member: Member, locked: bool | None, at: float) -> bool:
    """Remember what the cloud says of a lock, None where it does not; returns whether that is a new one."""
    since = member.unlocked_since
    if locked:
        member.unlocked_since = math.inf
        return since is not None and since <= at - REMEMBERED
    if locked is False and (since is None or since == math.inf):
        member.unlocked_since = -math.inf if since is None else at
    return False
