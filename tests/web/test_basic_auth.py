"""Basic auth: who is admitted, what it costs, and that nothing of it is revealed."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import bcrypt
import pytest
from support.web_clients import ask, basic, client, until, web_server
from support.web_files import PASSWORD, hashed, write

from exporter import config, logs
from exporter.web import server
from exporter.web.server import BusyError, Login, Passwords, login

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RIGHT = basic("anna", PASSWORD)
USERS = {b"anna": b"hash of anna", b"bert": b"hash of bert"}


class Panic(BaseException):
    """What comes of a mistake in bcrypt, which is no Exception."""


class Checks:
    """Takes the place of bcrypt: right is the password that ends the hash, or ``right``; checks wait to be let go."""

    def __init__(self) -> None:
        self.right = b""
        self.seen: list[tuple[bytes, bytes]] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        self.seen.append((password, hashed))
        assert self.go.wait(20)
        return hashed.endswith(b" " + password) or password == self.right


@pytest.fixture
def checks() -> Iterator[Checks]:
    made = Checks()
    yield made
    made.go.set()


@pytest.fixture
def web_file(tmp_path: Path) -> Path:
    file = tmp_path / "web.yml"
    write(file, f"basic_auth_users: {{anna: {hashed()}, 'bärbel': {hashed('ü')}}}")
    return file


@pytest.mark.parametrize("given", [RIGHT, RIGHT.replace("Basic", "bAsIc"), basic("bärbel", "ü")])
async def test_the_right_password_is_let_in(web_file: Path, given: str) -> None:
    async with web_server(web_file) as served:
        assert (await ask(served, authorization=given)).status == 200


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic YQ",
        "Basic YW5uYQ==",
        "Basic YW5u\xfc",
        f"{RIGHT[:10]}!{RIGHT[10:]}",
        f"Bearer {RIGHT.removeprefix('Basic ')}",
        basic("anna", "wrong"),
        basic("anna", ""),
        basic("carl", PASSWORD),
        basic("", PASSWORD),
        basic("anna", PASSWORD + "x" * 100),
        basic("anna", PASSWORD + "\0"),
        basic(b"\xff", b"\xff"),
    ],
)
async def test_everybody_else_is_not(web_file: Path, given: str | None) -> None:
    """No credentials, or malformed, oversized or wrong ones: 401 with the required scheme."""
    async with web_server(web_file) as served:
        answer = await ask(served, authorization=given)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Basic"
    assert b"padding" not in answer.body


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready", "/-/reload", "/nothing"])
async def test_every_path_is_covered(web_file: Path, path: str) -> None:
    async with web_server(web_file) as served, client(served) as one:
        assert (await one.ask(path)).status == 401
        assert (await one.send(f"POST {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())).status == 401
        assert (await one.ask(path, authorization=RIGHT)).status in {200, 404}


async def test_a_password_over_72_bytes_is_rejected_though_its_beginning_is_right(tmp_path: Path) -> None:
    """Bcrypt would compare the first 72 bytes only."""
    file = tmp_path / "web.yml"
    write(file, f"basic_auth_users: {{anna: {hashed('a' * 72)}}}")
    async with web_server(file) as served:
        assert (await ask(served, authorization=basic("anna", "a" * 72))).status == 200
        assert (await ask(served, authorization=basic("anna", "a" * 73))).status == 401


async def test_users_change_without_a_restart(web_file: Path) -> None:
    """A password that was right before is right no longer, though it had been remembered."""
    async with web_server(web_file) as served, client(served) as one:
        assert (await one.ask(authorization=RIGHT)).status == 200
        write(web_file, f"basic_auth_users: {{anna: {hashed('new')}}}")
        assert (await one.ask(authorization=RIGHT)).status == 401
        assert (await one.ask(authorization=basic("anna", "new"))).status == 200
        write(web_file, "{}")
        assert (await one.ask()).status == 200


async def test_headers_of_the_file_are_on_every_answer(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(
        f"http_server_config: {{headers: {{X-Frame-Options: deny}}}}\nbasic_auth_users: {{anna: {hashed()}}}"
    )
    async with web_server(file) as served, client(served) as one:
        for path, given in (("/metrics", RIGHT), ("/nothing", RIGHT), ("/metrics", None)):
            assert (await one.ask(path, authorization=given)).headers["X-Frame-Options"] == "deny"


async def test_nothing_of_an_authorization_header_is_logged(
    web_file: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of right ones, wrong ones, malformed ones, those in requests that are no HTTP, nor when the check fails."""
    secret = "TopS3cret"
    async with web_server(web_file) as served:
        logs.configure(config.Log(level="debug"))
        given = [basic("anna", secret), f"Basic {secret}", secret, f"Basic {secret}\0", RIGHT]
        for each in given:
            await ask(served, authorization=each)
        monkeypatch.setattr(server, "in_a_thread", lambda _: 1 // 0)
        assert (await ask(served, authorization=given[0])).status == 500
    told = "".join(capfd.readouterr())
    assert "ZeroDivisionError" in told
    for each in (secret, PASSWORD, *(text.removeprefix("Basic ") for text in given)):
        assert each not in told


def test_what_a_header_says() -> None:
    assert login("Basic YTpiOmM=") == Login(b"a", b"b:c")
    assert login("basic  YTpi") == Login(b"a", b"b")
    assert login("Basic Og==") == Login(b"", b"")


async def test_bcrypt_judges_by_default() -> None:
    assert await Passwords().admits({b"a": bcrypt.hashpw(b"p\0q", bcrypt.gensalt(4))}, Login(b"a", b"p\0q"), "")


async def test_an_unknown_user_costs_a_check_and_is_rejected_whatever_comes_out(checks: Checks) -> None:
    """The same name always leads to the same user's hash, so that trying again tells nothing either."""
    checked = Passwords(checks)
    for password in (b"anna", b"bert"):
        for _ in range(2):
            assert not await checked.admits(USERS, Login(b"carl", password), "")
    assert len(checks.seen) == 4
    assert len({stored for _, stored in checks.seen}) == 1
    assert checks.seen[0][1] in USERS.values()


async def test_a_password_that_is_too_long_costs_a_check(checks: Checks) -> None:
    assert not await Passwords(checks).admits(USERS, Login(b"anna", b"x" * 100), "")
    assert [len(password) for password, _ in checks.seen] == [72]


async def test_right_passwords_are_remembered_and_wrong_ones_are_not(checks: Checks) -> None:
    checked = Passwords(checks)
    for _ in range(3):
        assert await checked.admits(USERS, Login(b"anna", b"anna"), "")
        assert not await checked.admits(USERS, Login(b"anna", b"wrong"), "")
    assert [password for password, _ in checks.seen] == [b"anna", *[b"wrong"] * 3]


async def test_a_check_that_fails_lets_nobody_in_and_is_reported_once(
    web_file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever bcrypt raises, the line in the log tells its kind and nothing of what it was given."""

    def check(password: bytes, hashed: bytes) -> bool:
        if b"right" in password:
            return True
        raise Panic(password, hashed)

    monkeypatch.setattr(server, "Passwords", lambda: Passwords(check))
    async with web_server(web_file) as served, client(served) as one:
        for _ in range(3):
            assert (await one.ask(authorization=RIGHT)).status == 401
        assert (await one.ask(authorization=basic("anna", "right"))).status == 200
        assert (await one.ask(authorization=RIGHT)).status == 401
    told = "".join(capfd.readouterr())
    assert told.count("password_check_failed") == 2
    assert told.count("Panic") == 2
    assert "Traceback" not in told
    assert PASSWORD not in told
    assert "anna" not in told
    assert "$2b$" not in told


async def test_a_right_password_is_forgotten_with_the_users_name(checks: Checks) -> None:
    """Who is renamed and keeps the hash is let in by the new name only, whatever was right before."""
    checked = Passwords(checks)
    assert await checked.admits({b"anna": USERS[b"anna"]}, Login(b"anna", b"anna"), "")
    renamed = {b"berta": USERS[b"anna"]}
    assert not await checked.admits(renamed, Login(b"anna", b"anna"), "")
    assert await checked.admits(renamed, Login(b"berta", b"anna"), "")


async def test_what_is_remembered_is_bounded_and_holds_no_password(checks: Checks) -> None:
    checked = Passwords(checks)
    many = {f"user{n}".encode(): f"hash password{n}".encode() for n in range(150)}
    for n, name in enumerate(many):
        assert await checked.admits(many, Login(name, f"password{n}".encode()), "")
        assert await checked.admits(many, Login(b"user0", b"password0"), "")  # in use all the time
    assert len(checked._right) == 100  # noqa: SLF001 - what would grow
    assert [password for password, _ in checks.seen].count(b"password0") == 1
    assert not any(b"password" in key for key in checked._right)  # noqa: SLF001 - what would leak


async def test_one_password_is_checked_at_a_time_and_few_wait(checks: Checks) -> None:
    """No more than four of one address and sixteen in all; who was right before does not wait at all."""
    checked = Passwords(checks)
    assert await checked.admits(USERS, Login(b"anna", b"anna"), "prometheus")
    checks.go.clear()
    waiting: list[asyncio.Task[bool]] = []
    for address in range(4):
        given = [Login(b"anna", b"%d" % n) for n in range(4)]
        waiting += [asyncio.create_task(checked.admits(USERS, each, str(address))) for each in given]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await checked.admits(USERS, Login(b"anna", b"x"), str(address))
    with pytest.raises(BusyError):
        await checked.admits(USERS, Login(b"bert", b"bert"), "somebody else")
    assert await checked.admits(USERS, Login(b"anna", b"anna"), "0")
    await until(lambda: len(checks.seen) == 2)
    checks.go.set()
    assert await asyncio.gather(*waiting) == [False] * 16
    assert await checked.admits(USERS, Login(b"bert", b"bert"), "somebody else")


async def test_a_flood_of_wrong_passwords_keeps_out_nobody_who_was_in(
    web_file: Path, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients that flood get 503."""
    monkeypatch.setattr(server, "Passwords", lambda: Passwords(checks))
    write(web_file, f"basic_auth_users: {{anna: {hashed()}}}")
    checks.right = PASSWORD.encode()
    async with web_server(web_file) as served, client(served) as prometheus:
        assert (await prometheus.ask(authorization=RIGHT)).status == 200
        checks.go.clear()
        flood = [asyncio.create_task(ask(served, authorization=basic("anna", str(n)))) for n in range(20)]
        await until(lambda: sum(task.done() for task in flood) == 16)
        busy = [task.result() for task in flood if task.done()]
        assert {(answer.status, answer.headers["Retry-After"]) for answer in busy} == {(503, "1")}
        assert (await prometheus.ask(authorization=RIGHT)).status == 200
        assert (await ask(served, authorization=RIGHT)).status == 200
        checks.go.set()
        assert {answer.status for answer in await asyncio.gather(*flood)} == {401, 503}
