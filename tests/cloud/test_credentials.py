"""Renewal of credentials in virtual time. Secrets are read from their files and shown nowhere."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from support.virtual_time import EPOCH, run_virtually, wall_clock

from exporter import config, logs
from exporter.cloud.auth import AccessKey, Auth, Token
from exporter.cloud.bodies import ErrorBody
from exporter.cloud.chain import AgencyLink, IdTokenLink, KeysLink, OidcLink, PodIdentity
from exporter.cloud.credentials import RENEW_AHEAD, RenewedCredentials, StaticCredentials, TemporaryCredentials
from exporter.cloud.errors import CloudError, NoCredentials, Unreachable, refusal
from exporter.cloud.sources import IamUser, seconds
from exporter.cloud.transport import Answer, Request
from exporter.files import ChangingFile, secret
from exporter.polling.gate import KeyGate

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR

UNREACHABLE = Unreachable("Lend", "timeout")
REFUSED = refusal("Lend", 401, "401", None)


@dataclass
class Lender:
    """Lends numbered tokens, each for ``life`` seconds, or fails; notes the time of each request."""

    life: float = DAY
    latency: float = 1.0
    failure: CloudError | None = None
    queried: list[float] = field(default_factory=list)

    async def __call__(self) -> TemporaryCredentials:
        self.queried.append(self.now())
        number = len(self.queried)
        await asyncio.sleep(self.latency)
        if self.failure:
            raise self.failure
        return TemporaryCredentials(Token(f"token {number}"), wall_clock() + self.life)

    @staticmethod
    def now() -> float:
        return wall_clock() - EPOCH


def leasing(lender: Lender, now: Callable[[], float] = wall_clock) -> RenewedCredentials:
    """Credentials that the lender lends to a project."""
    return RenewedCredentials(lender, now, "berlin", KeyGate())


async def use(leased: RenewedCredentials, every: float, until: float) -> list[Auth | CloudError]:
    """Return the results of repeated requests for authentication, as polling sends them."""
    results: list[Auth | CloudError] = []
    while Lender.now() < until:
        results.append(await attempt(leased.current()))
        await asyncio.sleep(every)
    return results


async def attempt(asking: Coroutine[None, None, Auth]) -> Auth | CloudError:
    try:
        return await asking
    except CloudError as error:
        return error


def test_nothing_is_lent_before_it_is_needed() -> None:
    """Making the credentials asks nobody, and their end is unknown until then."""

    async def scenario() -> None:
        lender = Lender(latency=0)
        leased = leasing(lender)
        await asyncio.sleep(DAY)
        assert (lender.queried, leased.expires_at) == ([], None)
        await leased.current()
        assert (lender.queried, leased.expires_at) == ([DAY], EPOCH + 2 * DAY)

    run_virtually(scenario())


@pytest.mark.parametrize(
    ("life", "renewed_after"),
    [(DAY, DAY - 40 * MINUTE), (2 * HOUR, 80 * MINUTE), (80 * MINUTE, 40 * MINUTE), (10 * MINUTE, 5 * MINUTE)],
)
def test_renewal_ahead_of_the_end(life: float, renewed_after: float) -> None:
    """A lease is used until 40 minutes before its end, or for half of a short life, and then renewed at once."""

    async def scenario() -> None:
        lender = Lender(life, latency=0)
        leased = leasing(lender)
        assert await leased.current() == Token("token 1")
        await asyncio.sleep(renewed_after - 1)
        assert await leased.current() == Token("token 1")
        await asyncio.sleep(1)
        assert await leased.current() == Token("token 2")
        assert lender.queried == [0, renewed_after]
        assert leased.expires_at == EPOCH + renewed_after + life

    run_virtually(scenario())


def test_a_day_of_use_takes_two_leases() -> None:
    """A request every second for a day causes no more renewals than necessary."""

    async def scenario() -> None:
        lender = Lender()
        await use(leasing(lender), 1.0, DAY)
        assert len(lender.queried) == 2

    run_virtually(scenario())


def test_many_first_calls_share_one_lease() -> None:
    """However many requests begin at once, one renewal is requested."""

    async def scenario() -> None:
        lender = Lender()
        leased = leasing(lender)
        assert await asyncio.gather(*(leased.current() for _ in range(50))) == [Token("token 1")] * 50
        assert lender.queried == [0]

    run_virtually(scenario())


def test_many_rejected_calls_share_one_renewal() -> None:
    """All calls that were refused with the same token get the same new one, also those that come late."""

    async def scenario() -> None:
        lender = Lender()
        leased = leasing(lender)
        old = await leased.current()
        renewed = await asyncio.gather(*(leased.renewed(old) for _ in range(50)))
        await asyncio.sleep(MINUTE)
        assert [*renewed, await leased.renewed(old)] == [Token("token 2")] * 51
        assert len(lender.queried) == 2

    run_virtually(scenario())


def test_no_call_waits_for_a_renewal_ahead_of_the_end() -> None:
    """While one call renews what is still good, the others continue with it."""

    async def scenario() -> list[float]:
        lender = Lender()
        leased = leasing(lender)
        await leased.current()
        await asyncio.sleep(DAY - RENEW_AHEAD)
        lender.latency = 10.0
        renewing = asyncio.create_task(leased.current())
        await asyncio.sleep(1)
        began = Lender.now()
        assert await leased.current() == Token("token 1")
        waited = Lender.now() - began
        assert await renewing == await leased.current() == Token("token 2")
        return [waited]

    assert run_virtually(scenario()) == [0.0]


def test_many_rejected_calls_share_one_failure() -> None:
    """Where the renewal fails, no call tries it again: an account gets locked by few wrong passwords."""

    async def scenario() -> None:
        lender = Lender()
        leased = leasing(lender)
        old = await leased.current()
        lender.failure = REFUSED
        assert await asyncio.gather(*(attempt(leased.renewed(old)) for _ in range(50))) == [REFUSED] * 50
        assert len(lender.queried) == 2

    run_virtually(scenario())


def test_a_call_that_gave_up_leaves_the_renewal_to_the_others() -> None:
    """A renewal cancelled with its call is taken up by the next one."""

    async def scenario() -> None:
        lender = Lender()
        leased = leasing(lender)
        first, second = (asyncio.create_task(leased.current()) for _ in range(2))
        await asyncio.sleep(0.5)
        first.cancel()
        assert await second == Token("token 2")
        assert first.cancelled()

    run_virtually(scenario())


@pytest.mark.parametrize("failure", [UNREACHABLE, REFUSED])
def test_a_failed_renewal_ahead_keeps_the_old_lease(failure: CloudError) -> None:
    """While the old lease lasts it is used; after its end the failure shows."""

    async def scenario() -> None:
        lender = Lender(life=2 * HOUR, latency=0)
        leased = leasing(lender)
        await leased.current()
        lender.failure = failure
        assert set(await use(leased, 10.0, 2 * HOUR)) == {Token("token 1")}
        assert len(lender.queried) > 2
        assert await use(leased, 10.0, 2 * HOUR + MINUTE) == [failure] * 6
        lender.failure = None
        assert isinstance((await use(leased, 10.0, 3 * HOUR))[-1], Token)

    run_virtually(scenario())


def test_failing_renewals_are_reported_once_a_kind_and_their_success_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing else reports this while the current credentials last. Later, failed requests are reported elsewhere."""
    logs.configure(config.Log(format="json"))

    async def scenario() -> None:
        lender = Lender(life=2 * HOUR, latency=0)
        leased = leasing(lender)
        await use(leased, 10.0, HOUR)
        lender.failure = UNREACHABLE
        await use(leased, 10.0, 100 * MINUTE)
        lender.failure = REFUSED
        await use(leased, 10.0, 2 * HOUR + 10 * MINUTE)
        lender.failure = None
        await use(leased, 10.0, 3 * HOUR)

    run_virtually(scenario())
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["event"], line.get("code")) for line in told] == [
        ("warning", "renewal_failing", "timeout"),
        ("warning", "renewal_failing", "401"),
        ("info", "renewal_recovered", None),
    ]
    assert {(line["project"], line["operation"]) for line in told} == {("berlin", "Lend")}
    assert [line["expires_in_seconds"] for line in told[:2]] == [40 * 60, pytest.approx(15 * 60, abs=15 * 60 - 1)]


def test_without_lasting_credentials_no_renewal_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """The call itself fails then, and whoever made it tells."""
    logs.configure(config.Log())

    async def scenario() -> None:
        lender = Lender(latency=0, failure=UNREACHABLE)
        leased = leasing(lender)
        await use(leased, 10.0, HOUR)
        lender.failure = None
        await use(leased, 10.0, 2 * HOUR)

    run_virtually(scenario())
    assert capsys.readouterr().err == ""


def test_a_lease_that_has_ended_by_our_clock_is_not_renewed_with_every_call() -> None:
    """With a clock that is far ahead every lease seems over: it is used all the same, for half a minute each."""

    async def scenario() -> None:
        lender = Lender(life=-HOUR, latency=0)
        results = await use(leasing(lender), 0.1, 10 * MINUTE)
        assert all(isinstance(result, Token) for result in results)
        assert len(lender.queried) == 20

    run_virtually(scenario())


async def test_what_is_kept_is_read_each_time() -> None:
    """Static credentials are the current content of the files, also after a rejection, and have no known expiry."""
    tokens = iter("abc")
    kept = StaticCredentials(lambda: Token(next(tokens)))
    first = await kept.current()
    assert (first, await kept.renewed(first), await kept.current()) == (Token("a"), Token("b"), Token("c"))
    assert kept.expires_at is None


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), ValueError("lacks ak")])
async def test_what_cannot_be_read_is_no_authentication(error: Exception) -> None:
    """An unreadable source is an error of the family that says why."""

    def read() -> Token:
        raise error

    kept = StaticCredentials(read)
    for asking in (kept.current(), kept.renewed(Token("a"))):
        with pytest.raises(NoCredentials) as refused:
            await asking
        assert refused.value.status is None
        assert str(error) in str(refused.value)


class TestChangingFile:
    """Files of secrets may be replaced at any time."""

    def test_a_change_is_seen(self, tmp_path: Path) -> None:
        """Rewritten, or replaced by a file of the same size and time, the new content counts at once."""
        path, new = tmp_path / "token", tmp_path / "new"
        path.write_text("one", "utf-8")
        file = ChangingFile(path)
        assert file.read() == "one"
        path.write_text("three", "utf-8")
        assert file.read() == "three"
        new.write_text("seven", "utf-8")
        status = path.stat()
        os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
        new.replace(path)
        assert file.read() == "seven"

    def test_an_unchanged_file_is_not_read_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every request reads the secret, so this must cost no more than a look at the file."""
        path = tmp_path / "token"
        path.write_text("one", "utf-8")
        file = ChangingFile(path)
        file.read()
        monkeypatch.setattr("exporter.files.read_bytes", None)
        assert file.read() == "one"

    @pytest.mark.parametrize("content", [b"one", b" one\n", b"\r\n\tone\r\n\r\n", b"\xef\xbb\xbfone\n"])
    def test_surroundings_do_not_count(self, tmp_path: Path, content: bytes) -> None:
        """Blanks and line ends around the secret, and a byte order mark before it, are no part of it."""
        path = tmp_path / "token"
        path.write_bytes(content)
        assert ChangingFile(path).read() == "one"

    def test_the_last_content_remains_while_the_file_is_replaced(self, tmp_path: Path) -> None:
        """A file that is away, empty or half written for a moment changes nothing until it is whole again."""
        path = tmp_path / "token"
        path.write_text("one", "utf-8")
        file = ChangingFile(path)
        assert file.read() == "one"
        path.unlink()
        assert file.read() == "one"
        path.touch()
        assert file.read() == "one"
        path.write_text(" \n", "utf-8")
        assert file.read() == "one"
        path.unlink()
        path.mkdir()
        assert file.read() == "one"
        path.rmdir()
        path.write_text("two", "utf-8")
        assert file.read() == "two"

    def test_a_file_that_never_was(self, tmp_path: Path) -> None:
        """Without any last content the error is the system's; once the file is there it is read."""
        file = ChangingFile(tmp_path / "token")
        with pytest.raises(FileNotFoundError):
            file.read()
        (tmp_path / "token").write_text("one", "utf-8")
        assert file.read() == "one"


def test_where_a_secret_may_be(tmp_path: Path) -> None:
    """A value, a file, or nowhere."""
    path = tmp_path / "token"
    path.write_text("in a file\n", "utf-8")
    readers = [secret(SecretStr("a value"), None), secret(None, path)]
    assert [reader and reader() for reader in readers] == ["a value", "in a file"]
    assert secret(None, None) is None


def test_secrets_are_shown_by_nothing() -> None:
    """No repr of what holds a secret on its way from the settings to the wire and back shows it."""
    token, key = Token("hush"), AccessKey("hush", "hush", "hush")
    request = Request("Op", "POST", "https://h", "/", headers={"X-Auth-Token": "hush"}, body=b'{"password": "hush"}')
    holders = [
        token,
        key,
        TemporaryCredentials(token, 0.0),
        TemporaryCredentials(key, 0.0),
        StaticCredentials(lambda: Token("hush")),
        leasing(Lender()),
        KeysLink(source="environment", project_id="p", read=lambda: key),
        OidcLink(
            source="environment",
            project_id="p",
            fixed=True,
            provider_urn="provider",
            agency_urn="agency",
            session_name="session",
            duration=3600,
            policy=None,
            policy_ids=(),
            id_token=lambda: "hush",
        ),
        IdTokenLink(
            source="environment", project_id="p", idp_id="idp", iam=None, token_path="/t", id_token=lambda: "hush"
        ),
        AgencyLink(
            project_id="p", pod=PodIdentity(endpoint="http://h", path="/", query="", token=lambda: "hush"), skipped=""
        ),
        IamUser("https://h", "d", "u", lambda: "hush", "p"),
        request,
        Answer(201, {"X-Subject-Token": "hush"}, b'{"credential": {"secret": "hush"}}'),
        config.Auth(token=SecretStr("hush")),
        config.Auth(access_key=SecretStr("hush"), secret_key=SecretStr("hush"), security_token=SecretStr("hush")),
        config.Auth(username="u", domain="d", password=SecretStr("hush")),
        config.Http(proxy=SecretStr("http://user:hush@proxy:3128")),
    ]
    assert [type(holder).__name__ for holder in holders if "hush" in repr(holder) + str(holder)] == []


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-01-02T03:04:05.000000Z",
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05",
        "2026-01-02T11:04:05+08:00",
        "2026-01-02T03:04:05.000000+00:00",
    ],
)
def test_times_of_leases(timestamp: str) -> None:
    """A lease's end is UTC, unless it says another zone."""
    assert seconds(timestamp) == EPOCH + DAY + 3 * HOUR + 4 * MINUTE + 5


@pytest.mark.bad_input
@pytest.mark.parametrize("timestamp", ["", "tomorrow", "2026-13-01T00:00:00Z", "1767225600"])
def test_times_that_are_none(timestamp: str) -> None:
    """A lease whose end cannot be read is no answer at all."""
    with pytest.raises(ErrorBody):
        seconds(timestamp)


@pytest.mark.bad_input
@pytest.mark.parametrize("content", [b"t\xffoken", b"\xff"])
def test_a_file_that_is_no_text(tmp_path: Path, content: bytes) -> None:
    """The error names the file and shows nothing of it, neither in its text nor in its repr."""
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not UTF-8 text") as refused:
        ChangingFile(path).read()
    assert str(path) in str(refused.value)
    assert "xff" not in repr(refused.value)


def test_a_wall_clock_that_is_set_back_delays_nothing() -> None:
    """Neither the next try after a failure nor the renewal ahead of the end."""
    jump = 0.0

    def clock() -> float:
        return wall_clock() + jump

    lender = Lender(failure=Unreachable("Lend", "timeout"))

    async def main() -> None:
        nonlocal jump
        leased = leasing(lender, clock)
        with pytest.raises(Unreachable):
            await leased.current()
        jump, lender.failure = -DAY, None
        await asyncio.sleep(10)
        await leased.current()

    run_virtually(main())


def test_a_file_that_is_written_with_the_same_size_and_time_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("wrong")
    kept = ChangingFile(file)
    before = file.stat()
    assert kept.read() == "wrong"
    file.write_text("right")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert kept.read() == "right"
