"""The users file of a running exporter: changes are followed, and nothing else changes anything."""

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from support.exporters import get, settings, until
from support.exporters import project as simulated

from exporter import users_file
from exporter.app import exporting
from exporter.config import ConfigError, Layer, Project, Settings, User, build, users_of_file
from exporter.simulator import Simulator, SimulatorOptions
from exporter.users_file import UsersFile


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "users.txt"
    made.write_text("bob\n")
    return made


def project(file: Path) -> Project:
    values = {"name": "berlin", "project_id": "p", "region": "r", "users": ["alice"], "users_file": file}
    (made,) = build(Layer("test.yml", {"projects": [values]})).projects
    return made


def names(users: Sequence[User] | None) -> list[str] | None:
    return None if users is None else [user.name for user in users]


def looks(followed: UsersFile, times: int = 3) -> list[list[str] | None]:
    """What some looks find, one after the other."""
    return [names(followed.look()) for _ in range(times)]


def test_an_unchanged_file_is_not_read_again(file: Path) -> None:
    assert looks(UsersFile(project(file))) == [None, None, None]


def test_a_change_gives_all_configured_users_once(file: Path) -> None:
    followed = UsersFile(project(file))
    followed.look()
    file.write_text("bob\neve,7\n")
    assert looks(followed) == [None, ["alice", "bob", "eve"], None]


def test_a_change_between_the_load_and_the_first_look_is_noticed(file: Path) -> None:
    followed = UsersFile(project(file))
    file.write_text("eve\n")
    assert looks(followed) == [None, ["alice", "eve"], None]


def test_a_file_that_is_still_being_written_is_left_alone(file: Path) -> None:
    followed = UsersFile(project(file))
    for length in range(1, 4):
        file.write_text("".join(f"user{number}\n" for number in range(length)))
        assert names(followed.look()) is None
    assert names(followed.look()) == ["alice", "user0", "user1", "user2"]


def test_a_file_that_is_written_while_it_is_read_is_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    followed = UsersFile(project(file))
    rewrite(file, "eve\n")
    followed.look()
    reading = users_of_file

    def interrupted(*arguments: Any) -> tuple[User, ...]:
        users = reading(*arguments)
        rewrite(file, "eve\njoe\n")
        monkeypatch.setattr(users_file, "users_of_file", reading)
        return users

    monkeypatch.setattr(users_file, "users_of_file", interrupted)
    assert looks(followed, 4) == [None, None, ["alice", "eve", "joe"], None]


def test_a_replaced_symbolic_link_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes replaces the files of a ConfigMap."""
    for version, text in (("one", "bob\n"), ("two", "eve\n")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "users.txt").write_text(text)
    (tmp_path / "data").symlink_to("one")
    link = tmp_path / "users.txt"
    link.symlink_to("data/users.txt")
    followed = UsersFile(project(link))
    followed.look()
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").replace(tmp_path / "data")
    assert looks(followed) == [None, ["alice", "eve"], None]


@pytest.mark.bad_input
@pytest.mark.parametrize("kind", ["missing", "empty", "comments", "directory", "not text", "unreadable"])
def test_a_file_without_users_is_rejected_once_and_tried_again(file: Path, kind: str) -> None:
    followed = UsersFile(project(file))
    match kind:
        case "missing":
            file.unlink()
        case "empty":
            file.write_text(" \n")
        case "comments":
            file.write_text("# nobody\n")
        case "directory":
            file.unlink()
            file.mkdir()
        case "not text":
            file.write_bytes(b"\xff")
        case "unreadable":
            if os.geteuid() == 0:
                pytest.skip("root reads everything")
            file.chmod(0)
    followed.look()
    with pytest.raises(ConfigError, match=f"^{file}: "):
        followed.look()
    assert looks(followed) == [None, None, None]
    if file.is_dir():
        file.rmdir()
    file.touch()
    file.chmod(0o600)
    file.write_text("eve\n")
    assert looks(followed) == [None, ["alice", "eve"], None]


@pytest.mark.bad_input
def test_a_file_that_disappears_twice_is_reported_twice(file: Path) -> None:
    followed = UsersFile(project(file))
    away = file.with_name("away")
    for text in ("eve\n", "joe\n"):
        file.rename(away)
        followed.look()
        with pytest.raises(ConfigError):
            followed.look()
        away.rename(file)
        file.write_text(text)
        assert looks(followed)[-2] == ["alice", text.strip()]


@pytest.mark.bad_input
def test_a_file_with_mistakes_is_rejected_once_with_their_lines(file: Path) -> None:
    followed = UsersFile(project(file))
    file.write_text("name,id\nbob;1\nalice\nbob\n")
    followed.look()
    with pytest.raises(ConfigError) as caught:
        followed.look()
    assert [(mistake.source, mistake.path) for mistake in caught.value.mistakes] == [
        (f"{file}:1", ""),
        (f"{file}:2", "name"),
        (f"{file}:3", ""),
    ]
    assert "is the same user as users[0]" in caught.value.mistakes[2].reason
    assert "bob" not in str(caught.value)
    assert looks(followed) == [None, None, None]
    file.write_text("eve\n")
    assert looks(followed) == [None, ["alice", "eve"], None]


class Follower:
    """Lets a file be followed look by look, without waiting."""

    def __init__(self, file: Path) -> None:
        self.users: list[list[str] | None] = []
        self._looked, self._go = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(UsersFile(project(file)).follow(self._watch, self._sleep))

    async def look(self) -> None:
        """Return after one look; an error of the loop is raised."""
        self._looked.clear()
        self._go.set()
        waiting = asyncio.create_task(self._looked.wait())
        await asyncio.wait([self._task, waiting], return_when=asyncio.FIRST_COMPLETED)
        assert waiting.done()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _watch(self, users: Sequence[User]) -> None:
        self.users.append(names(users))
        if len(self.users) == 1:
            raise RuntimeError("a bug")

    async def _sleep(self, _: float) -> None:
        self._looked.set()
        await self._go.wait()
        self._go.clear()


async def test_following_survives_rejections_and_bugs_and_logs_without_names(file: Path) -> None:
    with structlog.testing.capture_logs() as log:
        follower = Follower(file)
        await follower.look()
        for text in ("wanda\n", "xavier;7\n" * 12, "Alice\nyusuf\n"):
            rewrite(file, text)
            for _ in range(3):
                await follower.look()
        await follower.stop()
    assert follower.users == [["alice", "wanda"], ["alice", "Alice", "yusuf"]]
    failed, *rejected, doubtful, read = log
    assert failed["event"] == "users_file_failed"
    assert [(each["event"], each["total"]) for each in rejected] == [("users_file_rejected", 12)] * 10
    assert [each["mistake"].split(":")[1] for each in rejected] == [str(line) for line in range(1, 11)]
    assert doubtful["event"] == "configuration_doubtful"
    assert read == {"event": "users_file_read", "log_level": "info", "project": "berlin", "users": 3}
    assert not any(name in str(log) for name in ("wanda", "xavier", "yusuf"))


async def test_a_changed_users_file_changes_the_watched_users_without_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users who stay keep their numbers. A later reload continues with the file as it is."""
    monkeypatch.setattr(users_file, "_INTERVAL", 0.02)
    simulator = Simulator(SimulatorOptions(users=4))
    one, two, three, four = simulator.population.names()
    file = tmp_path / "users.txt"
    rewrite(file, f"{two}\n")
    async with simulator.serve() as url:

        def load() -> Settings:
            return settings(simulated(simulator, url, users=[one], users_file=file))

        def has(*names: str) -> Callable[[str], bool]:
            return lambda text: set(re.findall(r'user_missing{project="sim",user_name="(.*?)"} 0.0', text)) == {*names}

        async with exporting(load(), load) as running:
            metrics = f"{running.address}/metrics"
            await until(has(one, two), metrics)
            rewrite(file, f"{two}\n{three}\n")
            await until(has(one, two, three), metrics)
            rewrite(file, "")
            await asyncio.sleep(0.1)
            assert has(one, two, three)((await get(metrics))[1])
            rewrite(file, f"{two}\n")
            await until(has(one, two), metrics)
            rewrite(file, f"{two}\n{four}\n")
            await running.reload()
            await until(has(one, two, four), metrics)
            rewrite(file, f"{two}\n")
            await until(has(one, two), metrics)


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)
