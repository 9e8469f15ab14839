"""The doctor tells apart what a proxy, a firewall or a portal does, and shows neither user nor password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.certificates import certificate, serving
from support.diagnosis import HUSH, Diagnosis, diagnose, frozen
from support.exporters import project
from support.proxies import ConnectProxy, rejection
from support.wire import Wire, http

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGE = f"<html>{HUSH} is blocked</html>".encode()


async def diagnosis_of(endpoint: str, proxy: str | None = None, **http_settings: Any) -> Diagnosis:
    """Diagnose an endpoint through a proxy with a user and a password."""
    services = {"sessions": endpoint, "users": endpoint}
    nowhere = project(frozen(), endpoint, auth={"token": f"{HUSH}-token"}, endpoints=services)
    if proxy:
        http_settings["proxy"] = f"{proxy.partition('//')[0]}//{HUSH}:p%E2%82%AC{HUSH}@{proxy.partition('//')[2]}"
    return await diagnose(nowhere, http=http_settings, poll={"timeout": "500ms"})


@pytest.mark.parametrize(
    ("proxy", "text", "remedy"),
    [
        (ConnectProxy(rejection("403 No")), "rejects the request (403)", "allow and reach this host"),
        (ConnectProxy(rejection("407 Who")), "rejects the request (407): it requires a user", "percent-encoded"),
        (ConnectProxy(rejection("401 Who")), "rejects the request (401)", "allow and reach this host"),
        (ConnectProxy(rejection("502 Bad")), "rejects the request (502)", "allow and reach this host"),
        (ConnectProxy(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not answer with HTTP", "is it an HTTP proxy"),
        (ConnectProxy(b""), "closes the connection before TLS begins", "whether the proxy allows"),
        (ConnectProxy(b"HTTP/1.1 200 OK\r\n\r\n"), "closes the connection before TLS begins", "allows and reaches"),
        (ConnectProxy(silent=True), "makes no connection within 500ms", "whether the proxy reaches this host"),
    ],
    ids=lambda value: repr(value.answer)[:20] if isinstance(value, ConnectProxy) else None,
)
async def test_a_tunnel_that_is_not_made_names_the_proxy(proxy: ConnectProxy, text: str, remedy: str) -> None:
    """It is one failure, and nothing but CONNECT is sent."""
    async with proxy.serve() as address:
        diagnosis = await diagnosis_of("https://cloud.invalid", f"http://{address}")
    assert f"(sessions, users) is unreachable: the proxy {address} {text}" in diagnosis.only("FAIL")
    assert remedy in diagnosis.only("FAIL")
    assert all(head.startswith(b"CONNECT cloud.invalid:443 ") for head in proxy.heads)


async def test_a_proxy_s_own_certificate_is_distinguished_from_the_endpoint_s(
    tmp_path: Path, tool: Callable[[str], str]
) -> None:
    pem = certificate(tool("openssl"), tmp_path)
    async with ConnectProxy().serve(serving(pem)) as address:
        diagnosis = await diagnosis_of("https://cloud.invalid", f"https://{address}")
    assert f"is unreachable: the proxy {address} has an untrusted certificate" in diagnosis.only("FAIL")
    async with Wire().serve(serving(pem)) as url, ConnectProxy().serve() as address:
        diagnosis = await diagnosis_of(url, f"http://{address}")
    assert f"is unreachable: through the proxy {address}, it has an untrusted certificate" in diagnosis.only("FAIL")


async def test_a_proxy_within_tls_works(tmp_path: Path, tool: Callable[[str], str]) -> None:
    """The endpoint's certificate is shown, not the proxy's."""
    pem = certificate(tool("openssl"), tmp_path)
    async with Wire().serve(serving(pem)) as url, ConnectProxy().serve(serving(pem)) as address:
        diagnosis = await diagnosis_of(url, f"https://{address}", ca_file=str(pem))
    assert f"answers through the proxy {address}, which resolves the name, over TLS 1.3" in diagnosis.text


@pytest.mark.parametrize("url", [f"socks5://{HUSH}:{HUSH}@127.0.0.1:1", f"{HUSH}:{HUSH}@127.0.0.1:x", "http://["])
async def test_an_unusable_proxy_of_the_environment_is_a_failure(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The variable is named, and nothing is sent."""
    monkeypatch.setenv("HTTPS_PROXY", url)
    diagnosis = await diagnosis_of("https://cloud.invalid")
    assert "https://cloud.invalid (sessions, users) is not queried: HTTPS_PROXY " in diagnosis.only("FAIL")
    assert "set http.proxy or correct the variable" in diagnosis.only("FAIL")


async def test_one_that_is_not_used_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = frozen()
    monkeypatch.setenv("ALL_PROXY", f"socks5://{HUSH}@127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    async with simulator.serve() as url:
        diagnosis = await diagnose(project(simulator, url, auth={"token": simulator.options.account.token}))
    assert diagnosis.healthy


@pytest.mark.parametrize("through_proxy", [True, False])
@pytest.mark.parametrize(
    ("status", "endpoint", "permission"),
    [
        (200, "answers in place of the cloud, or another host (200, an HTML page)", "(invalid_response, an HTML page"),
        (302, "a redirect, which is never followed (302", "the answer is a redirect"),
        (401, "answers in place of the cloud, or another host (401", "rejects the request (401)"),
        (403, "answers in place of the cloud, or another host (403", "rejects the request (403)"),
        (503, "load balancer, has a problem (503, an HTML page)", "load balancer, has a problem (503"),
    ],
)
async def test_a_page_in_place_of_the_api_is_distinguished_from_the_cloud(
    status: int, endpoint: str, permission: str, through_proxy: bool
) -> None:
    """Neither credentials nor permissions are to blame."""
    wire = Wire(http(f"{status} Oops", PAGE, Content_Type="text/html"))
    async with wire.serve() as url:
        diagnosis = await (diagnosis_of("http://cloud.invalid", url) if through_proxy else diagnosis_of(url))
    assert endpoint in diagnosis.only("warn")
    assert len(diagnosis.lines("FAIL")) == 6
    assert all(permission in line and "could not be checked" in line for line in diagnosis.lines("FAIL"))
    assert ("rejects the credentials" not in diagnosis.text, "is missing" not in diagnosis.text) == (True, True)
    if through_proxy:
        assert f"the proxy {url.removeprefix('http://')}" in diagnosis.lines("FAIL")[0]


async def test_a_407_without_a_tunnel_is_a_failure() -> None:
    async with Wire(http("407 Who", PAGE)).serve() as url:
        proxied, direct = await diagnosis_of("http://cloud.invalid", url), await diagnosis_of(url)
    expected = "rejects the request (407): it requires a user and password"
    assert f"unreachable: the proxy {url.removeprefix('http://')} {expected}" in proxied.lines("FAIL")[0]
    assert f"unreachable: a proxy in between {expected}" in direct.lines("FAIL")[0]
