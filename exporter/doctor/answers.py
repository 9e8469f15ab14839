"""What the cloud's answers say, in words: about a permission, and about one user."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exporter.cloud.causes import explain
from exporter.cloud.client import IAM_ACTIONS, LIST_SESSIONS, LIST_USERS
from exporter.cloud.errors import CloudError, Forbidden, NotFound
from exporter.cloud.models import UserDetail, UserPage
from exporter.doctor.findings import ONE_USER, PERMISSION, Finding, fail, ok, skip, warn
from exporter.doctor.interview import NotAsked
from exporter.fleet import DOCUMENTED_STATES, OTHER

if TYPE_CHECKING:
    from exporter.cloud.models import Session

_REMEDY_UNKNOWN = (
    "correct users or users_file: names have to match exactly, capitals included, and without the part from @ on; "
    "also check project_id and region"
)
_LISTINGS = (LIST_SESSIONS, LIST_USERS)
"""Asked about nobody in particular: a 404 says that the host has no such API, not that there is no such user."""
_FLAGS = ("locked", "user_expired", "disabled")


def permission(operation: str, answer: object, *, needed: bool = True) -> Finding:
    """Whether a call was allowed; one that is not ``needed`` fails nothing. The answer may be an error."""
    action = IAM_ACTIONS[operation]
    match answer:
        case NotAsked():
            return skip(PERMISSION, f"{action}: not known, {answer.reason}")
        case Forbidden() if not needed:
            what, remedy = explain(answer)
            return warn(PERMISSION, f"{what}; not needed as long as every user has an id", remedy)
        case Forbidden():
            return fail(PERMISSION, *explain(answer))
        case CloudError() if not isinstance(answer, NotFound) or operation in _LISTINGS:
            what, remedy = explain(answer)
            return fail(PERMISSION, f"{action} is unknown: {what}", remedy)
        case _:
            return ok(PERMISSION, f"{action} ({operation})")


def found_id(page: object, name: str) -> str | None:
    """The id of exactly this name on a page of ListUsers; None where it is not there, or there is no page."""
    users = page.users or () if isinstance(page, UserPage) else ()
    return next((user.id for user in users if user.user_name == name and user.id), None)


def lists_all(page: object) -> bool:
    """Whether there is a page of ListUsers, and no further one."""
    return isinstance(page, UserPage) and (page.total_count or 0) <= len(page.users or ())


def one_user(position: int, sessions: object, detail: object, *, has_id: bool) -> Finding:
    """What is known of the user at this position of the list, the first being 1.

    ``sessions`` and ``detail`` are answers, errors or not asked for; ``has_id`` says whether the user's id is known.
    """
    who = "the first configured user" if position == 1 else f"configured user {position}"
    match sessions:
        case NotFound():
            return fail(ONE_USER, f"the cloud knows none of the first {position} configured users", _REMEDY_UNKNOWN)
        case NotAsked():
            return skip(ONE_USER, f"{who}: not known, {sessions.reason}")
        case tuple():
            text = f"{who} has {_sessions(sessions)}; {_account(detail, has_id=has_id)}"
        case _:
            return skip(ONE_USER, f"{who}: not known, see permission")
    if position > 1:
        text = f"{text}; the cloud does not know the {position - 1} before"
    if isinstance(detail, NotFound) and has_id:
        return warn(ONE_USER, text, "correct the user's id, or leave it out")
    if isinstance(detail, NotFound) or position > 1:
        return warn(ONE_USER, text, _REMEDY_UNKNOWN)
    return ok(ONE_USER, text)


def nobody() -> Finding:
    """No user is configured."""
    return fail(ONE_USER, "no user is configured, so there is nothing to watch", "name them in users or users_file")


def _sessions(sessions: tuple[Session, ...]) -> str:
    states = Counter(state if state in DOCUMENTED_STATES else OTHER for state in (s.session_state for s in sessions))
    by_state = ", ".join(f"{count} {state}" for state, count in states.items())
    return f"{len(sessions)} session{'' if len(sessions) == 1 else 's'}{f' ({by_state})' if by_state else ''}"


def _account(detail: object, *, has_id: bool) -> str:
    match detail:
        case NotFound():
            return "the cloud does not know the user's id" if has_id else "ListUsers does not find the user's name"
        case UserDetail():
            missing = [flag.removeprefix("user_") for flag in _FLAGS if getattr(detail, flag) is None]
            silent = f"the cloud does not say whether the account is {' or '.join(missing)}"
            return silent if missing else "the account's flags are known"
        case _:
            return "the account's flags are not known, see permission"
