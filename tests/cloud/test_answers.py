"""Parameters of requests and meanings of answers, without sockets."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import aiohttp
import pytest
from aioresponses import aioresponses

from exporter import config
from exporter.cloud.client import (
    LIST_SERVER_GROUPS,
    LIST_SERVERS,
    LIST_SESSION_BY_USER_NAME,
    LIST_SESSIONS,
    LIST_USER_DETAIL,
    LIST_USERS,
    Client,
)
from exporter.cloud.connect import connected
from exporter.cloud.errors import (
    CloudError,
    InvalidResponse,
    Refused,
    Throttled,
    Unreachable,
    refusal,
)
from exporter.cloud.transport import tls_context
from exporter.polling.gate import KeyGate

TLS = tls_context(None)
ANYTHING = re.compile(".*")
NOW = 1_800_000_000.0

Call = Callable[[Client], Awaitable[object]]

CALLS: dict[str, Call] = {
    LIST_SESSION_BY_USER_NAME: lambda client: client.list_session_by_user_name("alice"),
    LIST_USER_DETAIL: lambda client: client.list_user_detail("id-1"),
    LIST_USERS: lambda client: client.list_users(["alice", "bob"], 100),
    LIST_SESSIONS: lambda client: client.list_sessions(0, 1, ["Active"], 0),
    LIST_SERVERS: lambda client: client.list_servers(200),
    LIST_SERVER_GROUPS: lambda client: client.list_server_groups(0, 10),
}
every_operation = pytest.mark.parametrize("operation", CALLS)
USER_QUOTA = "policy user over ratelimit,limit:200,time:1 minute"


@pytest.fixture
def cloud() -> Iterator[aioresponses]:
    with aioresponses() as mocked:
        yield mocked


@asynccontextmanager
async def connecting() -> AsyncIterator[Client]:
    project = {
        "project_id": "p",
        "users": [],
        "endpoints": {"sessions": "https://sessions.example", "users": "https://users.example"},
        "auth": {"token": "t"},
    }
    settings = config.build(config.Layer("test", {"projects": [project]}))
    async with connected(settings.projects[0], settings, TLS, lambda: NOW, KeyGate()) as connection:
        yield connection.client


async def failure(cloud: aioresponses, operation: str = LIST_USER_DETAIL, **answer: Any) -> CloudError:
    """The error that follows from an answer."""
    cloud.get(ANYTHING, **answer)
    async with connecting() as client:
        with pytest.raises(CloudError) as failed:
            await CALLS[operation](client)
    assert failed.value.operation == operation
    return failed.value


@pytest.mark.parametrize(
    ("operation", "url", "query", "answer"),
    [
        (
            LIST_SESSION_BY_USER_NAME,
            "https://sessions.example/v1/p/session/user-session-info",
            {"user_name": "alice"},
            {"session_info_list": []},
        ),
        (LIST_USER_DETAIL, "https://users.example/v2/p/users/id-1", {}, {"user_detail": {}}),
        (
            LIST_USERS,
            "https://users.example/v2/p/users",
            {"user_names": "alice,bob", "limit": "100", "offset": "100"},
            {"users": []},
        ),
        (
            LIST_SESSIONS,
            "https://sessions.example/v1/p/session/list-sessions",
            {
                "limit": "100",
                "offset": "0",
                "query_begin_time": "1970-01-01T00:00:00.000Z",
                "query_end_time": "1970-01-01T00:00:01.000Z",
                "session_state": "Active",
            },
            {"items": []},
        ),
        (
            LIST_SERVERS,
            "https://sessions.example/v1/p/app-servers",
            {"limit": "100", "offset": "200"},
            {"items": []},
        ),
        (
            LIST_SERVER_GROUPS,
            "https://sessions.example/v1/p/app-server-groups",
            {"limit": "10", "offset": "0"},
            {"items": []},
        ),
    ],
)
async def test_each_operation_is_one_request(
    cloud: aioresponses, operation: str, url: str, query: dict[str, str], answer: dict[str, object]
) -> None:
    """Method, host, path and query are those of the reference."""
    cloud.get(ANYTHING, payload=answer)
    async with connecting() as client:
        await CALLS[operation](client)
    [(method, sent)] = cloud.requests
    assert (method, str(sent.with_query(None)), dict(sent.query)) == ("GET", url, query)


@pytest.mark.parametrize(
    ("states", "query"), [((), None), (["InitFail"], "InitFail"), (["AppcInit", "Active"], "AppcInit,Active")]
)
async def test_sessions_of_every_state_are_listed_without_the_parameter(
    cloud: aioresponses, states: list[str], query: str | None
) -> None:
    cloud.get(ANYTHING, payload={"items": []})
    async with connecting() as client:
        await client.list_sessions(0, 1, states, 0)
    [(_, sent)] = cloud.requests
    assert sent.query.get("session_state") == query


@every_operation
@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 429, 503, 599])
async def test_a_status_is_an_error_of_its_kind(cloud: aioresponses, operation: str, status: int) -> None:
    """The error has the code and the id for support, but not the message, which may name a person."""
    body = {"error_code": "WKS.1", "error_msg": "user hush"}
    error = await failure(cloud, operation, status=status, payload=body, headers={"X-Request-Id": "request-1"})
    assert error == refusal(operation, status, "WKS.1", "request-1")
    assert "hush" not in str(error)


@pytest.mark.bad_input
@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"\xff", b"[]", b'{"error":' * 9999, b"[" * 99_999])
async def test_an_error_needs_no_readable_body(cloud: aioresponses, body: bytes) -> None:
    """A 404 without a code does not say that a user is unknown."""
    assert type(await failure(cloud, status=404, body=body)) is Refused


@pytest.mark.bad_input
@every_operation
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", None),
        (b"<html><h1>Welcome</h1></html>", None),
        (b"null", None),
        (b'{"x":' * 9_999, None),
        (b'{"message": "Service under maintenance"}', None),
        (b'{"error_msg": "hush"}', None),
        (b'{"sessions": []}', None),
        (b'{"session_info_list": {}, "users": {}, "items": {}, "user_detail": []}', None),
        (b'{"error_code": "WKS.1", "error_msg": "hush"}', "WKS.1"),
        (b'{"error": {"code": 401, "message": "hush"}}', "401"),
        (b'{"session_info_list": [], "users": [], "items": [], "user_detail": {}, "code": "WKS.1"}', "WKS.1"),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_200_that_does_not_match_the_reference_is_invalid(
    cloud: aioresponses, operation: str, body: bytes, code: str | None
) -> None:
    error = await failure(cloud, operation, body=body, headers={"X-Request-Id": "request-1"})
    assert type(error) is InvalidResponse
    assert (error.outcome, error.error_code, error.request_id) == ("invalid_response", code, "request-1")
    assert "hush" not in str(error)


@pytest.mark.parametrize("message", [USER_QUOTA, f"The throttling threshold has been reached: {USER_QUOTA}"])
async def test_a_429_names_its_quota(cloud: aioresponses, message: str) -> None:
    error = await failure(cloud, status=429, payload={"error_code": "APIG.0308", "error_msg": message})
    assert isinstance(error, Throttled)
    assert (error.error_code, error.quota) == ("APIG.0308", 200)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("30", 30.0), ("0", 0.0), (formatdate(NOW + 90, usegmt=True), 90.0), (formatdate(NOW - 90, usegmt=True), 0.0)]
    + [(odd, None) for odd in ("", "soon", "-5", "1.5", "\u0665")],
)
async def test_retry_after_is_read_in_seconds_and_as_a_date(
    cloud: aioresponses, header: str, seconds: float | None
) -> None:
    error = await failure(cloud, status=503, headers={"Retry-After": header})
    assert error.retry_after == seconds


async def test_a_date_in_retry_after_is_measured_by_the_cloud_s_clock(cloud: aioresponses) -> None:
    """The exporter's clock may be a day off."""
    date, later = formatdate(NOW + 86_400, usegmt=True), formatdate(NOW + 86_420, usegmt=True)
    assert (await failure(cloud, status=503, headers={"Date": date, "Retry-After": later})).retry_after == 20


@pytest.mark.parametrize(
    ("exception", "kind", "outcome"),
    [
        (TimeoutError(), Unreachable, "timeout"),
        (aiohttp.ServerDisconnectedError(), Unreachable, "connection_error"),
        (aiohttp.ClientPayloadError(), Unreachable, "connection_error"),
        (ConnectionResetError(), Unreachable, "connection_error"),
    ],
)
async def test_without_an_answer_the_error_says_why(
    cloud: aioresponses, exception: Exception, kind: type[CloudError], outcome: str
) -> None:
    error = await failure(cloud, exception=exception)
    assert (type(error), error.outcome) == (kind, outcome)
