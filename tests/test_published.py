"""What is published of the exporter itself: rejected configurations, and that it cannot publish."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.exporters import QUICK, settings

from exporter import config, users_file
from exporter.app import exporting

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.app import Running
    from exporter.status import ProcessStatus

NOBODY = "http://127.0.0.1:1"


class Clock:
    """A wall clock that a test moves."""

    time = 1_000.0

    def __call__(self) -> float:
        return self.time


def project(**changes: object) -> dict[str, object]:
    return {
        "name": "berlin",
        "project_id": "p",
        "endpoints": {"sessions": NOBODY, "users": NOBODY},
        "auth": {"token": "t"},
        "users": ["anna"],
        **changes,
    }


def process(running: Running) -> ProcessStatus:
    return running.exporter.published.process


async def test_a_rejected_reload_is_published_since_the_first_one_until_one_is_applied() -> None:
    clock, good = Clock(), settings(project())
    error = config.ConfigError([config.Mistake("workspace.yml", "poll", "is wrong")])
    loads: list[config.Settings | Exception] = [error, error, good]

    def load() -> config.Settings:
        loaded = loads.pop(0)
        if isinstance(loaded, Exception):
            raise loaded
        return loaded

    async with exporting(good, load, clock) as running:
        for clock.time in (2_000.0, 3_000.0):
            with pytest.raises(config.ConfigError):
                await running.reload()
            assert (process(running).reload_rejected_at, process(running).loaded_at) == (2_000.0, 1_000.0)
            assert not process(running).reload_successful
        clock.time = 4_000.0
        await running.reload()
        assert (process(running).reload_rejected_at, process(running).loaded_at) == (None, 4_000.0)
        assert process(running).reload_successful


async def test_a_rejected_users_file_is_published_with_its_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users_file, "_INTERVAL", 0.01)
    file = tmp_path / "users.txt"
    file.write_text("bert\n")
    async with exporting(settings(project(users_file=str(file)), poll=QUICK), now=Clock()) as running:
        file.write_text("bert;1\n")
        await _until(running, rejected={"berlin": 1_000.0})
        assert not process(running).reload_successful
        file.write_text("bert\ncarl\n")
        await _until(running, rejected={})


async def _until(running: Running, rejected: dict[str, float]) -> None:
    async with asyncio.timeout(20):
        while process(running).users_files_rejected != rejected:
            await running.exporter.publish()
            await asyncio.sleep(0.01)


async def test_a_bug_while_publishing_is_published_since_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    async with exporting(settings(project()), now=clock) as running:
        with monkeypatch.context() as patch:
            patch.setattr("exporter.runner.render", broken)
            for clock.time in (2_000.0, 3_000.0):
                await running.exporter.reloaded(successful=True)
                assert process(running).publish_failed_at == 2_000.0
                assert running.exporter.published.projects
        await running.exporter.reloaded(successful=True)
        assert process(running).publish_failed_at is None
