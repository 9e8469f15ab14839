"""GET /-/config shows the configuration in effect, if it is enabled."""

from __future__ import annotations

import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import bcrypt
import pytest
from support.exporters import settings

from exporter import app, config
from exporter.app import exporting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from exporter.app import Running

CLOUD = "http://127.0.0.1:9"  # where nobody answers
PROJECT = {
    "project_id": "p1",
    "endpoints": {"sessions": CLOUD, "users": CLOUD},
    "auth": {"token": "s3cret-token"},
    "users": ["alice"],
}


def with_web(**web: Any) -> config.Settings:
    return settings(PROJECT, web={"listen_address": "127.0.0.1:0", **web})


@asynccontextmanager
async def running(*configurations: config.Settings | config.ConfigError) -> AsyncIterator[Running]:
    """An exporter that starts with the first configuration, and gets another with each reload."""
    first, *others = configurations
    assert isinstance(first, config.Settings)
    following = iter(others)

    def load() -> config.Settings:
        if isinstance(loaded := next(following), config.ConfigError):
            raise loaded
        return loaded

    async with exporting(first, load) as exporter:
        yield exporter


async def requested(exporter: Running, method: str = "GET", **how: Any) -> tuple[int, str, aiohttp.ClientResponse]:
    url = f"{exporter.address}/-/config"
    async with aiohttp.ClientSession() as session, session.request(method, url, **how) as response:
        return response.status, await response.text(), response


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_it_is_off_by_default(method: str) -> None:
    async with running(with_web()) as exporter:
        status, text, _ = await requested(exporter, method)
        assert status == 403
        assert text == (
            "The configuration is not shown. Set web.enable_config to show it.\n" if method == "GET" else ""
        )


async def test_it_is_plain_text_that_nobody_stores() -> None:
    enabled = with_web(enable_config=True)
    async with running(enabled) as exporter:
        status, text, response = await requested(exporter)
        assert (status, text) == (200, config.shown(enabled))
        assert "token: <secret>\n" in text
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-store"
        status, text, response = await requested(exporter, "HEAD")
        assert (status, text) == (200, "")
        assert int(response.headers["Content-Length"]) == len(config.shown(enabled))
        assert (await requested(exporter, "POST"))[0] == 405


async def test_it_shows_the_configuration_of_the_last_applied_reload() -> None:
    first, second = with_web(enable_config=True), with_web(enable_config=True, refresh_interval=60)
    rejected = config.ConfigError([config.Mistake("workspace.yml", "", "is empty")])
    async with running(first, second, rejected, with_web()) as exporter:
        await exporter.reload()
        assert (await requested(exporter))[1] == config.shown(second)
        with pytest.raises(config.ConfigError):
            await exporter.reload()
        assert (await requested(exporter))[1] == config.shown(second)
        await exporter.reload()
        assert (await requested(exporter))[0] == 403


async def test_it_needs_the_login_of_the_web_file(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(f"basic_auth_users: {{admin: '{bcrypt.hashpw(b'pw', bcrypt.gensalt(4)).decode()}'}}\n")
    async with running(with_web(enable_config=True, config_file=str(file))) as exporter:
        assert (await requested(exporter))[:2] == (401, "Unauthorized.\n")
        assert (await requested(exporter, headers={"Authorization": aiohttp.encode_basic_auth("admin", "pw")}))[
            0
        ] == 200


async def test_it_is_written_once_for_each_reload_and_outside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 10,000 users this takes a second."""
    writers: list[threading.Thread] = []

    def shown(_: config.Settings) -> str:
        writers.append(threading.current_thread())
        return "written"

    monkeypatch.setattr(app, "shown", shown)
    async with running(with_web(enable_config=True), with_web(enable_config=True), with_web()) as exporter:
        assert [(await requested(exporter))[1] for _ in range(3)] == ["written"] * 3
        await exporter.reload()
        await requested(exporter)
        await exporter.reload()
    assert len(writers) == 2
    assert threading.main_thread() not in writers
