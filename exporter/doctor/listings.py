"""What the listings of everybody say that bulk collection reads, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exporter.cloud.causes import explain
from exporter.cloud.client import IAM_ACTIONS, LIST_SESSIONS, LIST_USERS
from exporter.cloud.errors import CloudError, Forbidden
from exporter.cloud.models import SessionPage, UserPage
from exporter.config import format_duration
from exporter.doctor.answers import permission
from exporter.doctor.findings import PERMISSION, Finding, ok, warn
from exporter.doctor.interview import NotAsked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter import config


Total = int | CloudError | NotAsked
"""How many entries a listing has, or what came in the place of its first page."""


class Totals(NamedTuple):
    """What is known of the listings that bulk collection reads."""

    sessions: Total
    users: Total


def total(answer: SessionPage | UserPage | CloudError | NotAsked) -> Total:
    """How many entries a listing has whose first page this is; what is no page stays what it is."""
    match answer:
        case SessionPage():
            return max(answer.total or 0, len(answer.sessions))
        case UserPage():
            return max(answer.total_count or 0, len(answer.users or ()))
        case _:
            return answer


def sessions(page: object, users: Iterable[config.User], poll: config.Poll) -> Finding:
    """Whether the sessions of all may be listed, and are those of configured users; the page may be an error."""
    if not isinstance(page, SessionPage):
        return _not_listed(LIST_SESSIONS, page, "sessions", poll)
    names = {user.name.casefold() for user in users}
    within = format_duration(poll.bulk_lookback)
    told = f"{_granted(LIST_SESSIONS)}: {total(page)} live sessions that began within {within}"
    if page.sessions and not any((name or "").casefold() in names for name, _ in page.sessions):
        return warn(
            PERMISSION,
            f"{told}, of which the first {len(page.sessions)} are no configured user's",
            "the names in users or users_file have to be what stands before the last @ of a session's login_user, or "
            "new sessions are found late, user by user",
        )
    return ok(PERMISSION, told)


def users(page: object, poll: config.Poll) -> Finding:
    """Whether all users may be listed; the page may be an error."""
    if not isinstance(page, UserPage):
        return _not_listed(LIST_USERS, page, "accounts", poll)
    return ok(PERMISSION, f"{_granted(LIST_USERS)}: {total(page)} users in all")


def _not_listed(operation: str, answer: object, entries: str, poll: config.Poll) -> Finding:
    if isinstance(answer, Forbidden) and poll.source == "auto":
        what, remedy = explain(answer)
        return warn(PERMISSION, f"{what}; {entries} are asked for user by user, which takes longer", remedy)
    return permission(operation, answer)


def _granted(operation: str) -> str:
    return f"{IAM_ACTIONS[operation]} ({operation})"
