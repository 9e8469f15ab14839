"""What fits into the rate limit, and where sessions therefore come from. Pure."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from exporter.cloud.client import SESSIONS_A_PAGE
from exporter.config import Poll
from exporter.polling.paging import OVERLAP
from exporter.wording import counted


class Source(NamedTuple):
    """Where sessions come from, and the reason."""

    name: Literal["per_user", "bulk"]
    reason: str


def choose_source(poll: Poll, users: int, sessions: int | None, rate: float) -> Source:
    """Choose the source at ``rate`` requests per minute; ``sessions`` are the project's live ones, None if unknown."""
    if poll.source != "auto":
        return Source(poll.source, "set by poll.source")
    scan = pages(sessions or 0, SESSIONS_A_PAGE)
    if not fits(poll, users, rate) and scan >= users:
        return Source("per_user", f"{counted(users, 'request')} for all users, {scan} for a scan of all sessions")
    reason = f"{counted(users, 'request')} per interval, {math.floor(poll.interval * rate / 60)} allowed"
    return Source("per_user" if fits(poll, users, rate) else "bulk", reason)


def fits(poll: Poll, users: int, rate: float) -> bool:
    """Return whether one request per user fits into ``poll.interval`` at ``rate`` requests per minute."""
    return users * 60 <= poll.interval * rate


def cycle_seconds(configured: float, requests: float, rate: float) -> float:
    """Return how long a cycle takes at ``rate`` requests per minute: the configured interval, or longer."""
    return max(configured, requests * 60 / rate)


def pages(entries: int, page_size: int) -> int:
    """Return how many requests a scan of a listing takes; its pages overlap."""
    return max(math.ceil(entries / (page_size - OVERLAP)), 1)


def fair_shares(limit: float, demands: Sequence[float]) -> list[float]:
    """Return the most that each project may use of a rate limit they share, in requests per minute.

    A share depends on the demands of the others only: it is what max-min fairness gives to a project that wants
    everything. So a lone project's share is the limit, and a demand fits exactly if it does not exceed its share.
    """
    return [_share(limit, [*demands[:position], *demands[position + 1 :]]) for position in range(len(demands))]


def fair_level(limit: float, demands: Sequence[float]) -> float:
    """Return what each project gets whose demand does not fit into its fair share of a limit; infinity if all fit."""
    remaining, projects = limit, len(demands)
    for demand in sorted(demands):
        if demand * projects > remaining:
            return remaining / projects
        remaining -= demand
        projects -= 1
    return math.inf


def _share(limit: float, others: Sequence[float]) -> float:
    remaining, projects = limit, len(others) + 1
    for demand in sorted(others):
        if demand * projects >= remaining:
            break
        remaining -= demand
        projects -= 1
    return remaining / projects
