"""Which rounds of which operations a project's polling takes, and whether their calls fit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from exporter.cloud.client import (
    LIST_SESSION_BY_USER_NAME,
    LIST_SESSIONS,
    LIST_USER_DETAIL,
    LIST_USERS,
    SESSIONS_A_PAGE,
)
from exporter.doctor.budget import Demand, Subject, judge, judge_in_turn
from exporter.polling.paging import OVERLAP
from exporter.polling.source import decided
from exporter.polling.sweeps import USERS_A_PAGE

if TYPE_CHECKING:
    from exporter import config
    from exporter.doctor.findings import Finding
    from exporter.doctor.listings import Totals

_FEWER_USERS = "watch fewer users"


def call_budget(project: config.Project, settings: config.Settings, totals: Totals) -> list[Finding]:
    """Whether the calls fit; projects with the same credentials are of one account, and share its quota."""
    poll, users = settings.poll, len(project.users)
    alike = [len(other.users) for other in settings.projects if other is not project and other.auth == project.auth]
    others = sum(Demand(each, poll.interval, poll.rate_limit).made for each in alike)
    demand = Demand(users, poll.interval, poll.rate_limit)
    subject = Subject(LIST_SESSION_BY_USER_NAME, _counted(users, "user"), "poll.interval", _FEWER_USERS)
    source = decided(poll, users, totals.sessions)
    if source.name == "per_user" or totals.sessions is None:
        return [judge(subject, demand, others), _accounts(users, poll, totals, alike)]
    return [
        _swept_sessions(totals.sessions, poll),
        judge_in_turn(subject, demand, others, source.reason),
        _accounts(users, poll, totals, alike),
    ]


def _swept_sessions(total: int, poll: config.Poll) -> Finding:
    calls = _pages(total, SESSIONS_A_PAGE)
    entries = f"{_counted(total, 'session')} in {_counted(calls, 'call')}"
    subject = Subject(LIST_SESSIONS, entries, "poll.interval", "shorten poll.bulk_lookback")
    return judge(subject, Demand(calls, poll.interval, poll.rate_limit), 0.0)


def _accounts(users: int, poll: config.Poll, totals: Totals, alike: list[int]) -> Finding:
    """Of the accounts: a listing of all where that is to be had, else one by one."""
    setting = "poll.user_interval"
    if totals.users is not None:
        calls = _pages(totals.users, USERS_A_PAGE)
        entries = f"{_counted(totals.users, 'user')} in {_counted(calls, 'call')}"
        subject = Subject(LIST_USERS, entries, setting, "set poll.source to per_user")
        return judge(subject, Demand(calls, poll.user_interval, poll.rate_limit), 0.0)
    one_by_one = [each for each in alike if decided(poll, each, None).name == "per_user"]
    others = sum(Demand(each, poll.user_interval, poll.rate_limit).made for each in one_by_one)
    subject = Subject(LIST_USER_DETAIL, _counted(users, "user"), setting, _FEWER_USERS)
    return judge(subject, Demand(users, poll.user_interval, poll.rate_limit), others)


def _pages(entries: int, limit: int) -> int:
    return max(math.ceil(entries / (limit - OVERLAP)), 1)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
