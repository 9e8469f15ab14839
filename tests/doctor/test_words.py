"""The words for situations that tests cannot create with real sockets."""

from __future__ import annotations

import socket
import ssl
from collections import Counter

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from exporter.cloud.errors import Unauthorized
from exporter.cloud.proxy import Proxy
from exporter.doctor import endpoints
from exporter.doctor.answers import judge_clock
from exporter.doctor.credentials import AuthMethod, judge_credentials
from exporter.doctor.findings import NotQueried, Verdict, fail, summary
from exporter.doctor.probe import Answered, Step, Unanswered, route_to

DIRECT = route_to("https://cloud.example", None)
PROXIED = route_to("https://cloud.example", Proxy.of("http://user:hush@proxy.example:3128"))
KEY = ConnectionKey("cloud.example", 443, True, True, None, None, None)


def bad_certificate(code: int, message: str = "odd") -> Exception:
    error = ssl.SSLCertVerificationError(1, message)
    error.verify_code, error.verify_message = code, message
    return aiohttp.ClientConnectorCertificateError(KEY, error)


@pytest.mark.parametrize(
    ("step", "error", "expected", "remedy"),
    [
        ("name", socket.gaierror(socket.EAI_AGAIN, "again"), "no DNS server resolves the name", "resolv.conf"),
        ("name", TimeoutError(), "no DNS server resolves the name", "http.proxy"),
        ("connection", TimeoutError(), "no connection to cloud.example:443 within 10s", "firewall pass port 443"),
        ("connection", OSError(113, "No route to host"), "(\\[Errno 113\\] No route to host)", "routes"),
        ("answer", aiohttp.ServerDisconnectedError(), "closes it before an answer", "firewall or proxy"),
        ("answer", bad_certificate(9), "not valid yet", "NTP"),
        ("answer", bad_certificate(99, "path too long"), "invalid certificate: path too long", "certificate"),
    ],
)
def test_the_step_that_fails_is_named_with_a_remedy(step: Step, error: Exception, expected: str, remedy: str) -> None:
    finding = endpoints.judge(["users"], Unanswered(DIRECT, step, error, 10.0), own_authorities=False, now=0)
    assert finding.verdict is Verdict.FAIL
    assert expected.replace("\\", "") in finding.text
    assert remedy in finding.remedy


@pytest.mark.parametrize(("step", "error"), [("name", socket.gaierror(-2, "unknown")), ("connection", TimeoutError())])
def test_an_unreachable_proxy_is_named_without_its_password(step: Step, error: Exception) -> None:
    """The remedy names the setting."""
    finding = endpoints.judge(["users"], Unanswered(PROXIED, step, error, 10.0), own_authorities=False, now=0)
    assert "proxy" in finding.text
    assert "proxy.example" in finding.text
    assert "http.proxy" in finding.remedy
    assert "hush" not in str(finding)


def test_a_server_error_is_a_warning_about_the_endpoint() -> None:
    answered = Answered(DIRECT, ("192.0.2.1",), 503, "TLSv1.3", 1e10, None)
    assert endpoints.judge(["users"], answered, own_authorities=False, now=0).verdict is Verdict.WARN


def test_at_most_three_addresses_are_shown() -> None:
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
def test_the_clock_may_be_off_by_15_minutes_at_most(skew: float | None, signing: bool, verdict: str) -> None:
    assert judge_clock(skew, signing=signing).verdict == verdict


def test_the_service_that_rejects_the_credentials_is_named() -> None:
    """The other service may accept them."""
    finding = judge_credentials(AuthMethod("token", "auth.token"), [(), Unauthorized("ListUsers", "401")], None)
    assert finding.verdict is Verdict.FAIL
    assert "ListUsers: 401" in finding.text


def test_credentials_without_any_answer_are_skipped() -> None:
    finding = judge_credentials(AuthMethod("token", "auth.token"), [NotQueried("why"), NotQueried("why")], None)
    assert finding.verdict is Verdict.SKIP


def test_a_finding_is_a_line_and_its_remedy_an_indented_line() -> None:
    assert str(fail("clock", "is off", "set it")) == "FAIL  clock           is off\n                      -> set it"


def test_the_summary_counts_every_verdict() -> None:
    assert summary(Counter({Verdict.OK: 2, Verdict.FAIL: 1})) == "summary: 2 ok, 0 warn, 1 FAIL, 0 skip"
