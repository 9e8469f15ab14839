"""The words for the cloud's answers: clock, permissions, listings, and one user. Pure."""

from collections import Counter
from dataclasses import replace
from typing import Literal

from exporter.cloud.causes import explain, is_dispensable
from exporter.cloud.client import (
    IAM_ACTIONS,
    LIST_SESSION_BY_USER_NAME,
    LIST_SESSIONS,
    LIST_USER_DETAIL,
)
from exporter.cloud.errors import CloudError, Forbidden, NotFound
from exporter.cloud.models import ServerGroupPage, ServerPage, Session, SessionPage, UserDetail, UserPage
from exporter.config import Poll, Project, format_duration
from exporter.config.names import folded, login_parts
from exporter.doctor.findings import (
    CLOCK,
    ONE_USER,
    PERMISSION,
    Finding,
    NotQueried,
    Verdict,
    fail,
    ok,
    skip,
    warn,
)
from exporter.fleet import DOCUMENTED_STATES, OTHER
from exporter.wording import counted

CLOCK_TOLERANCE = 15 * 60.0  # seconds that the cloud accepts between a signature's time and its own
_NOTEWORTHY = 60.0  # seconds; a clock that drifts this far will drift further

_REMEDY_CLOCK = "set the clock, and keep it right with NTP (chrony or systemd-timesyncd)"
_REMEDY_UNKNOWN = {
    "configured": "correct users or users_file: names must be as in ListUsers, or as in a session's login_user; also "
    "check project_id and region",
    "discovered": "check that endpoints.sessions and endpoints.users are of the same region",
}
_REMEDY_OTHER_NAMES = (
    "write the names in users or users_file as in a session's login_user, up to the last @; otherwise new sessions "
    "are found late, user by user"
)
_ABOUT_ONE_USER = (LIST_SESSION_BY_USER_NAME, LIST_USER_DETAIL)  # a 404 of others: the host has no such API
_FLAGS = ("locked", "user_expired", "disabled")


def judge_clock(skew: float | None, *, signing: bool) -> Finding:
    """Return the finding about a clock; ``skew`` is the cloud's clock minus this machine's, in seconds."""
    if skew is None:
        return skip(CLOCK, "not compared: no answer from the cloud has a date")
    apart = format_duration(float(round(abs(skew)) or 1))
    if abs(skew) <= _NOTEWORTHY:
        return ok(CLOCK, f"this machine's clock and the cloud's differ by at most {apart}")
    text = f"this machine's clock is {apart} {'behind' if skew > 0 else 'ahead of'} the cloud's"
    rejected = f"the cloud rejects signatures that are more than {format_duration(CLOCK_TOLERANCE)} off"
    if abs(skew) <= CLOCK_TOLERANCE:
        return warn(CLOCK, f"{text}; {rejected}", _REMEDY_CLOCK)
    if signing:
        return fail(CLOCK, f"{text}; {rejected}. The checks below use the cloud's time", _REMEDY_CLOCK)
    return warn(CLOCK, f"{text}; tokens work all the same, but are renewed at the wrong time", _REMEDY_CLOCK)


Total = int | CloudError | NotQueried  # how many entries a listing has, or why that is unknown


Page = SessionPage | UserPage | ServerPage | ServerGroupPage


def total(answer: Page | CloudError | NotQueried) -> Total:
    """Return the size of a listing from its first page, or the error."""
    return answer if isinstance(answer, CloudError | NotQueried) else size(answer)


def size(page: Page) -> int:
    """Return the size of a listing from its first page."""
    entries, named, *_ = page
    return max(named or 0, len(entries))


def permission(operation: str, answer: object, *, needed: bool = True) -> Finding:
    """Return the finding about a permission from an answer, which may be an error."""
    action = IAM_ACTIONS[operation]
    match answer:
        case NotQueried():
            return skip(PERMISSION, f"{action}: not checked, {answer.reason}")
        case Forbidden() if not needed:
            what, remedy = explain(answer)
            return warn(PERMISSION, f"{what}; not needed while every user has an id", remedy)
        case Forbidden():
            return fail(PERMISSION, *explain(answer))
        case CloudError() if not (isinstance(answer, NotFound) and operation in _ABOUT_ONE_USER):
            what, remedy = explain(answer)
            return fail(PERMISSION, f"{action} could not be checked: {what}", remedy)
        case _:
            return ok(PERMISSION, f"{action} ({operation})")


def optional(operation: str, answer: Page | CloudError | NotQueried, entry: str, which: str = "") -> Finding:
    """Return the finding about a permission that the exporter can do without, from the first page of a listing.

    ``entry`` is the name of an entry of the listing, and ``which`` says which entries it has.
    """
    if isinstance(answer, Page):
        return _listed(operation, counted(size(answer), entry) + which)
    finding = permission(operation, answer)
    dispensable = isinstance(answer, CloudError) and is_dispensable(answer)
    return replace(finding, verdict=Verdict.WARN) if dispensable else finding


def _listed(operation: str, content: str) -> Finding:
    return ok(PERMISSION, f"{IAM_ACTIONS[operation]} ({operation}): {content}")


def listing(operation: str, page: object, content: str, poll: Poll) -> Finding:
    """Return the finding about the first page of a listing for bulk collection, which may be an error."""
    if isinstance(page, SessionPage | UserPage):
        return _listed(operation, f"{size(page)} {content}")
    if isinstance(page, Forbidden) and poll.source == "auto":
        what, remedy = explain(page)
        return warn(PERMISSION, f"{what}; users are queried one by one instead, which takes longer", remedy)
    return permission(operation, page)


def session_listing(page: object, project: Project, poll: Poll) -> Finding:
    """Return the same of all sessions; without `discover`, they must belong to configured users."""
    content = f"live sessions that started within {format_duration(poll.bulk_lookback)}"
    finding = listing(LIST_SESSIONS, page, content, poll)
    names = {folded(user.login[0]) for user in project.users}
    sessions = page.sessions if isinstance(page, SessionPage) else ()
    found = [folded(login_parts(each.login_user or "")[0]) for each in sessions]
    if not found or project.discover or not names.isdisjoint(found):
        return finding
    text = f"{finding.text}; the first {len(found)} belong to no configured user"
    return warn(PERMISSION, text, _REMEDY_OTHER_NAMES)


def one_user(
    position: int, sessions: object, detail: object, *, has_id: bool, origin: Literal["configured", "discovered"]
) -> Finding:
    """Return the finding about the user at this position of the list, from 1 on.

    ``sessions`` and ``detail`` are answers, errors or NotQueried; ``has_id`` says whether the user's id is known.
    """
    who = f"the first {origin} user" if position == 1 else f"{origin} user {position}"
    remedy = _REMEDY_UNKNOWN[origin]
    match sessions:
        case NotFound():
            tried = f"{who} is" if position == 1 else f"the first {position} {origin} users are"
            return fail(ONE_USER, f"{tried} unknown to the cloud", remedy)
        case NotQueried():
            return skip(ONE_USER, f"{who}: not checked, {sessions.reason}")
        case tuple():
            text = f"{who} has {_sessions(sessions)}; {_account(detail, has_id=has_id)}"
        case _:
            return skip(ONE_USER, f"{who}: not checked, see permission")
    if position > 1:
        text = f"{text}; unknown to the cloud: the {position - 1} before"
    if isinstance(detail, NotFound) and has_id:
        return warn(ONE_USER, text, "correct the user's id, or remove it")
    if isinstance(detail, NotFound) or position > 1:
        return warn(ONE_USER, text, remedy)
    return ok(ONE_USER, text)


def _sessions(sessions: tuple[Session, ...]) -> str:
    states = Counter(state if state in DOCUMENTED_STATES else OTHER for state in (s.session_state for s in sessions))
    by_state = ", ".join(f"{count} {state}" for state, count in states.items())
    return counted(len(sessions), "session") + (f" ({by_state})" if by_state else "")


def _account(detail: object, *, has_id: bool) -> str:
    match detail:
        case NotFound():
            return "the user's id is unknown to the cloud" if has_id else "ListUsers does not find the user's name"
        case UserDetail():
            missing = [flag.removeprefix("user_") for flag in _FLAGS if getattr(detail, flag) is None]
            silent = f"the cloud does not report whether the account is {' or '.join(missing)}"
            return silent if missing else "the account's flags are known"
        case NotQueried():
            return f"the account's flags are unknown, {detail.reason}"
        case _:
            return "the account's flags are unknown, see permission"
