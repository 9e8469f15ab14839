"""The doctor checks both listings of a project that is polled in bulk, over real sockets."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.diagnosis import HUSH, Diagnosis, authenticated, diagnose, frozen
from support.exporters import project

from exporter import config
from exporter.cloud.client import IAM_ACTIONS, LIST_SESSIONS, LIST_USERS
from exporter.cloud.errors import InvalidResponse
from exporter.cloud.models import ListedSession, Session, SessionPage
from exporter.doctor import answers
from exporter.doctor.findings import Verdict
from exporter.simulator import Simulator, parse_faults

USERS = 200
BUDGET = ["ListSessions:", "ListSessionByUserName:", "ListUsers:", "ListServers:", "ListServerGroups:"]
"""The first words of the request budget's lines."""
POLL = {"timeout": "5s", "rate_limit": 100}
"""So few requests per minute that the users do not fit the interval."""
SESSIONS_ACTION, USERS_ACTION = IAM_ACTIONS[LIST_SESSIONS], IAM_ACTIONS[LIST_USERS]


async def diagnosis_of(simulator: Simulator, poll: dict[str, Any] | None = None, **changes: Any) -> Diagnosis:
    account = simulator.options.account
    auth = {"access_key": account.access_key, "secret_key": account.secret_key}
    async with simulator.serve() as url:
        return await diagnose(project(simulator, url, auth=auth, **changes), poll=POLL | (poll or {}))


def denied(*actions: str) -> Simulator:
    return frozen(users=USERS, denied_actions=frozenset(actions))


async def test_both_listings_are_queried_once_and_counted() -> None:
    simulator = frozen(users=USERS)
    diagnosis = await diagnosis_of(simulator)
    assert diagnosis.healthy
    assert diagnosis.lines("warn") == []
    assert simulator.calls.total(LIST_SESSIONS) == 1
    assert authenticated(simulator) == 7
    (sessions,) = (line for line in diagnosis.lines("ok") if SESSIONS_ACTION in line)
    (listed,) = (line for line in diagnosis.lines("ok") if f"{USERS_ACTION} (ListUsers): " in line)
    live = int(sessions.split(": ")[1].split()[0])
    assert live > 0
    assert sessions.endswith(f"(ListSessions): {live} live sessions that started within 1d")
    assert listed.endswith(f"(ListUsers): {USERS} users in total")
    budget = [line for line in diagnosis.lines("ok") if " request budget " in line]
    assert [line.split()[3] for line in budget] == BUDGET
    every = f"{live} live sessions in 2 requests and new ones in 1 every 1m, and failed ones every 5s,"
    assert f"{every} are 15 requests per minute" in budget[0]
    assert (
        "200 users every 1m are 200 requests per minute, 100 allowed by poll.rate_limit; a cycle takes 2m; "
        "sessions also come from bulk collection (200 requests per interval, 100 allowed)" in budget[1]
    )
    assert "200 users in 1 request every 5m are 0.2 requests per minute" in budget[2]


async def test_a_project_that_fits_only_lists_the_sessions_that_started_within_an_interval() -> None:
    simulator = frozen(users=50)
    diagnosis = await diagnosis_of(simulator)
    assert simulator.calls.total(LIST_SESSIONS) == 1
    assert simulator.calls.total(LIST_USERS) == 1
    assert "bulk" not in diagnosis.text
    assert "live sessions" not in diagnosis.text
    assert re.search(r"\(ListSessions\): \d+ sessions? started within 1m\n", diagnosis.text)
    assert "ListSessions: new sessions in 1 request every 1m, and failed ones every 5s, are 13" in diagnosis.text
    assert authenticated(simulator) == 6


async def test_a_missing_permission_is_a_warning() -> None:
    """Sessions are queried user by user, and so is the budget."""
    diagnosis = await diagnosis_of(denied(SESSIONS_ACTION))
    assert diagnosis.healthy
    permission, budget = diagnosis.lines("warn")
    assert f"permission      {SESSIONS_ACTION} is missing (403 WKS.00010403, request_id " in permission
    assert "without it, sessions that begin and end between two polls are not counted" in permission
    assert "users are queried one by one instead, which takes longer -> give the IAM user the policy" in permission
    assert (
        "ListSessionByUserName: 200 users every 1m are 200 requests per minute, 100 allowed by poll.rate_limit"
        in budget
    )
    assert f"a cycle takes 2m, because {SESSIONS_ACTION} is missing (403 " in budget
    assert budget.endswith(" -> give the IAM user the policy in CONFIGURATION.md (Permissions)"), (
        "time is not the cause"
    )


async def test_users_that_may_not_be_listed_are_queried_one_by_one() -> None:
    users = [{"name": user.user_name, "id": user.id} for user in frozen(users=USERS).users()]
    diagnosis = await diagnosis_of(denied(USERS_ACTION), users=users)
    assert diagnosis.healthy
    by_name, of_all = diagnosis.lines("warn")
    assert "not needed while every user has an id" in by_name
    assert "users are queried one by one instead, which takes longer" in of_all
    assert "ListUserDetail: 200 users every 5m are 40 requests per minute" in diagnosis.text


@pytest.mark.parametrize("action", [SESSIONS_ACTION, USERS_ACTION])
async def test_a_missing_permission_is_a_failure_with_source_bulk(action: str) -> None:
    diagnosis = await diagnosis_of(denied(action), poll={"source": "bulk"})
    assert not diagnosis.healthy
    assert f"{action} is missing" in diagnosis.lines("FAIL")[-1]


async def test_an_error_that_proves_no_permission_is_a_failure() -> None:
    diagnosis = await diagnosis_of(frozen(users=USERS, faults=parse_faults("ListSessions:503=1")))
    assert (
        f"permission      {SESSIONS_ACTION} could not be checked: the cloud, or a proxy in front of it, has a problem"
        in diagnosis.only("FAIL")
    )
    assert diagnosis.only("skip").endswith("request budget  ListSessions: not checked, see permission")
    assert "set poll." not in diagnosis.text


async def test_a_host_without_the_listing_is_a_failure() -> None:
    """A 404 is an answer about a user, but not about a listing."""
    diagnosis = await diagnosis_of(frozen(users=USERS, faults=parse_faults("ListSessions:404=1")))
    assert f"permission      {SESSIONS_ACTION} could not be checked: this host has no such API" in diagnosis.only(
        "FAIL"
    )


async def test_credentials_that_only_the_listing_rejects_are_a_failure() -> None:
    """The first requests were accepted, so that no other finding reports it."""
    simulator = frozen(users=USERS, faults=parse_faults("ListSessions:401=1"))
    diagnosis = await diagnosis_of(simulator)
    assert not diagnosis.healthy
    assert (
        f"permission      {SESSIONS_ACTION} could not be checked: the cloud rejects the credentials"
        in diagnosis.only("FAIL")
    )
    assert f"{USERS_ACTION}: not checked, the credentials are rejected" in diagnosis.text


async def test_projects_with_equal_credentials_share_the_budget_of_the_scans_too() -> None:
    """The first project's budget waits for the size of the second one's listings."""
    simulator = frozen(users=USERS)
    account = simulator.options.account
    auth = {"access_key": account.access_key, "secret_key": account.secret_key}
    async with simulator.serve() as url:
        both = [project(simulator, url, auth=auth, name=name) for name in ("one", "two")]
        diagnosis = await diagnose(*both, poll=POLL)
    assert diagnosis.healthy
    shared = "allowed by poll.rate_limit (100 shared by 2 projects with equal credentials)"
    budget = [line for line in diagnosis.lines("ok") if " request budget " in line]
    assert [line.split()[3] for line in budget] == BUDGET * 2
    assert all(shared in line for line in budget)
    assert "(200 requests per interval, 50 allowed)" in budget[1]


async def test_rejected_credentials_are_not_tried_with_the_listings() -> None:
    """The budget is unknown then, and recommends no interval."""
    simulator = frozen(users=USERS)
    async with simulator.serve() as url:
        wrong = project(simulator, url, auth={"token": f"{HUSH}-token"})
        diagnosis = await diagnose(wrong, poll=POLL | {"user_interval": "1m"})
    assert authenticated(simulator) == 1
    assert f"{SESSIONS_ACTION}: not checked, the credentials are rejected" in diagnosis.text
    budget = [line for line in diagnosis.lines("skip") if " request budget " in line]
    assert [line.partition("request budget  ")[2] for line in budget] == [
        "ListSessions: not checked, the credentials are rejected",
        "ListUsers: not checked, the credentials are rejected",
    ]
    assert diagnosis.lines("warn") == []


async def test_sessions_that_belong_to_no_configured_user_are_a_warning() -> None:
    """If names differ from login_user, scans match no user."""
    simulator = frozen(users=USERS)
    diagnosis = await diagnosis_of(simulator, users=[f"{HUSH}-{number}" for number in range(USERS)])
    (warning,) = [line for line in diagnosis.lines("warn") if "belong to" in line]
    assert "the first 100 belong to no configured user -> write the names in users or users_file as" in warning


@pytest.mark.parametrize("name", ["anna", "ANNA", "anna@there", "annabel", "annabel@there"])
def test_names_are_compared_as_in_scans(name: str) -> None:
    page = SessionPage((ListedSession(name, Session.of("1")),), 1, 0)
    watching = config.Project(project_id="p", users=(config.User("Anna"),))
    finding = answers.session_listing(page, watching, config.Poll())
    assert finding.verdict is (Verdict.WARN if "annabel" in name else Verdict.OK)


def test_an_invalid_listing_has_no_total() -> None:
    broken = InvalidResponse(LIST_SESSIONS, "invalid_response")
    assert answers.total(broken) is broken
    assert answers.total(SessionPage((), None, 0)) == 0
