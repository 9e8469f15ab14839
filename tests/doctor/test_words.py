"""The words for what no test machine can be put into: pure functions of what a check came to."""

from __future__ import annotations

import socket
import ssl
from collections import Counter

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from exporter.cloud.errors import Unauthorized
from exporter.doctor import budget, clock, credentials, endpoints
from exporter.doctor.budget import Demand, Subject
from exporter.doctor.credentials import Way
from exporter.doctor.findings import Verdict, fail, summary
from exporter.doctor.interview import NotAsked
from exporter.doctor.probe import Answered, Step, Unanswered, route_to

DIRECT = route_to("https://cloud.example", None)
PROXIED = route_to("https://cloud.example", "http://user:hush@proxy.example:3128")
SUBJECT = Subject("Op", "150 users", "poll.interval", "watch fewer users")
KEY = ConnectionKey("cloud.example", 443, True, True, None, None, None)


def bad_certificate(code: int, message: str = "odd") -> Exception:
    error = ssl.SSLCertVerificationError(1, message)
    error.verify_code, error.verify_message = code, message
    return aiohttp.ClientConnectorCertificateError(KEY, error)


@pytest.mark.parametrize(
    ("step", "error", "told", "remedy"),
    [
        (Step.NAME, socket.gaierror(socket.EAI_AGAIN, "again"), "no DNS server tells the address", "resolv.conf"),
        (Step.NAME, TimeoutError(), "no DNS server tells the address", "http.proxy"),
        (Step.CONNECTION, TimeoutError(), "no connection to cloud.example:443 within 10s", "firewall pass port 443"),
        (Step.CONNECTION, OSError(113, "No route to host"), "(\\[Errno 113\\] No route to host)", "routes"),
        (Step.ANSWER, aiohttp.ServerDisconnectedError(), "breaks it off before an answer", "proxy on the way"),
        (Step.ANSWER, bad_certificate(9), "not valid yet", "NTP"),
        (Step.ANSWER, bad_certificate(99, "path too long"), "refused: path too long", "certificate"),
    ],
)
def test_what_keeps_an_endpoint_out_of_reach(step: Step, error: Exception, told: str, remedy: str) -> None:
    finding = endpoints.judge(["users"], Unanswered(DIRECT, step, error, 10.0), own_authorities=False, now=0)
    assert finding.verdict is Verdict.FAIL
    assert told.replace("\\", "") in finding.text
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("step", "error"), [(Step.NAME, socket.gaierror(-2, "unknown")), (Step.CONNECTION, TimeoutError())]
)
def test_a_proxy_out_of_reach_is_what_is_named(step: Step, error: Exception) -> None:
    """Without its password, and with the setting to look at."""
    finding = endpoints.judge(["users"], Unanswered(PROXIED, step, error, 10.0), own_authorities=False, now=0)
    assert "proxy" in finding.text
    assert "proxy.example" in finding.text
    assert "http.proxy" in finding.remedy
    assert "hush" not in str(finding)


def test_a_cloud_in_trouble_is_a_warning_at_its_endpoint() -> None:
    answered = Answered(DIRECT, ("192.0.2.1",), 503, "TLSv1.3", 1e10, None)
    assert endpoints.judge(["users"], answered, own_authorities=False, now=0).verdict is Verdict.WARN


def test_only_a_few_addresses_are_named() -> None:
    answered = Answered(DIRECT, tuple(f"192.0.2.{i}" for i in range(9)), 404, "TLSv1.3", 1e10, None)
    text = endpoints.judge(["users"], answered, own_authorities=False, now=0).text
    assert "at 192.0.2.0, 192.0.2.1, 192.0.2.2, …, certificate" in text


@pytest.mark.parametrize(
    ("skew", "signing", "verdict"),
    [
        (None, True, "skip"),
        (0.0, True, "ok"),
        (-60.0, True, "ok"),
        (61.0, True, "warn"),
        (900.0, True, "warn"),
        (-901.0, True, "FAIL"),
        (901.0, False, "warn"),
    ],
)
def test_how_far_the_clock_may_be_off(skew: float | None, signing: bool, verdict: str) -> None:
    assert clock.judge(skew, signing=signing).verdict == verdict


def test_a_quota_that_several_projects_share() -> None:
    """Each fits its rate limit, and both together do not fit what the account has."""
    alone = budget.judge(SUBJECT, Demand(150, 60.0, 180.0), 0.0)
    together = budget.judge(SUBJECT, Demand(150, 60.0, 180.0), 100.0)
    assert (alone.verdict, together.verdict) == ("ok", "warn")
    assert "are 150 calls a minute, 250 with the other projects of these credentials" in together.text


@pytest.mark.parametrize("users", [0, 1, 180])
def test_a_budget_that_suffices(users: int) -> None:
    assert budget.judge(SUBJECT, Demand(users, 60.0, 180.0), 0.0).verdict is Verdict.OK


def test_a_round_in_turn_may_take_long_but_not_more_than_the_account_has() -> None:
    alone = budget.judge_in_turn(SUBJECT, Demand(10_000, 60.0, 180.0), 0.0, "so many")
    together = budget.judge_in_turn(SUBJECT, Demand(10_000, 60.0, 180.0), 180.0, "so many")
    assert (alone.verdict, together.verdict) == ("ok", "warn")
    assert "180 calls a minute, a round takes 55m34s; bulk: so many" in alone.text
    assert "360 with the other projects of these credentials" in together.text
    assert "lower poll.rate_limit" in together.remedy


def test_a_round_in_turn_takes_the_interval_at_least() -> None:
    assert "a round takes 1m" in budget.judge_in_turn(SUBJECT, Demand(50, 60.0, 180.0), 0.0, "told").text


def test_a_second_service_that_refuses_the_credentials_is_told() -> None:
    """What one service accepts the other may refuse; which one did is named."""
    finding = credentials.judge(Way("token", "auth.token"), [(), Unauthorized("ListUsers", "401")], None)
    assert finding.verdict is Verdict.FAIL
    assert "ListUsers: 401" in finding.text


def test_credentials_that_nobody_has_judged_are_not_said_to_work() -> None:
    finding = credentials.judge(Way("token", "auth.token"), [NotAsked("why"), NotAsked("why")], None)
    assert finding.verdict is Verdict.SKIP


def test_a_finding_is_a_line_and_its_remedy_an_indented_one() -> None:
    assert str(fail("clock", "is off", "set it")) == "FAIL  clock        is off\n                   -> set it"


def test_the_summary_counts_every_verdict() -> None:
    assert summary(Counter({Verdict.OK: 2, Verdict.FAIL: 1})) == "summary: 2 ok, 0 warn, 1 FAIL, 0 skip"
