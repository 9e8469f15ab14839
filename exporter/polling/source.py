"""Where a project's sessions come from: asked for user by user, or swept in bulk. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from exporter.cloud.client import SESSIONS_A_PAGE
from exporter.polling.paging import OVERLAP

if TYPE_CHECKING:
    from exporter import config


class Source(NamedTuple):
    """Where sessions come from, and why from there."""

    name: Literal["per_user", "bulk"]
    reason: str


def fitting(poll: config.Poll, users: int) -> bool:
    """Whether so many users can each be asked for within ``poll.interval``."""
    return users * 60 <= poll.interval * poll.rate_limit


def decided(poll: config.Poll, users: int, sessions: int | None) -> Source:
    """The source for so many users, and so many live sessions in the project as far as known."""
    if poll.source != "auto":
        return Source(poll.source, "poll.source says so")
    room = math.floor(poll.interval * poll.rate_limit / 60)
    if fitting(poll, users):
        return Source("per_user", f"{users} users fit the {room} calls that an interval has room for")
    pages = math.ceil((sessions or 0) / (SESSIONS_A_PAGE - OVERLAP))
    if pages >= users:
        return Source("per_user", f"to sweep {sessions} sessions takes as many calls as to ask for {users} users")
    return Source("bulk", f"{users} users need more than the {room} calls that an interval has room for")
