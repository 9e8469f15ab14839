"""The signature, with the official SDK's signer as the judge."""

from __future__ import annotations

import string
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

import msgspec
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.cloud.auth import AccessKey, Token, encoded, query_string
from exporter.cloud.transport import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST = "workspace.eu-west-101.myhuaweicloud.com"
NOW = 1_800_000_000.0
DATE = "20270115T080000Z"
TRICKY = " +/%~*&=?#;,:@!$'()[]-._\"\\äß€日😀"

texts = st.text(st.sampled_from(TRICKY) | st.characters(codec="utf-8"), max_size=12)
words = st.text(string.ascii_letters + string.digits, min_size=1, max_size=12)
names = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=12)
# What HTTP lets into a header's value; blanks around it are there to be stripped.
header_values = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), max_size=20)
json_bodies = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
).map(msgspec.json.encode)


@dataclass(frozen=True)
class Question:
    """A request before its encoding."""

    method: str
    segments: list[str]
    parameters: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return "/" + "/".join(encoded(segment) for segment in self.segments)


def _header_name(header: tuple[str, str]) -> str:
    return header[0].lower()  # differing in case alone, two would be one


def _with_host(headers: dict[str, str]) -> dict[str, str]:
    return {**headers, "Host": HOST}


questions = st.builds(
    Question,
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]),
    segments=st.lists(texts, min_size=1, max_size=5),
    # A small alphabet for the names, so that some come twice.
    parameters=st.lists(st.tuples(st.sampled_from(["limit", "a", "a b", "ä", "~", ""]) | texts, texts), max_size=5),
    headers=st.lists(st.tuples(names.map("X-T-{}".format), header_values), max_size=3, unique_by=_header_name)
    .map(dict[str, str])
    .flatmap(lambda extra: st.sampled_from([extra, {**extra, "Content-Type": "application/json"}]))
    .map(_with_host),
    body=st.just(b"") | json_bodies,
)


def by_the_sdk(question: Question, access_key: str, secret_key: str) -> SdkRequest:
    """The request as the official SDK signs it."""
    request = SdkRequest(
        method=question.method,
        schema="https",
        host=HOST,
        resource_path=question.path,
        query_params=list(question.parameters),
        header_params={**question.headers, "X-Sdk-Date": DATE},
        body=question.body,
    )
    return Signer(BasicCredentials(access_key, secret_key, "project")).sign(request)


def by_us(question: Question, access_key: str, secret_key: str, now: float = NOW) -> dict[str, str]:
    """The headers that signing adds."""
    plain = {name: value for name, value in question.headers.items() if name != "Host"}
    query = query_string(question.parameters)
    request = Request("Op", question.method, f"https://{HOST}", question.path, query, plain, question.body)
    headers = AccessKey(access_key, secret_key).headers(request, now)
    assert headers.items() >= question.headers.items()
    return {name: headers[name] for name in headers.keys() - question.headers.keys()}


def queried(
    segments: list[str],
    parameters: list[tuple[str, str]],
    method: str = "GET",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Question:
    return Question(method, segments, parameters, {"Host": HOST, **(headers or {})}, body)


@pytest.mark.bad_input
@given(questions, words, texts.filter(bool))
@example(queried(["v1", "p", "session", "user-session-info"], [("user_name", "Jörg Müller")]), "AK", "SK")
@example(queried(["v2", "p", "users", "a b+c/d%e~f*"], [("a", ""), ("a", " "), ("", "+/%~*")]), "AK", "SK")
@example(queried(["v1", "a%20b", ""], [("x", "%2B"), ("x", "%"), ("x", "%zz")]), "AK", "Schlüssel")
@example(queried(["v3"], [], "POST", '{"name": "日本"}'.encode(), {"Padded": "  x ", "Empty": ""}), "AK", "SK")
def test_the_sdk_signs_the_same(question: Question, access_key: str, secret_key: str) -> None:
    """For any request, Authorization and date are the SDK's, byte by byte."""
    judged = by_the_sdk(question, access_key, secret_key)
    assert by_us(question, access_key, secret_key) == {
        "X-Sdk-Date": DATE,
        "Authorization": judged.header_params["Authorization"],
    }


@given(questions)
def test_the_sdk_requests_the_same_uri(question: Question) -> None:
    """What goes over the wire after the host is what the SDK would send."""
    request = Request("Op", question.method, f"https://{HOST}", question.path, query_string(question.parameters))
    judged = by_the_sdk(question, "AK", "SK")
    assert str(request.url) == f"https://{HOST}{judged.uri}" == judged.url


@pytest.mark.bad_input
@given(questions)
def test_the_encoding_loses_nothing(question: Question) -> None:
    """Path and query are plain ASCII that decodes to what was meant, the parameters in their canonical order."""
    query = query_string(question.parameters)
    assert (question.path + query).isascii()
    assert [unquote(segment) for segment in question.path[1:].split("/")] == question.segments
    assert parse_qsl(query, keep_blank_values=True) == sorted(question.parameters)


@given(st.permutations([("a", "1"), ("a", "0"), ("b", ""), ("B", "x"), ("ä", "1"), ("a b", "2")]))
def test_the_order_of_parameters_does_not_matter(parameters: list[tuple[str, str]]) -> None:
    """There is one canonical query, however the parameters are given."""
    assert query_string(parameters) == "B=x&a=0&a=1&a%20b=2&b=&%C3%A4=1"


def test_a_known_signature() -> None:
    """The form of the header is the documented one, its names sorted and in lower case."""
    headers = by_us(queried(["v1", "p"], [("user_name", "user001")], headers={"X-Project-Id": "p"}), "AK", "SK")
    assert headers["Authorization"].startswith(
        "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-project-id;x-sdk-date, Signature="
    )


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
def test_a_secret_key_may_have_any_length(length: int) -> None:
    """HMAC hashes keys that are longer than a block of 64 bytes."""
    question, secret_key = queried(["v1", "p"], [("a", "1")]), "s" * length
    ours = by_us(question, "AK", secret_key)
    assert ours["Authorization"] == by_the_sdk(question, "AK", secret_key).header_params["Authorization"]


@pytest.mark.parametrize("moment", [0.0, 0.999, 1_709_164_800.0, NOW])
def test_the_date_is_utc_in_whole_seconds(moment: float) -> None:
    """X-Sdk-Date is the time given, in UTC, whatever the local zone."""
    signed = by_us(queried([""], []), "a", "b", moment)
    parsed = datetime.strptime(signed["X-Sdk-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert parsed.timestamp() == int(moment)


@pytest.mark.parametrize(
    "other",
    [
        queried(["v1", "p"], [("a", "1")], "POST"),
        queried(["v1", "q"], [("a", "1")]),
        queried(["v1", "p"], [("a", "2")]),
        queried(["v1", "p"], [("a", "1")], body=b"x"),
        queried(["v1", "p"], [("a", "1")], headers={"X-Project-Id": "p"}),
    ],
    ids=["method", "path", "query", "body", "headers"],
)
def test_every_part_is_signed(other: Question) -> None:
    """A request that differs in any part has another signature."""
    assert by_us(queried(["v1", "p"], [("a", "1")]), "AK", "SK") != by_us(other, "AK", "SK")


@given(questions, words)
def test_temporary_keys_sign_their_security_token(question: Question, security_token: str) -> None:
    """The headers that an access key makes are those that the SDK signs, its security token and the host included."""
    plain = {name: value for name, value in question.headers.items() if name != "Host"}
    request = Request(
        "Op",
        question.method,
        f"https://{HOST}",
        question.path,
        query_string(question.parameters),
        plain,
        question.body,
    )
    sent = AccessKey("AK", "SK", security_token).headers(request, NOW)
    signed = Question(
        question.method,
        question.segments,
        question.parameters,
        {**plain, "Host": HOST, "X-Security-Token": security_token},
        question.body,
    )
    assert sent == {
        **signed.headers,
        "X-Sdk-Date": DATE,
        "Authorization": by_the_sdk(signed, "AK", "SK").header_params["Authorization"],
    }


def test_permanent_keys_send_no_security_token() -> None:
    """An empty security token is none."""
    request = Request("Op", "GET", f"https://{HOST}", "/")
    assert "X-Security-Token" not in AccessKey("AK", "SK", "").headers(request, NOW)
    assert AccessKey("AK", "SK", "").headers(request, NOW) == AccessKey("AK", "SK").headers(request, NOW)


def test_a_path_in_the_endpoint_is_signed() -> None:
    """Behind an endpoint with a path of its own, what is signed is the whole path that is sent."""
    behind = AccessKey("AK", "SK").headers(Request("Op", "GET", f"https://{HOST}/cloud", "/v1/p", "a=1"), NOW)
    in_front = AccessKey("AK", "SK").headers(Request("Op", "GET", f"https://{HOST}", "/cloud/v1/p", "a=1"), NOW)
    assert behind == in_front


def test_a_token_is_a_header() -> None:
    """A token leaves the request's own headers as they are."""
    request = Request("Op", "GET", f"https://{HOST}", "/", headers={"X-Project-Id": "p"})
    assert Token("t").headers(request, NOW) == {"X-Project-Id": "p", "X-Auth-Token": "t"}
