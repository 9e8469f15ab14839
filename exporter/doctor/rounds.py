"""Which rounds of which operations a project's polling takes, and whether their calls fit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from exporter.cloud.causes import explain
from exporter.cloud.client import (
    LIST_SESSION_BY_USER_NAME,
    LIST_SESSIONS,
    LIST_USER_DETAIL,
    LIST_USERS,
    SESSIONS_A_PAGE,
)
from exporter.cloud.errors import Forbidden
from exporter.doctor.budget import Demand, Subject, judge, judge_in_turn
from exporter.doctor.findings import CALL_BUDGET, Finding, Verdict, skip, warn
from exporter.doctor.interview import NotAsked
from exporter.polling.paging import OVERLAP
from exporter.polling.source import decided, fitting
from exporter.polling.sweeps import USERS_A_PAGE

if TYPE_CHECKING:
    from exporter import config
    from exporter.cloud.errors import CloudError
    from exporter.doctor.listings import Total, Totals

_FEWER_USERS = "watch fewer users"


def call_budget(project: config.Project, settings: config.Settings, totals: Totals) -> list[Finding]:
    """Whether the calls fit; projects with the same credentials are of one account, and share its quota."""
    poll, users = settings.poll, len(project.users)
    alike = [len(other.users) for other in settings.projects if other is not project and other.auth == project.auth]
    return [*_sessions(users, poll, totals.sessions, alike), _accounts(users, poll, totals.users, alike)]


def _sessions(users: int, poll: config.Poll, total: Total, alike: list[int]) -> list[Finding]:
    others = sum(Demand(each, poll.interval, poll.rate_limit).made for each in alike)
    demand = Demand(users, poll.interval, poll.rate_limit)
    subject = Subject(LIST_SESSION_BY_USER_NAME, _counted(users, "user"), "poll.interval", _FEWER_USERS)
    source = decided(poll, users, total if isinstance(total, int) else None)
    one_by_one = judge(subject, demand, others)
    match total:
        case _ if source.name == "per_user":
            return [one_by_one]
        case Forbidden():
            return [one_by_one if fitting(poll, users) else _for_lack_of(total, one_by_one)]
        case int():
            sweeps = _swept_sessions(total, poll)
        case _:
            sweeps = _not_known(LIST_SESSIONS, total)
    return [sweeps, judge_in_turn(subject, demand, others, source.reason)]


def _swept_sessions(total: int, poll: config.Poll) -> Finding:
    calls = _pages(total, SESSIONS_A_PAGE)
    entries = f"{_counted(total, 'session')} in {_counted(calls, 'call')}"
    subject = Subject(LIST_SESSIONS, entries, "poll.interval", "shorten poll.bulk_lookback")
    return judge(subject, Demand(calls, poll.interval, poll.rate_limit), 0.0)


def _accounts(users: int, poll: config.Poll, total: Total, alike: list[int]) -> Finding:
    """Of the accounts: a listing of all where that is to be had, else one by one."""
    match total:
        case int():
            calls = _pages(total, USERS_A_PAGE)
            entries = f"{_counted(total, 'user')} in {_counted(calls, 'call')}"
            subject = Subject(LIST_USERS, entries, "poll.user_interval", "set poll.source to per_user")
            return judge(subject, Demand(calls, poll.user_interval, poll.rate_limit), 0.0)
        case _ if decided(poll, users, None).name == "per_user":
            return _one_by_one(users, poll, [each for each in alike if decided(poll, each, None).name == "per_user"])
        case Forbidden():
            return _for_lack_of(total, _one_by_one(users, poll, alike))
        case _:
            return _not_known(LIST_USERS, total)


def _one_by_one(users: int, poll: config.Poll, alike: list[int]) -> Finding:
    others = sum(Demand(each, poll.user_interval, poll.rate_limit).made for each in alike)
    subject = Subject(LIST_USER_DETAIL, _counted(users, "user"), "poll.user_interval", _FEWER_USERS)
    return judge(subject, Demand(users, poll.user_interval, poll.rate_limit), others)


def _for_lack_of(permission: Forbidden, finding: Finding) -> Finding:
    """What is found of calls that a permission would spare: where they are too many, that is why."""
    what, remedy = explain(permission)
    return finding if finding.verdict is Verdict.OK else warn(CALL_BUDGET, f"{finding.text}, since {what}", remedy)


def _not_known(operation: str, answer: CloudError | NotAsked) -> Finding:
    reason = answer.reason if isinstance(answer, NotAsked) else "see permission"
    return skip(CALL_BUDGET, f"{operation}: not known, {reason}")


def _pages(entries: int, limit: int) -> int:
    return max(math.ceil(entries / (limit - OVERLAP)), 1)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
