"""What the doctor says of a project that is polled in bulk, over real sockets: both listings, and their calls."""

from __future__ import annotations

from typing import Any

import pytest
from support.diagnosis import HUSH, Diagnosis, authenticated, diagnose, frozen
from support.exporters import project

from exporter import config
from exporter.cloud.client import IAM_ACTIONS, LIST_SESSIONS, LIST_USERS
from exporter.cloud.errors import Forbidden, InvalidResponse
from exporter.cloud.models import Session, SessionPage
from exporter.doctor import listings
from exporter.doctor.findings import Verdict
from exporter.doctor.listings import Totals
from exporter.doctor.rounds import call_budget
from exporter.simulator import Simulator, parse_faults

USERS = 200
POLL = {"timeout": "5s", "rate_limit": 100}
"""So few that the users do not fit the interval."""
SESSIONS_ACTION, USERS_ACTION = IAM_ACTIONS[LIST_SESSIONS], IAM_ACTIONS[LIST_USERS]


async def diagnosis_of(simulator: Simulator, poll: dict[str, Any] | None = None, **changes: Any) -> Diagnosis:
    account = simulator.options.account
    auth = {"access_key": account.access_key, "secret_key": account.secret_key}
    async with simulator.serve() as url:
        return await diagnose(project(simulator, url, auth=auth, **changes), poll=POLL | (poll or {}))


def denied(*actions: str) -> Simulator:
    return frozen(users=USERS, denied_actions=frozenset(actions))


async def test_both_listings_are_asked_for_once_and_counted() -> None:
    simulator = frozen(users=USERS)
    said = await diagnosis_of(simulator)
    assert said.healthy
    assert said.lines("warn") == []
    assert simulator.calls.total(LIST_SESSIONS) == 1
    assert authenticated(simulator) == 5
    (sessions,) = (line for line in said.lines("ok") if SESSIONS_ACTION in line)
    (listed,) = (line for line in said.lines("ok") if f"{USERS_ACTION} (ListUsers): " in line)
    live = int(sessions.split(": ")[1].split()[0])
    assert live > 0
    assert sessions.endswith(f"(ListSessions): {live} live sessions that began within 1d")
    assert listed.endswith(f"(ListUsers): {USERS} users in all")
    budget = [line for line in said.lines("ok") if " call budget " in line]
    assert [line.split()[3] for line in budget] == ["ListSessions:", "ListSessionByUserName:", "ListUsers:"]
    assert f"{live} sessions in 2 calls every 1m are 2 calls a minute" in budget[0]
    assert "200 users in turn are 100 calls a minute, a round takes 2m; bulk: 200 users need more than" in budget[1]
    assert "200 users in 1 call every 5m are 0.2 calls a minute" in budget[2]


async def test_of_a_project_that_fits_nothing_more_is_asked_and_said() -> None:
    simulator = frozen(users=50)
    said = await diagnosis_of(simulator)
    assert simulator.calls.total(LIST_SESSIONS) == 0
    assert "bulk" not in said.text
    assert "ListSessions" not in said.text
    assert authenticated(simulator) == 3


async def test_a_missing_permission_is_named_with_what_goes_on_without_it() -> None:
    """A warning, since sessions are told all the same; the budget is that of asking user by user."""
    said = await diagnosis_of(denied(SESSIONS_ACTION))
    assert said.healthy
    permission, budget = said.lines("warn")
    assert f"permission   {SESSIONS_ACTION} is missing (403 WKS.00010403, request_id " in permission
    assert "sessions are asked for user by user, which takes longer -> give the IAM user the policy" in permission
    assert "ListSessionByUserName: 200 users every 1m are 200 calls a minute; poll.rate_limit allows 100" in budget
    assert f"every 2m, since {SESSIONS_ACTION} is missing (403 " in budget
    assert budget.endswith(" -> give the IAM user the policy in the README (Credentials)"), "time is not the cause"


async def test_users_that_may_not_be_listed_are_asked_for_one_by_one() -> None:
    users = [{"name": user.user_name, "id": user.id} for user in frozen(users=USERS).users()]
    said = await diagnosis_of(denied(USERS_ACTION), users=users)
    assert said.healthy
    by_name, of_all = said.lines("warn")
    assert "not needed as long as every user has an id" in by_name
    assert "accounts are asked for user by user, which takes longer" in of_all
    assert "ListUserDetail: 200 users every 5m are 40 calls a minute" in said.text


@pytest.mark.parametrize("action", [SESSIONS_ACTION, USERS_ACTION])
async def test_with_bulk_demanded_a_missing_permission_is_a_failure(action: str) -> None:
    said = await diagnosis_of(denied(action), poll={"source": "bulk"})
    assert not said.healthy
    assert f"{action} is missing" in said.lines("FAIL")[-1]


async def test_what_says_nothing_of_the_permission_is_a_failure() -> None:
    said = await diagnosis_of(frozen(users=USERS, faults=parse_faults("ListSessions:503=1")))
    assert f"permission   {SESSIONS_ACTION} is unknown: the cloud is in trouble" in said.only("FAIL")
    assert said.only("skip").endswith("call budget  ListSessions: not known, see permission")
    assert "set poll." not in said.text


async def test_a_host_without_the_listing_is_a_failure() -> None:
    """That the cloud does not know a user is an answer; of a listing it is none."""
    said = await diagnosis_of(frozen(users=USERS, faults=parse_faults("ListSessions:404=1")))
    assert f"permission   {SESSIONS_ACTION} is unknown: this host has no such API" in said.only("FAIL")


async def test_refused_credentials_are_not_tried_with_the_listings() -> None:
    """They are what keeps the sweeps from being judged, and no longer interval would help."""
    simulator = frozen(users=USERS)
    async with simulator.serve() as url:
        wrong = project(simulator, url, auth={"token": f"{HUSH}-token"})
        said = await diagnose(wrong, poll=POLL | {"user_interval": "1m"})
    assert authenticated(simulator) == 1
    assert f"{SESSIONS_ACTION}: not known, the credentials are refused" in said.text
    budget = [line for line in said.lines("skip") if " call budget " in line]
    assert [line.partition("call budget  ")[2] for line in budget] == [
        "ListSessions: not known, the credentials are refused",
        "ListUsers: not known, the credentials are refused",
    ]
    assert said.lines("warn") == []


async def test_sessions_of_nobody_that_is_configured_are_a_warning() -> None:
    """Where names are written otherwise than in login_user, sweeps find nothing."""
    simulator = frozen(users=USERS)
    said = await diagnosis_of(simulator, users=[f"{HUSH}-{number}" for number in range(USERS)])
    (warning,) = said.lines("warn")
    assert "of which the first 100 are no configured user's -> the names in users or users_file have to be" in warning


@pytest.mark.parametrize("name", ["anna", "ANNA", "anna@there"])
def test_names_are_compared_as_sweeps_do(name: str) -> None:
    page = SessionPage(((name, Session("1")),), 1, 0)
    finding = listings.sessions(page, [config.User(name="Anna")], config.Poll())
    assert finding.verdict is (Verdict.WARN if "@" in name else Verdict.OK)


def findings(users: int, totals: Totals, projects: int = 1, **poll: Any) -> list[str]:
    """The call budget of one of equal projects with so many users, and the same credentials."""
    names = [f"u{n}" for n in range(users)]
    alike = [{"project_id": str(n), "region": "r", "users": names} for n in range(projects)]
    wanted = config.build(config.Layer("test", {"projects": alike, "poll": poll}))
    return [
        str(finding).replace("\n                   ->", " ->")
        for finding in call_budget(wanted.projects[0], wanted, totals)
    ]


def test_the_numbers_of_a_large_project() -> None:
    """34 and 11 calls in the place of 20,000."""
    sessions, in_turn, users = findings(10_000, Totals(3_000, 10_000))
    assert "3000 sessions in 34 calls every 1m are 34 calls a minute" in sessions
    assert "10000 users in turn are 180 calls a minute, a round takes 55m34s" in in_turn
    assert "10000 users in 11 calls every 5m are 2.2 calls a minute" in users


def test_more_sessions_than_a_sweep_can_read_within_the_interval_are_a_warning() -> None:
    sessions, *_ = findings(10_000, Totals(18_000, 10_000))
    assert sessions.startswith("warn")
    assert "so that it is every 1m7s -> set poll.interval to 1m10s, or shorten poll.bulk_lookback" in sessions


def test_sessions_that_are_not_worth_a_sweep_leave_the_asking_user_by_user() -> None:
    (by_user, accounts) = findings(200, Totals(30_000, 12_000))
    assert "200 users every 1m are 200 calls a minute; poll.rate_limit allows 180" in by_user
    assert "12000 users in 13 calls every 5m" in accounts


def test_accounts_that_may_not_be_listed_make_calls_for_lack_of_the_permission() -> None:
    """Whether their calls are more than the rate limit allows, or than two projects of one account have together."""
    denied = Forbidden(LIST_USERS, "403", error_code="WKS.00010403")
    remedy = f"since {USERS_ACTION} is missing (403 WKS.00010403) -> give the IAM user the policy in the README"
    *_, slower = findings(1_000, Totals(3_000, denied))
    assert "poll.rate_limit allows 180, so that it is every 5m34s, " in slower
    *_, together = findings(600, Totals(3_000, denied), projects=2)
    assert "120 calls a minute, 240 with the other projects of these credentials; " in together
    assert remedy in slower
    assert remedy in together


def test_a_permission_for_sweeps_spares_no_calls_where_the_users_fit() -> None:
    """Bulk by hand: what is too much is too much for the account, with the permission or without it."""
    denied = Forbidden(LIST_SESSIONS, "403", error_code="WKS.00010403")
    by_user, _ = findings(150, Totals(denied, 150), projects=2, source="bulk")
    assert "300 with the other projects of these credentials" in by_user
    assert by_user.endswith("-> lengthen poll.interval, or lower poll.rate_limit, so that they fit together")


def test_a_listing_that_is_no_listing_has_no_total() -> None:
    broken = InvalidResponse(LIST_SESSIONS, "invalid_response")
    assert listings.total(broken) is broken
    assert listings.total(SessionPage((), None, 0)) == 0
