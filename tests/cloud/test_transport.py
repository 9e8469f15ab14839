"""One exchange over real sockets on loopback: bytes, encodings, limits and timeouts."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import inspect
import socket
import threading
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Literal, cast

import aiohttp
import hypothesis
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.certificates import certificate, serving
from support.promises import Promise
from support.wire import (
    NOW,
    SECRET_TOKEN,
    TLS,
    Wire,
    failure,
    failure_of,
    fields,
    get,
    http,
    target,
    transporting,
    whole,
)

from exporter.cloud import answers, bodies
from exporter.cloud.auth import AccessKey, encoded, query_string
from exporter.cloud.bodies import BUDGET, MIB, SMALL, UNRESERVED, ByteBudget, Deadline, Share, answer_limit
from exporter.cloud.client import IAM_ACTIONS
from exporter.cloud.errors import (
    CloudError,
    InvalidResponse,
    Refused,
    Throttled,
    Unreachable,
)
from exporter.cloud.telemetry import LATENCY_BUCKETS, Latencies, Telemetry
from exporter.cloud.transport import Answer, Request, tls_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


class TestRequests:
    """Requests are sent exactly as they were signed."""

    @pytest.mark.parametrize(
        "name", ["user001", "a b", "a+b", "100%", "a%20b", "x/y?z", "a&b=c", "~*'()", "Jörg Müller", "日本", "..", ""]
    )
    async def test_path_and_query_are_sent_as_signed(self, name: str) -> None:
        """The HTTP library does not decode, encode or normalize a path or a query."""
        path, query = f"/v2/p/users/{encoded(name)}", query_string([("user_name", name), ("a", ""), ("a", name)])
        wire = Wire()
        async with wire.serve() as url, transporting() as through:
            await through.send(get(url, path, query), whole)
        assert target(wire.seen[0]) == f"GET {path}?{query} HTTP/1.1"

    async def test_a_path_without_a_query(self) -> None:
        """There is no question mark without a query. Dots and double slashes stay as they are."""
        wire = Wire()
        async with wire.serve() as url, transporting() as through:
            await through.send(get(url, "/v2/p/../users/./x//"), whole)
        assert target(wire.seen[0]) == "GET /v2/p/../users/./x// HTTP/1.1"

    @pytest.mark.parametrize("body", [b"", '{"name": "Jörg"}'.encode()])
    async def test_signed_headers_arrive_unchanged(self, body: bytes) -> None:
        """Every signed header arrives once with the signed value, including Host with its port. So does the body."""
        wire = Wire()
        async with wire.serve() as url, transporting() as through:
            plain = {"Content-Type": "application/json", "X-Project-Id": "p"}
            request = Request("Op", "POST" if body else "GET", url, "/v3/x", "a=1", plain, body)
            headers = AccessKey("AK", "SK", "ST").headers(request, NOW)
            await through.send(Request("Op", request.method, url, "/v3/x", "a=1", headers, body), whole)
        received = fields(wire.seen[0])
        signed = headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        assert signed == ["content-type", "host", "x-project-id", "x-sdk-date", "x-security-token"]
        for name, value in headers.items():
            assert [sent for field_, sent in received if field_.lower() == name.lower()] == [value]
        assert dict(received)["Host"] == url.removeprefix("http://")
        assert wire.seen[0].endswith(b"\r\n\r\n" + body)

    @pytest.mark.parametrize("host", ["cloud.example", "cloud.example:80", "Cloud.Example:8080", "[2001:db8::1]:80"])
    async def test_the_host_is_sent_as_signed(self, host: str) -> None:
        """Host is signed as the endpoint writes it, including a default port."""
        wire = Wire()
        async with wire.serve() as proxy, transporting(proxy=proxy) as through:
            request = get(f"http://{host}")
            signed = AccessKey("AK", "SK").headers(request, NOW)
            await through.send(request, whole)
        assert dict(fields(wire.seen[0]))["Host"] == signed["Host"] == host

    async def test_no_compressed_body_is_requested(self) -> None:
        """The exporter sends its name and requests bodies without compression."""
        wire = Wire()
        async with wire.serve() as url, transporting() as through:
            await through.send(get(url), whole)
        received = dict(fields(wire.seen[0]))
        assert received["Accept-Encoding"] == "identity"
        assert received["User-Agent"].startswith("huaweicloud-workspace-exporter/")

    async def test_names_are_looked_up(self) -> None:
        """Each address of a name is tried until one takes the connection."""
        wire = Wire()
        async with wire.serve() as url, transporting() as through:
            await through.send(get(url.replace("127.0.0.1", "localhost")), whole)
        assert dict(fields(wire.seen[0]))["Host"].startswith("localhost:")

    async def test_connections_are_kept(self) -> None:
        """Consecutive requests share a connection."""
        wire = Wire()
        async with wire.serve() as url, transporting() as through:
            for _ in range(5):
                await through.send(get(url), whole)
        assert (wire.connections, len(wire.seen)) == (1, 5)

    @pytest.mark.bad_input
    @pytest.mark.parametrize("token", ["one\ntwo", "one\r\nX-Injected: 1", "one\x00", "\x1b"])
    async def test_credentials_that_no_header_can_hold(self, token: str) -> None:
        """A token file with a second line, for example, is a CloudError, and nothing is sent."""
        wire = Wire()
        async with wire.serve() as url, transporting() as through:
            error = await failure(through, get(url, headers={"X-Auth-Token": token}))
        assert type(error) is Unreachable
        assert "header" in str(error)
        assert wire.seen == []


class TestAnswers:
    """How answers are read."""

    async def test_an_answer_is_handed_over_whole(self) -> None:
        """It has the status, the headers in any case, and the unchanged body."""
        wire = Wire(http("201 Created", b'\x00\xff{"a": 1}', x_subject_token="t"))
        async with wire.serve() as url, transporting() as through:
            answer = await through.send(get(url), whole)
        assert (answer.status, answer.headers["X-Subject-Token"], answer.body) == (201, "t", b'\x00\xff{"a": 1}')

    async def test_a_chunked_body(self) -> None:
        """A body without a length is joined from its chunks."""
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n1\r\n \r\n0\r\n\r\n"
        async with Wire(chunked).serve() as url, transporting() as through:
            assert (await through.send(get(url), whole)).body == b"{} "

    @pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
    async def test_redirects_are_not_followed(self, status: str) -> None:
        """A redirect is an error, so no answer sends the credentials elsewhere."""
        elsewhere = Wire()
        async with elsewhere.serve() as other:
            error = await failure_of(Wire(http(status, Location=f"{other}/v1/p")))
        assert type(error) is Refused
        assert error.outcome == status[:3]
        assert elsewhere.connections == 0

    async def test_cookies_are_not_kept(self) -> None:
        """A cookie is not sent with the next request."""
        wire = Wire(http(Set_Cookie="session=1; Path=/"))
        # Through a proxy, so that the host has a name: for bare addresses hardly any client keeps cookies.
        async with wire.serve() as proxy, transporting(proxy=proxy) as through:
            for _ in range(2):
                await through.send(get("http://cloud.example"), whole)
        assert len(wire.seen) == 2
        assert b"cookie" not in b"".join(wire.seen).lower()

    @pytest.mark.bad_input
    @pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
    async def test_compressed_bodies_stay_compressed(self, coding: str) -> None:
        """An unrequested compression is not undone, so an answer needs no more memory than was sent."""
        body = gzip.compress(bytes(100_000))
        async with Wire(http(body=body, Content_Encoding=coding)).serve() as url, transporting() as through:
            assert (await through.send(get(url), whole)).body == body


class TestLongBodies:
    """No body is read beyond the limit of its operation."""

    @pytest.fixture(autouse=True)
    def _small_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(bodies._ANSWER_LIMITS, "ListUsers", 1000)  # noqa: SLF001 - bodies of some MiB take long
        monkeypatch.setattr(bodies, "ERROR_LIMIT", 1000)

    @pytest.mark.parametrize("length", [{}, {"Transfer_Encoding": "chunked"}], ids=["sized", "chunked"])
    async def test_a_body_of_just_the_limit_is_read(self, length: dict[str, str]) -> None:
        body = b"3e8\r\n" + bytes(1000) + b"\r\n0\r\n\r\n" if length else bytes(1000)
        async with Wire(http(body=body, **length)).serve() as url, transporting() as through:
            assert len((await through.send(get(url), whole)).body) == 1000

    @pytest.mark.bad_input
    @pytest.mark.parametrize(
        "answer",
        [
            http(body=b"", Content_Length="1001"),
            http(body=b"", Content_Length="999999999"),
            http(body=b"3e9\r\n" + bytes(1001), Transfer_Encoding="chunked"),
            b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1001),
        ],
        ids=["announced", "announced as huge", "chunked", "unannounced"],
    )
    async def test_a_longer_answer_is_invalid_at_once(self, answer: bytes) -> None:
        """The server still holds the connection, and need not have sent anything of the body."""
        error = await failure_of(Wire(answer, then="hang"))
        assert type(error) is InvalidResponse
        assert str(error) == "ListUsers: invalid_response, body over 1000 bytes"

    @pytest.mark.bad_input
    @pytest.mark.parametrize("length", [{"Content_Length": "999999999"}, {"Content_Length": "1001"}])
    async def test_of_a_longer_error_only_the_beginning_is_read(self, length: dict[str, str]) -> None:
        """It stays the error that its status says. A truncated body has no error code."""
        body = b'{"error_code":"WKS.1","error_msg":"limit:200,time:1 minute'.ljust(999, b"x") + b'"}'
        error = await failure_of(Wire(http("429 Too Many Requests", body, **length), then="hang"))
        assert isinstance(error, Throttled)
        assert (error.error_code, error.quota) == (None, 200)

    async def test_the_rest_is_left_unread(self) -> None:
        """A server that never stops sending is disconnected, and the next request has a connection of its own."""
        wire = Wire(http(body=b"", Content_Length=str(2**60)), then="flood")
        async with wire.serve() as url, transporting() as through:
            for call, status in enumerate(("200 OK", "500 Oops"), 1):
                wire.answer = http(status, b"", Content_Length=str(2**60))
                wire.left.clear()
                await failure(through, get(url))
                assert wire.connections == call
                async with asyncio.timeout(10):
                    await wire.left.wait()


def test_every_operation_has_a_limit() -> None:
    """Pages of users are longest. No limit is above a quarter of the budget, so four answers are read at a time."""
    limits = {operation: answer_limit(operation) for operation in [*IAM_ACTIONS, "KeystoneCreateUserTokenByPassword"]}
    assert limits == {
        "ListSessionByUserName": 2 * MIB,
        "ListSessions": 2 * MIB,
        "ListUsers": 4 * MIB,
        "ListUserDetail": MIB,
        "ListServers": 2 * MIB,
        "ListServerGroups": 2 * MIB,
        "KeystoneCreateUserTokenByPassword": MIB,
    }
    assert 4 * max(limits.values()) <= BUDGET == 16 * MIB


class TestBudget:
    """Answers over UNRESERVED bytes take their whole limit from a budget that transports share."""

    LARGE = http(body=bytes(UNRESERVED + 1))

    async def test_of_answers_below_its_size_sixteen_are_read_at_once(self) -> None:
        """Whatever number of projects is polled: half-sent answers cannot add up."""
        budget, more, reading = ByteBudget(), asyncio.Event(), 0

        class HalfSent:
            content_length = None

            @property
            def content(self) -> HalfSent:
                return self

            async def iter_any(self) -> AsyncIterator[bytes]:
                nonlocal reading
                yield b"x" * (SMALL + 1)
                reading += 1
                await more.wait()

        async def read() -> bytes:
            share = Share(budget)
            with Deadline(5) as deadline:
                try:
                    return await share.read(cast("aiohttp.ClientResponse", HalfSent()), MIB, deadline)
                finally:
                    share.release()

        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(read()) for _ in range(40)]
            await asyncio.sleep(0.05)
            assert reading == BUDGET // UNRESERVED == 16
            more.set()
        assert {len(answer.result()) for answer in answers} == {SMALL + 1}

    async def test_the_budget_is_free_again_whatever_comes(self) -> None:
        budget = ByteBudget()
        halves = [http(body=bytes(2 * MIB), Content_Length=str(3 * MIB)), http(body=b"\xff" * 2 * MIB)]
        for answer in (self.LARGE, http(body=bytes(5 * MIB)), *halves):
            async with Wire(answer, "close").serve() as url, transporting(budget=budget) as through:
                for _ in range(5):
                    with contextlib.suppress(CloudError):
                        await through.send(get(url), lambda answer: answers.user_page(answer.body))
        assert budget.free == budget.size

    async def test_the_whole_limit_is_taken_until_the_answer_is_decoded(self) -> None:
        budget = ByteBudget()
        async with Wire(self.LARGE).serve() as url, transporting(budget=budget) as through:
            assert await through.send(get(url), lambda _: budget.free) == BUDGET - answer_limit("ListUsers")

    async def test_small_answers_never_wait(self) -> None:
        budget = ByteBudget()
        await budget.take(budget.size)
        async with Wire(http(body=bytes(UNRESERVED))).serve() as url, transporting(budget=budget) as through:
            assert len((await through.send(get(url), whole)).body) == UNRESERVED

    @pytest.mark.parametrize("length", [{}, {"Content_Length": "1048577"}], ids=["unannounced", "announced"])
    async def test_waiting_does_not_count_against_the_timeout(self, length: dict[str, str]) -> None:
        """An answer waits twice as long as a request may take, and is read then."""
        budget = ByteBudget()
        await budget.take(budget.size)
        lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in length.items()]
        answer = f"HTTP/1.1 200 OK\r\n{''.join(lines)}\r\n".encode() + bytes(UNRESERVED + 1)
        async with Wire(answer, "close").serve() as url, transporting(patience=0.5, budget=budget) as through:
            asyncio.get_running_loop().call_later(1.0, budget.release, budget.size)
            assert len((await through.send(get(url), whole)).body) == UNRESERVED + 1
        assert budget.free == budget.size

    async def test_the_timeout_continues_after_waiting(self) -> None:
        budget = ByteBudget()
        await budget.take(budget.size)
        wire = Wire(http(body=b"", Content_Length=str(2 * MIB)), "hang")
        async with wire.serve() as url, transporting(patience=0.2, budget=budget) as through:
            asyncio.get_running_loop().call_later(0.1, budget.release, budget.size)
            assert (await failure(through, get(url))).outcome == "timeout"
        assert budget.free == budget.size

    async def test_no_answer_waits_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "BUDGET_WAIT", 0.1)
        budget = ByteBudget()
        await budget.take(budget.size)
        async with Wire(self.LARGE).serve() as url, transporting(budget=budget) as through:
            assert (await failure(through, get(url))).outcome == "timeout"
        assert budget.free == 0, "what was not taken is not released"

    async def test_waiting_answers_are_served_in_their_order(self) -> None:
        """A large one is not overtaken by small ones. One that gives up is passed over."""
        budget, served = ByteBudget(10), list[int]()

        async def take(size: int) -> None:
            await budget.take(size)
            served.append(size)

        async def turns() -> list[int]:
            for _ in range(9):
                await asyncio.sleep(0)
            return served

        await budget.take(8)
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(take(size)) for size in (9, 7, 1)]
            assert await turns() == []
            waiting[0].cancel()
            assert await turns() == []
            budget.release(8)
            assert await turns() == [7, 1]
        budget.release(8)
        assert budget.free == 10

    async def test_an_answer_longer_than_the_budget_takes_all_of_it(self) -> None:
        async with Wire(self.LARGE).serve() as url, transporting(budget=ByteBudget(1)) as through:
            await through.send(get(url), whole)


class TestFailedConnections:
    """No complete answer arrived."""

    @pytest.mark.bad_input
    @pytest.mark.parametrize(
        "wire",
        [
            Wire(b"", "hang"),
            Wire(b"HTTP/1.1 200 OK\r\nContent-", "hang"),
            Wire(http(Content_Length="100"), "hang"),
        ],
        ids=["nothing", "half a head", "half a body"],
    )
    async def test_timeouts(self, wire: Wire) -> None:
        """The timeout covers the whole answer, whichever part is missing."""
        started = time.perf_counter()
        error = await failure_of(wire, patience=0.1)
        assert 0.09 < time.perf_counter() - started < 5
        assert type(error) is Unreachable
        assert error.outcome == "timeout"

    @pytest.mark.bad_input
    @pytest.mark.parametrize(
        "wire",
        [
            Wire(b"", "close"),
            Wire(b"", "reset"),
            Wire(b"HTTP/1.1 200 OK\r\nContent-", "close"),
            Wire(http(Content_Length="100"), "close"),
            Wire(http(Content_Length="100"), "reset"),
            Wire(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}", "close"),
        ],
        ids=["closed", "reset", "closed amid head", "closed amid body", "reset amid body", "closed amid chunk"],
    )
    async def test_broken_connections(self, wire: Wire) -> None:
        """A partial answer is not used."""
        error = await failure_of(wire)
        assert type(error) is Unreachable
        assert error.outcome == "connection_error"

    @pytest.mark.bad_input
    @pytest.mark.parametrize("then", ["close", "reset"])
    @pytest.mark.promise(Promise.PACED)
    async def test_nothing_is_repeated_on_a_kept_connection_that_breaks(self, then: Literal["close", "reset"]) -> None:
        """The server gets exactly the requests that are counted. A repetition is up to the caller."""
        wire = Wire()
        async with wire.serve() as url, transporting() as through:
            await through.send(get(url), whole)
            wire.answer, wire.then = b"", then
            error = await failure(through, get(url))
            assert error.outcome == "connection_error"
            assert (wire.connections, len(wire.seen)) == (1, through.telemetry.attempts.total()) == (1, 2)

    def test_aiohttp_still_has_the_switch_and_asyncio_the_size(self) -> None:
        """Both are private. The tests above and in faults/test_hostile.py say what they are for."""
        assert "_retry_connection" in aiohttp.ClientSession.ATTRS
        assert "self.max_size" in inspect.getsource(asyncio.selector_events)
        assert "self.max_size" in inspect.getsource(asyncio.sslproto)

    async def test_nobody_there(self) -> None:
        """If nothing listens there, the error names the host and port."""
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{reserved.getsockname()[1]}"
            async with transporting() as through:
                error = await failure(through, get(f"http://{address}"))
        assert type(error) is Unreachable
        assert error.outcome == "connection_error"
        assert address in str(error)

    @pytest.mark.bad_input
    async def test_an_unknown_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error contains the name and the resolver's message."""

        def unknown(*_: object, **__: object) -> list[object]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        async with transporting() as through:
            error = await failure(through, get("http://cloud.invalid"))
        assert type(error) is Unreachable
        assert str(error) == (
            "ListUsers: connection_error, "
            "Cannot connect to host cloud.invalid:80 ssl:default [Name or service not known]"
        )

    @pytest.mark.bad_input
    async def test_a_lookup_that_never_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is a timeout, even if many requests wait for the same name."""
        silence = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: silence.wait(20))
        async with transporting(patience=0.1) as through:
            errors = await asyncio.gather(*(failure(through, get("http://cloud.invalid")) for _ in range(3)))
            assert [error.outcome for error in errors] == ["timeout"] * 3
        silence.set()

    @pytest.mark.bad_input
    async def test_an_impossible_host(self) -> None:
        """A host that is not a valid name is a connection error."""
        async with transporting() as through:
            error = await failure(through, get("http://no..such..name"))
        assert type(error) is Unreachable
        assert error.outcome == "connection_error"

    async def test_tls_against_a_plain_port(self) -> None:
        """A port that does not speak TLS is a TLS error."""
        wire = Wire(http("400 Bad Request"), "close", impatient=True)
        async with wire.serve() as url, transporting() as through:
            error = await failure(through, get(url.replace("http:", "https:")))
            assert through.telemetry.attempts == {("ListUsers", "tls_error"): 1}
        assert type(error) is Unreachable
        assert SECRET_TOKEN.encode() not in b"".join(wire.seen)

    @pytest.mark.bad_input
    @pytest.mark.parametrize(
        "answer",
        [
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\x15\x03\x01\x00\x02\x02\x46",
            b"HTTP/1.1 twohundred OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        ],
        ids=lambda answer: repr(answer[:30]) if isinstance(answer, bytes) else None,
    )
    async def test_what_is_no_http(self, answer: bytes) -> None:
        """A server that does not speak HTTP gives an invalid response."""
        error = await failure_of(Wire(answer, "close"))
        assert type(error) is InvalidResponse
        assert error.outcome == "invalid_response"


class TestTls:
    """Servers are verified, always."""

    @pytest.fixture
    def made(self, tmp_path: Path, tool: Callable[[str], str]) -> Callable[[str], Path]:
        """Make a self-signed certificate for a name. Return a PEM file with the certificate and its key."""
        return lambda name: certificate(tool("openssl"), tmp_path, name=name)

    async def test_a_trusted_server(self, made: Callable[[str], Path]) -> None:
        """A server with its authority in the CA file gets the request."""
        file, wire = made("IP:127.0.0.1"), Wire()
        async with wire.serve(serving(file)) as url, transporting(tls=tls_context(file)) as through:
            await through.send(get(url), whole)
        assert SECRET_TOKEN.encode() in wire.seen[0]

    @pytest.mark.parametrize("name", ["IP:127.0.0.1", "DNS:other.example"])
    async def test_a_server_not_to_trust(self, made: Callable[[str], Path], name: str) -> None:
        """An unknown authority, or a certificate for another name, is a TLS error, and no token is sent."""
        file, wire = made(name), Wire()
        trusted = tls_context(file) if name.startswith("DNS") else TLS
        async with wire.serve(serving(file)) as url, transporting(tls=trusted) as through:
            error = await failure(through, get(url))
            assert through.telemetry.attempts == {("ListUsers", "tls_error"): 1}
        assert type(error) is Unreachable
        assert "certificate verify failed" in str(error)
        assert wire.seen == []


@pytest.mark.bad_input
@hypothesis.settings(deadline=None)  # each example serves a port
@given(st.binary(max_size=60), st.sampled_from(["", "HTTP/1.1 ", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\n"]))
@example(b"", "HTTP/1.1 200 OK\r\nDate: \x00\r\n")
@example(b"2\r\n{}", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
@example(b"{}", "HTTP/1.1 100 Continue\r\n\r\n")
@example(b"zzz\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
def test_no_bytes_raise_anything_else(tail: bytes, head: str) -> None:
    """Any bytes of the cloud, or of a proxy at CONNECT, lead to an answer or a CloudError, and are counted."""

    async def scenario() -> None:
        async with Wire(head.encode() + tail, "close").serve() as url, transporting() as through:
            with contextlib.suppress(CloudError):
                await through.send(get(url), whole)
            async with transporting(proxy=url) as tunnelled:
                await failure(tunnelled, get("https://cloud.example"))
            assert through.telemetry.attempts.total() == tunnelled.telemetry.attempts.total() == 1

    asyncio.run(scenario())


class TestTelemetry:
    """What is counted."""

    async def test_every_attempt_is_counted_by_its_outcome(self) -> None:
        """Statuses, broken connections and undecodable bodies are counted by operation."""

        def unreadable(_: Answer) -> None:
            raise bodies.ErrorBody(None)

        wire = Wire()
        async with wire.serve() as url, transporting() as through:
            for _ in range(2):
                await through.send(get(url), whole)
            await failure(through, get(url), unreadable)
            await through.send(Request("Other", "GET", url, "/"), whole)
            for status in ("429 Too Many", "503 Unavailable"):
                wire.answer = http(status)
                await failure(through, get(url))
            wire.answer, wire.then = http(Content_Length="9"), "close"
            await failure(through, get(url))
        assert through.telemetry.attempts == {
            ("ListUsers", "200"): 2,
            ("ListUsers", "invalid_response"): 1,
            ("Other", "200"): 1,
            ("ListUsers", "429"): 1,
            ("ListUsers", "503"): 1,
            ("ListUsers", "connection_error"): 1,
        }
        assert {name: sum(each.counts) for name, each in through.telemetry.latencies.items()} == {
            "ListUsers": 5,  # all that brought a whole answer
            "Other": 1,
        }

    async def test_latencies_are_measured(self) -> None:
        """The duration is the time to the complete answer, in seconds."""
        async with Wire().serve() as url, transporting() as through:
            started = time.perf_counter()
            await through.send(get(url), whole)
            elapsed = time.perf_counter() - started
        assert 0 < through.telemetry.latencies["ListUsers"].seconds <= elapsed

    def test_buckets_include_their_upper_bound(self) -> None:
        """As in Prometheus, a bound is inclusive, and the last bucket has none."""
        latencies = Latencies()
        for seconds in (0.0, 0.025, 0.0251, 30.0, 31.0):
            latencies.observe(seconds)
        assert (latencies.counts[0], latencies.counts[1], latencies.counts[-2], latencies.counts[-1]) == (2, 1, 1, 1)
        assert len(latencies.counts) == len(LATENCY_BUCKETS) + 1
        assert latencies.seconds == pytest.approx(61.0501)

    def test_nothing_is_known_at_the_start(self) -> None:
        """There are no requests, no latencies and no skew."""
        assert Telemetry() == Telemetry(attempts={}, latencies={}, clock_skew=None)  # type: ignore[arg-type] # equal to an empty Counter

    @pytest.mark.parametrize("skew", [-7200, 0, 42])
    async def test_the_skew_is_the_cloud_s_date_minus_the_clock(self, skew: float) -> None:
        """This also holds for errors."""
        wire = Wire(http("403 Forbidden", Date=formatdate(NOW + skew, usegmt=True)))
        async with wire.serve() as url, transporting() as through:
            await failure(through, get(url))
        assert through.telemetry.clock_skew == skew

    @pytest.mark.parametrize("date", [None, "", "soon", "Fri, 31 Feb 2025 00:00:00 GMT", "1 Jan 99999999 00:00 GMT"])
    async def test_without_a_date_the_last_skew_remains(self, date: str | None) -> None:
        """A missing or invalid date changes nothing."""
        wire = Wire(http(Date=formatdate(NOW + 5, usegmt=True)))
        async with wire.serve() as url, transporting() as through:
            await through.send(get(url), whole)
            wire.answer = http() if date is None else http(Date=date)
            await through.send(get(url), whole)
        assert through.telemetry.clock_skew == 5

    @pytest.mark.parametrize("date", ["Fri, 15 Jan 2027 08:00:05 GMT", "Fri Jan 15 08:00:05 2027"])
    async def test_dates_are_utc(self, date: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A date without a zone, as old servers write it, is UTC and not local time."""
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        try:
            async with Wire(http(Date=date)).serve() as url, transporting() as through:
                await through.send(get(url), whole)
            assert through.telemetry.clock_skew == 5
        finally:
            monkeypatch.undo()
            time.tzset()
