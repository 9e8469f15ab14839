"""The health check of containers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from support.faulty_server import http
from support.ways_to_run import python
from support.web_files import certificate, hashed, write

from exporter import config, health
from exporter.app import exporting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

NOBODY = "http://127.0.0.1:1"


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[str]:
    """Yield the address of a server with this answer, or none."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def behind(web_file: Path) -> AsyncIterator[str]:
    """Yield the address of an exporter with this web file."""
    project = {
        "project_id": "p",
        "endpoints": {"sessions": NOBODY, "users": NOBODY},
        "auth": {"token": "t"},
        "users": ["anna"],
    }
    web = {"listen_address": "127.0.0.1:0", "config_file": str(web_file)}
    async with exporting(config.build(config.Layer("test", {"projects": [project], "web": web}))) as running:
        yield running.address


@pytest.mark.parametrize(
    ("status", "expected"),
    [("200 OK", True), ("401 Unauthorized", True), ("404 Not Found", False), ("503 Service Unavailable", False)],
)
async def test_status_200_or_401_means_healthy(status: str, expected: bool) -> None:
    async with answering(http(status)) as address:
        assert await asyncio.to_thread(health.healthy, address) is expected


@pytest.mark.parametrize("listen", ["[::1]:0", ":0", "127.0.0.1:0"])
async def test_a_listen_address_is_an_address_too(listen: str) -> None:
    project = {"project_id": "p", "endpoints": {"sessions": NOBODY, "users": NOBODY}, "auth": {"token": "t"}}
    values = {"projects": [{**project, "users": ["anna"]}], "web": {"listen_address": listen}}
    async with exporting(config.build(config.Layer("test", values))) as running:
        port = running.address.rpartition(":")[2]
        assert await asyncio.to_thread(health.healthy, listen.removesuffix("0") + port)
        assert await asyncio.to_thread(health.healthy, running.address)


async def test_silence_and_invalid_http_mean_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "TIMEOUT", 0.1)
    assert not health.healthy(NOBODY)
    for answer in (None, b"", b"nonsense\r\n\r\n"):
        async with answering(answer) as address:
            assert not await asyncio.to_thread(health.healthy, address)


@pytest.mark.parametrize("policy", ["", "client_auth_type: RequireAndVerifyClientCert, client_ca_file: other.crt"])
async def test_any_server_certificate_and_a_required_client_certificate_mean_healthy(
    policy: str, tool: Callable[[str], str], tmp_path: Path
) -> None:
    certificate(tool("openssl"), tmp_path, "other")
    tls = f"tls_server_config: {{cert_file: other.crt, key_file: other.key, {policy}}}\n"
    async with behind(write(tmp_path / "web.yml", tls)) as address:
        assert address.startswith("https://")
        assert await asyncio.to_thread(health.healthy, address)


async def test_an_exporter_that_requires_a_password_is_healthy(tmp_path: Path) -> None:
    async with behind(write(tmp_path / "web.yml", f"basic_auth_users: {{prometheus: {hashed()}}}\n")) as address:
        assert await asyncio.to_thread(health.healthy, address)


async def test_the_command_exits_with_0_or_1_and_uses_no_proxy() -> None:
    async with answering(http()) as address:
        alive = await asyncio.to_thread(python, "-m", "exporter.health", address, HTTP_PROXY=NOBODY, http_proxy=NOBODY)
    assert alive == (0, "", "")
    assert python("-m", "exporter.health", address) == (1, "", "")
