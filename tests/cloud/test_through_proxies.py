"""Requests through proxies, over real sockets: what the proxy and the cloud get, and what an error says."""

from __future__ import annotations

import time
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from support.certificates import certificate, serving
from support.proxies import ConnectProxy, rejection
from support.wire import SECRET_TOKEN, TLS, Wire, failure, fields, get, http, target, transporting, whole

from exporter import config
from exporter.cloud.causes import explain
from exporter.cloud.connect import ConnectionSpec, check_proxies, connected
from exporter.cloud.errors import (
    CloudError,
    Forbidden,
    Intercepted,
    Refused,
    Throttled,
    Unauthorized,
    Unreachable,
)
from exporter.cloud.proxy import UnusableProxyError
from exporter.cloud.transport import tls_context
from exporter.polling.gate import KeyGate
from exporter.setup import prepared

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def pem(tmp_path: Path, tool: Callable[[str], str]) -> Path:
    """A certificate with its key, for 127.0.0.1."""
    return certificate(tool("openssl"), tmp_path)


def settings(url: str, metadata: str = "http://169.254.169.254", **http_settings: str) -> config.Settings:
    """A project with a token and all services at one address."""
    project = {
        "project_id": "p",
        "users": ["alice"],
        "endpoints": {"sessions": url, "users": url, "metadata": metadata},
        "auth": {"token": SECRET_TOKEN},
    }
    return config.build(config.Layer("test", {"projects": [project], "http": http_settings}))


NO_SESSIONS = http(body=b'{"session_info_list": []}')


class TestProxies:
    """The choice of a proxy."""

    async def test_a_configured_proxy_is_used(self) -> None:
        """The proxy gets the whole address, the cloud's Host and its own password."""
        wire = Wire(NO_SESSIONS)
        async with wire.serve() as url:
            proxy = url.replace("://", "://user:hush@")
            given = settings("http://cloud.example:8080", proxy=proxy)
            async with connected(given.projects[0], given, TLS, time.time, KeyGate()) as connection:
                assert await connection.client.list_session_by_user_name("a b") == ()
        first = "GET http://cloud.example:8080/v1/p/session/user-session-info?user_name=a%20b HTTP/1.1"
        assert target(wire.seen[0]) == first
        received = dict(fields(wire.seen[0]))
        assert (received["Host"], received["X-Auth-Token"]) == ("cloud.example:8080", SECRET_TOKEN)
        assert received["Proxy-Authorization"].startswith("Basic ")

    async def test_credentials_for_https_pass_no_proxy_in_the_clear(self) -> None:
        """For https the proxy only gets CONNECT. If it refuses, the error does not show its password."""
        wire = Wire(http("403 Forbidden"), "close")
        async with wire.serve() as url:
            given = settings("https://cloud.example", proxy=url.replace("://", "://user:hush@"))
            async with connected(given.projects[0], given, TLS, time.time, KeyGate()) as connection:
                with pytest.raises(CloudError) as failed:
                    await connection.client.list_session_by_user_name("a")
        assert target(wire.seen[0]) == "CONNECT cloud.example:443 HTTP/1.1"
        assert SECRET_TOKEN.encode() not in b"".join(wire.seen)
        assert "hush" not in str(failed.value)

    async def test_a_dead_proxy_shows_no_password(self) -> None:
        """The error of an unreachable proxy does not show its password either."""
        async with transporting(proxy="http://user:hush@127.0.0.1:1") as through:
            error = await failure(through, get("http://cloud.example"))
        assert type(error) is Unreachable
        assert "hush" not in str(error)

    async def test_the_metadata_service_is_queried_without_a_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The service is link-local. Neither the configured proxy nor that of the environment is used."""
        metadata, proxy = Wire(http("404 Not Found")), Wire()
        for name in ("AK", "SK", "CREDENTIALS_FILE"):
            monkeypatch.delenv(f"HUAWEICLOUD_SDK_{name}", raising=False)
        monkeypatch.setenv("HOME", "/nonexistent")
        async with metadata.serve() as url, proxy.serve() as proxy_url:
            monkeypatch.setenv("HTTP_PROXY", proxy_url)
            given = settings(url, f"{url}/", proxy=proxy_url)
            project = given.projects[0].model_copy(update={"auth": config.Auth()})
            async with connected(project, given, TLS, time.time, KeyGate()) as connection:
                with pytest.raises(CloudError):
                    await connection.client.list_users(["a"], 0)
        assert [target(request).split()[1] for request in metadata.seen] == [
            "/meta-data/latest/api/token",
            "/openstack/latest/securitykey",
        ]
        assert proxy.seen == []

    async def test_the_environments_proxy_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a configured proxy, that of the environment is used, unless NO_PROXY excludes the host."""
        cloud, proxy = Wire(NO_SESSIONS), Wire(NO_SESSIONS)
        async with cloud.serve() as url, proxy.serve() as proxy_url:
            monkeypatch.setenv("HTTP_PROXY", proxy_url)
            for no_proxy in ("", "127.0.0.1"):
                monkeypatch.setenv("NO_PROXY", no_proxy)
                given = settings(url)
                async with connected(given.projects[0], given, TLS, time.time, KeyGate()) as connection:
                    await connection.client.list_session_by_user_name("a")
        assert (len(proxy.seen), len(cloud.seen)) == (1, 1)

    @pytest.mark.parametrize("listed", ["127.0.0.1", "127.0.0.0/8", "*", "localhost, 127.0.0.1:*,127.0.0.0/30"])
    async def test_no_proxy_excludes_a_host(self, monkeypatch: pytest.MonkeyPatch, listed: str) -> None:
        cloud, proxy = Wire(NO_SESSIONS), Wire(NO_SESSIONS)
        async with cloud.serve() as url, proxy.serve() as proxy_url:
            monkeypatch.setenv("ALL_PROXY", proxy_url)
            monkeypatch.setenv("no_proxy", listed)
            given = settings(url)
            async with connected(given.projects[0], given, TLS, time.time, KeyGate()) as connection:
                await connection.client.list_session_by_user_name("a")
        assert (len(proxy.seen), len(cloud.seen)) == (0, 1)

    @pytest.mark.bad_input
    async def test_an_unusable_proxy_of_the_environment_is_an_error_before_the_start(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Unless no endpoint goes through it. Nothing is sent, and nothing of it is shown."""
        given = settings("https://cloud.example")
        spec = ConnectionSpec.of(given.projects[0], given, TLS)
        monkeypatch.setenv("HTTP_PROXY", "socks5://user:hush@127.0.0.1:1")
        check_proxies(spec)
        monkeypatch.setenv("HTTPS_PROXY", "socks5://user:hush@127.0.0.1:1")
        with pytest.raises(UnusableProxyError, match=r"^HTTPS_PROXY names a SOCKS proxy, which is not supported"):
            check_proxies(spec)
        with pytest.raises(config.ConfigError, match="HTTPS_PROXY names a SOCKS proxy"):
            prepared(given, time.time)
        async with connected(given.projects[0], given, TLS, time.time, KeyGate()) as connection:
            with pytest.raises(Unreachable, match="HTTPS_PROXY names a SOCKS proxy"):
                await connection.client.list_users([], 0)
        configured = settings("https://cloud.example", proxy="http://p:1")
        check_proxies(ConnectionSpec.of(configured.projects[0], configured, TLS))
        monkeypatch.setenv("NO_PROXY", "cloud.example")
        check_proxies(spec)


class TestTunnels:
    """An https endpoint through a proxy, which connects at CONNECT."""

    LOGIN = "svc:p%E2%82%ACss"
    HEADER = f"Basic {b64encode('svc:p€ss'.encode()).decode()}"

    async def test_the_proxy_gets_its_password_and_the_cloud_does_not(self, pem: Path) -> None:
        """All requests share one connection."""
        wire, proxy = Wire(), ConnectProxy()
        async with (
            wire.serve(serving(pem)) as url,
            proxy.serve() as address,
            transporting(proxy=f"http://{self.LOGIN}@{address}", tls=tls_context(pem)) as through,
        ):
            for _ in range(3):
                await through.send(get(url), whole)
        (connect,) = proxy.heads
        assert dict(fields(connect))["Proxy-Authorization"] == self.HEADER
        assert len(wire.seen) == 3
        assert b"proxy-authorization" not in b"".join(wire.seen).lower()

    async def test_a_plain_request_carries_the_password_itself(self) -> None:
        """The proxy reads the whole request."""
        wire = Wire()
        async with wire.serve() as url, transporting(proxy=url.replace("//", f"//{self.LOGIN}@")) as through:
            for _ in range(2):
                await through.send(get("http://cloud.example"), whole)
        assert wire.connections == 1
        assert [dict(fields(seen))["Proxy-Authorization"] for seen in wire.seen] == [self.HEADER] * 2

    @pytest.mark.parametrize("endpoint", ["https", "http"])
    async def test_the_way_to_the_proxy_may_be_tls(self, pem: Path, endpoint: str) -> None:
        """The proxy is verified like the cloud."""
        wire, proxy = Wire(), ConnectProxy()
        async with wire.serve(serving(pem)) as url, proxy.serve(serving(pem)) as address:
            host = address if endpoint == "https" else url.removeprefix("https://")
            through_tls = f"https://{self.LOGIN}@{host}"
            request = get(url if endpoint == "https" else "http://cloud.example")
            async with transporting(proxy=through_tls, tls=tls_context(pem)) as through:
                await through.send(request, whole)
            async with transporting(proxy=through_tls) as through:
                error = await failure(through, request)
        assert (error.outcome, len(wire.seen)) == ("tls_error", 1)
        assert host in str(error)
        assert dict(fields((proxy.heads or wire.seen)[0]))["Proxy-Authorization"] == self.HEADER

    @pytest.mark.bad_input
    @pytest.mark.parametrize("body", [b"", b"<html>hush</html>", b'{"error_code": "WKS.1"}'])
    @pytest.mark.parametrize(
        ("status", "passing"),
        [(204, False), (302, False), (401, False), (403, False), (404, False), (407, False), (429, True), (502, True)],
    )
    async def test_a_rejected_connection_names_the_proxy_and_its_status(
        self, status: int, passing: bool, body: bytes
    ) -> None:
        """It is about neither credentials nor permissions, and only a problem of the proxy's may pass."""
        answer = rejection(f"{status} hush", body if status != 204 else b"")
        async with ConnectProxy(answer).serve() as address, transporting(proxy=f"http://u:hush@{address}") as through:
            error = await failure(through, get("https://cloud.example", query="user_name=hush"))
            assert through.telemetry.attempts == {("ListUsers", "connection_error"): 1}
        assert type(error) is type(error.bare()) is Intercepted
        assert (error.status, error.passing, error.error_code) == (status, passing, None)
        assert error.bare() == error
        for text in (str(error), error.facts()["detail"], explain(error.bare()).what):
            assert f"the proxy {address} rejects the request ({status})" in text

    @pytest.mark.bad_input
    async def test_a_407_says_that_the_proxy_wants_a_password(self) -> None:
        async with ConnectProxy(rejection("407 No")).serve() as address, transporting(proxy=address_of(address)) as to:
            cause = explain(await failure(to, get("https://cloud.example")))
        assert "requires a user and password, or those that it gets are wrong" in cause.what
        assert "http.proxy" in cause.remedy

    @pytest.mark.bad_input
    @pytest.mark.parametrize(
        ("proxy", "outcome", "text"),
        [
            (ConnectProxy(b""), "connection_error", "the connection was closed before an answer"),
            (ConnectProxy(b"SSH-2.0-OpenSSH_9.2\r\n"), "invalid_response", "the answer is not HTTP"),
            (ConnectProxy(b"\x05\xff"), "invalid_response", "the answer is not HTTP"),
            (
                ConnectProxy(b"HTTP/1.1 200 OK\r\n\r\nhush"),
                "connection_error",
                "cloud.example:443 ssl:default through the proxy",
            ),
            (
                ConnectProxy(b"HTTP/1.1 200 OK\r\n\r\n"),
                "connection_error",
                "cloud.example:443 ssl:default through the proxy",
            ),
            (ConnectProxy(b"HTTP/1.1 2"), "connection_error", ""),
            (ConnectProxy(silent=True), "timeout", ""),
        ],
        ids=lambda value: repr(value.answer)[:20] if isinstance(value, ConnectProxy) else None,
    )
    async def test_any_other_failure_names_the_proxy(self, proxy: ConnectProxy, outcome: str, text: str) -> None:
        patience = 0.5 if proxy.silent else 10.0
        async with (
            proxy.serve() as address,
            transporting(proxy=f"http://u:hush@{address}", patience=patience) as through,
        ):
            error = await failure(through, get("https://cloud.example", query="user_name=hush"))
        assert error.outcome == outcome
        assert text in error.detail
        assert f"through the proxy {address}" in explain(error).what
        assert "hush" not in str(error)


def address_of(address: str) -> str:
    return f"http://{address}"


PAGE = b"\xef\xbb\xbf \n<!DOCTYPE html><html>hush is blocked</html>"


class TestPages:
    """Answers of something in between, which are not the cloud's."""

    @pytest.mark.bad_input
    @pytest.mark.parametrize(
        ("status", "body", "headers", "kind"),
        [
            (401, PAGE, {}, Intercepted),
            (401, b"", {}, Unauthorized),
            (401, b"Unauthorized", {}, Unauthorized),
            (401, PAGE, {"X_Request_Id": "r"}, Unauthorized),
            (401, b'{"error_code": "APIGW.0301"}', {"Content_Type": "text/html"}, Unauthorized),
            (401, b"\x1f\x8b", {"Content_Type": "Text/HTML; charset=utf-8"}, Intercepted),
            (403, PAGE, {}, Intercepted),
            (403, PAGE, {"X_Request_Id": "r"}, Intercepted),
            (403, b"", {}, Intercepted),
            (403, b"Access denied by policy", {}, Intercepted),
            (403, b'{"reason": "blocked"}', {}, Intercepted),
            (403, b"", {"X_Request_Id": "r"}, Forbidden),
            (403, b'{"error_code": "WKS.00010403"}', {}, Forbidden),
            (403, b'{"errorCode": "APIGW.0302"}', {}, Forbidden),
            (403, b'{"error": {"code": 403, "message": "hush"}}', {}, Forbidden),
            (407, b'{"error_code": "WKS.1"}', {"X_Request_Id": "r"}, Intercepted),
            (404, PAGE, {}, Refused),
            (429, PAGE, {}, Throttled),
            (503, PAGE, {}, Refused),
            (302, PAGE, {}, Refused),
        ],
    )
    async def test_credentials_and_permissions_are_to_blame_only_if_the_cloud_answers(
        self, status: int, body: bytes, headers: dict[str, str], kind: type[CloudError]
    ) -> None:
        """The outcome is the status in any case."""
        async with Wire(http(f"{status} hush", body, **headers)).serve() as url, transporting() as through:
            error = await failure(through, get(url))
            assert through.telemetry.attempts == {("ListUsers", str(status)): 1}
        assert type(error) is kind
        assert error.status == status
        assert "hush" not in str(error)

    @pytest.mark.bad_input
    @pytest.mark.parametrize(
        ("status", "text", "remedy"),
        [
            (200, "(invalid_response, an HTML page", "any proxy or portal in between"),
            (302, "the answer is a redirect, which is never followed (302, an HTML page", "captive portal"),
            (400, "a proxy, firewall or portal in between answers in place of the cloud", "check endpoints"),
            (401, "in between rejects the request (401)", "make the proxy and firewall allow"),
            (403, "in between rejects the request (403)", "make the proxy and firewall allow"),
            (404, "a proxy, firewall or portal in between answers in place of the cloud", "check endpoints"),
            (407, "in between rejects the request (407): it requires a user and password", "http.proxy"),
            (429, "a proxy, firewall or portal in between answers in place of the cloud", "check endpoints"),
            (503, "a proxy or firewall in between, or the cloud's load balancer, has a problem", "wait"),
            (511, "a proxy or firewall in between, or the cloud's load balancer, has a problem", "wait"),
        ],
    )
    async def test_the_cause_is_what_is_in_between(self, status: int, text: str, remedy: str) -> None:
        """The proxy is named if there is one."""

        def unreadable(_: object) -> None:
            raise UnicodeDecodeError("utf-8", PAGE, 0, 1, "hush")

        async with Wire(http(f"{status} Oops", PAGE)).serve() as url:
            async with transporting() as through:
                direct = explain((await failure(through, get(url), unreadable)).bare())
            async with transporting(proxy=url.replace("//", "//u:hush@")) as through:
                proxied = explain((await failure(through, get("http://cloud.example"), unreadable)).bare())
        assert text in direct.what
        assert remedy in direct.remedy
        assert f"the proxy {url.removeprefix('http://')}" in proxied.what
        assert "hush" not in str(direct) + str(proxied)

    @pytest.mark.bad_input
    async def test_an_answer_without_a_page_may_be_another_service_s(self) -> None:
        async with Wire(http("403 No", b"denied")).serve() as url, transporting() as through:
            cause = explain(await failure(through, get(url)))
        assert cause.what.startswith(
            "something else than the cloud, such as a proxy or firewall, rejects the request (403)"
        )
