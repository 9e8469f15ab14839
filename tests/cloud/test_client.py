"""The client against the simulator on loopback: every way to authenticate, odd names, and what is refused."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.lanes import Querying
from support.promises import Promise

from exporter import config, logs
from exporter.cloud import connect, models, sources
from exporter.cloud.auth import AccessKey
from exporter.cloud.client import (
    IAM_ACTIONS,
    LIST_SERVER_GROUPS,
    LIST_SERVERS,
    LIST_SESSION_BY_USER_NAME,
    LIST_SESSIONS,
    LIST_USER_DETAIL,
    LIST_USERS,
    PAGE_SIZE,
    SESSIONS_A_PAGE,
)
from exporter.cloud.connect import Connection, connected
from exporter.cloud.errors import (
    CloudError,
    Forbidden,
    InvalidResponse,
    NoCredentials,
    NotFound,
    Refused,
    Throttled,
    Unauthorized,
    Unreachable,
)
from exporter.cloud.models import Session, UserDetail
from exporter.cloud.sources import IAM_OPERATION as CREATE_TOKEN
from exporter.cloud.transport import Transport, tls_context
from exporter.config.names import login_parts
from exporter.polling.gate import KeyGate, Paused
from exporter.simulator import (
    DEMO_ACCESS_KEY,
    DEMO_DOMAIN,
    DEMO_PASSWORD,
    DEMO_PROJECT_ID,
    DEMO_SECRET_KEY,
    DEMO_TOKEN,
    DEMO_USERNAME,
    SessionInfo,
    Simulator,
    SimulatorOptions,
    StaticPopulation,
    parse_faults,
)
from exporter.simulator import UserDetail as Person
from exporter.simulator.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

TLS = tls_context(None)

TOKEN = {"token": DEMO_TOKEN}
KEYS = {"access_key": DEMO_ACCESS_KEY, "secret_key": DEMO_SECRET_KEY}
PASSWORD = {"username": DEMO_USERNAME, "domain": DEMO_DOMAIN, "password": DEMO_PASSWORD}
NOTHING: dict[str, str] = {}
WAYS = {"token": TOKEN, "keys": KEYS, "password": PASSWORD, "metadata": NOTHING}
every_way = pytest.mark.parametrize("auth", WAYS.values(), ids=WAYS.keys())

STARTED = 1_767_323_040.0
"""2026-01-02 03:04 UTC."""
WINDOW = (STARTED - 3600, STARTED + 3600)

ODD_NAMES = [
    *("user001", "a b", " a", "a+b", "100%", "a%20b", "a&b=c", "x/y?z#w", "~tilde*", "Jörg Müller", "日本", "😀"),
    *('"quoted"', "back\\slash", "semi;colon", "..", "%", "(a)", "user@domain"),
]


@pytest.fixture(autouse=True)
def _no_credentials_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own is used: neither keys nor proxies."""
    for name in os.environ:
        if name.startswith(("HUAWEICLOUD_", "HC_CONTAINER_")):
            monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def population(*names: str) -> StaticPopulation:
    """Users with an id and a session each that tell them apart."""
    return StaticPopulation(
        {name: Person(id=f"id-{number}", user_name=name, locked=False) for number, name in enumerate(names)},
        {
            name: [
                SessionInfo(
                    id=f"session of {name}",
                    session_state="Active",
                    login_user=f"{name}@example.com",
                    start_time="2026-01-02 03:04:00",
                )
            ]
            for name in names
        },
    )


@asynccontextmanager
async def connecting(
    simulator: Simulator, auth: dict[str, str], now: Callable[[], float] = time.time, **changes: Any
) -> AsyncIterator[Connection]:
    """A connection to a served simulator, the settings made as from a file; ``changes`` are made to the project."""
    async with simulator.serve() as url:
        project = {
            "project_id": DEMO_PROJECT_ID,
            "users": [],
            "endpoints": dict.fromkeys(("sessions", "users", "iam", "metadata"), url),
            "auth": auth,
            **changes,
        }
        settings = config.build(config.Layer("test", {"projects": [project]}))
        async with connected(settings.projects[0], settings, TLS, now, KeyGate()) as connection:
            yield connection


def queried(simulator: Simulator) -> list[tuple[str, int]]:
    """Operations and statuses of all calls so far, in order."""
    return [(call.operation, call.status) for call in simulator.calls.log]


def test_operations_have_their_official_names() -> None:
    """The simulator knows each operation by the same name, and what it does without a permission agrees, below."""
    assert {known.name: known.action for known in OPERATIONS if known.action} == IAM_ACTIONS


class TestWaysToAuthenticate:
    """All that the configuration offers."""

    @every_way
    async def test_every_operation_is_answered(self, auth: dict[str, str]) -> None:
        """Each way is good for all six operations. Only one of them names the zone of its times."""
        simulator = Simulator(population=population("alice", "bob"))
        ahead = simulator.options.utc_offset * 3600
        async with connecting(simulator, auth) as connection:
            (of_bob,) = await connection.client.list_session_by_user_name("bob")
            assert await connection.client.list_user_detail("id-1") == UserDetail(locked=False)
            page = await connection.client.list_users(["bob"], 0)
            listed = await connection.client.list_sessions(*WINDOW, ["Active"], 0)
            assert (await connection.client.list_servers(0)).servers == ()
            assert (await connection.client.list_server_groups(0)).groups == ()
        for found, started in ((of_bob, STARTED + ahead), (listed.sessions[0], STARTED)):
            assert found.login_user == "bob@example.com"
            assert found.session == Session.of(id="session of bob", session_state="Active", started=started)
        assert (of_bob.utc, listed.sessions[0].utc) == (False, True)
        assert [(user.id, user.user_name) for user in page.users or ()] == [("id-1", "bob")]
        assert {status for operation, status in queried(simulator) if operation in IAM_ACTIONS} == {200}

    async def test_a_token(self) -> None:
        """A token needs nothing but the call itself, and its end is unknown."""
        simulator = Simulator()
        async with connecting(simulator, TOKEN) as connection:
            await connection.client.list_users([], 0)
            assert connection.credentials.expires_at is None
        assert queried(simulator) == [(LIST_USERS, 200)]

    async def test_a_token_file_may_be_replaced(self, tmp_path: Path) -> None:
        """The next call uses the new token; while the file is away the last one stands."""
        file = tmp_path / "token"
        file.write_text("wrong\n", "utf-8")
        simulator = Simulator()
        async with connecting(simulator, {"token_file": str(file)}) as connection:
            with pytest.raises(Unauthorized):
                await connection.client.list_users([], 0)
            file.write_text(f"{DEMO_TOKEN}\n", "utf-8")
            await connection.client.list_users([], 0)
            file.unlink()
            await connection.client.list_users([], 0)
        assert queried(simulator) == [(LIST_USERS, 401), (LIST_USERS, 200), (LIST_USERS, 200)]

    async def test_a_token_replaced_while_a_call_is_under_way(self, tmp_path: Path) -> None:
        """A request that was rejected with the old token is repeated with the one in the file by then."""
        file = tmp_path / "token"
        file.write_text("old", "utf-8")
        simulator = Simulator()
        answer = simulator.handle

        def replace_then_answer(request: Any) -> Any:
            response = answer(request)
            file.write_text(DEMO_TOKEN, "utf-8")
            return response

        simulator.handle = replace_then_answer  # type: ignore[method-assign] # for this one instance
        async with connecting(simulator, {"token_file": str(file)}) as connection:
            await Querying(connection).list_users()
        assert queried(simulator) == [(LIST_USERS, 401), (LIST_USERS, 200)]

    @pytest.mark.bad_input
    @pytest.mark.parametrize("content", ["two\nlines", "two\r\nX-Injected: yes"])
    async def test_a_token_file_that_became_nonsense(self, tmp_path: Path, content: str) -> None:
        """Whatever a token file comes to hold, the call ends in an error of the family, and works again after."""
        file = tmp_path / "token"
        file.write_text(DEMO_TOKEN, "utf-8")
        simulator = Simulator()
        async with connecting(simulator, {"token_file": str(file)}) as connection:
            file.write_text(content, "utf-8")
            with pytest.raises(Unreachable):
                await connection.client.list_users([], 0)
            file.write_bytes(b"\xff\xfe")
            with pytest.raises(NoCredentials, match="is not UTF-8 text"):
                await connection.client.list_users([], 0)
            file.write_text(DEMO_TOKEN, "utf-8")
            await connection.client.list_users([], 0)
        assert queried(simulator) == [(LIST_USERS, 200)]

    async def test_keys_in_files(self, tmp_path: Path) -> None:
        """Requests are signed with the keys that are in the files at that time."""
        access, secret = tmp_path / "ak", tmp_path / "sk"
        access.write_text(f"{DEMO_ACCESS_KEY}\n", "utf-8")
        secret.write_text("wrong", "utf-8")
        simulator = Simulator()
        async with connecting(
            simulator, {"access_key_file": str(access), "secret_key_file": str(secret)}
        ) as connection:
            with pytest.raises(Unauthorized):
                await connection.client.list_users([], 0)
            secret.write_text(f"{DEMO_SECRET_KEY}\n", "utf-8")
            await connection.client.list_users([], 0)

    async def test_temporary_keys_by_configuration(self) -> None:
        """Temporary keys work with their security token, and not without it."""
        simulator = Simulator()
        async with connecting(simulator, NOTHING) as connection:
            lent = await connection.credentials.current()
        assert isinstance(lent, AccessKey)
        keys = {"access_key": lent.access_key, "secret_key": lent.secret_key}
        whole = {**keys, "security_token": lent.security_token or ""}
        async with connecting(simulator, whole) as connection:
            await connection.client.list_users([], 0)
        async with connecting(simulator, keys) as connection:
            with pytest.raises(Unauthorized):
                await connection.client.list_users([], 0)

    async def test_an_iam_user(self) -> None:
        """One token serves all calls; it lives for a day."""
        simulator = Simulator()
        async with connecting(simulator, PASSWORD) as connection:
            await asyncio.gather(*(connection.client.list_users([], 0) for _ in range(10)))
            expires_at = connection.credentials.expires_at or 0
            assert simulator.calls.counts == {(CREATE_TOKEN, 201): 1, (LIST_USERS, 200): 10}
            assert connection.telemetry.attempts == {(CREATE_TOKEN, "201"): 1, (LIST_USERS, "200"): 10}
        assert expires_at == pytest.approx(time.time() + 86_400, abs=60)

    @pytest.mark.promise(Promise.RENEWED)
    async def test_a_revoked_token_is_renewed_once(self) -> None:
        """However many requests are rejected, one new token is requested, and each request is repeated once."""
        simulator = Simulator()
        async with connecting(simulator, PASSWORD) as connection:
            polling = Querying(connection)
            await polling.list_users()
            simulator.tokens.revoke_all()
            simulator.calls.counts.clear()
            pages = await asyncio.gather(*(polling.list_users() for _ in range(10)))
        assert len(pages) == 10
        assert simulator.calls.counts[CREATE_TOKEN, 201] == 1
        assert simulator.calls.counts[LIST_USERS, 200] == 10
        assert 1 <= simulator.calls.counts[LIST_USERS, 401] <= 10

    @pytest.mark.promise(Promise.RENEWED)
    async def test_a_renewed_token_that_is_rejected_as_well(self) -> None:
        """A second refusal is final for the call: no third try."""
        simulator = Simulator(SimulatorOptions(faults=parse_faults("ListUsers:401=1")))
        async with connecting(simulator, PASSWORD) as connection:
            polling = Querying(connection)
            with pytest.raises(Unauthorized) as refused:
                await polling.list_users()
            with pytest.raises(Paused):
                await polling.list_users()
        assert refused.value.operation == LIST_USERS
        assert queried(simulator) == [(CREATE_TOKEN, 201), (LIST_USERS, 401)] * 2

    async def test_a_token_is_renewed_ahead(self) -> None:
        """Forty minutes before its end a token is replaced without any call being refused."""
        clock = [time.time()]
        simulator = Simulator(clock=lambda: clock[0])
        async with connecting(simulator, PASSWORD, lambda: clock[0]) as connection:
            await connection.client.list_users([], 0)
            clock[0] += 23 * 3600 + 21 * 60
            await connection.client.list_users([], 0)
        assert queried(simulator) == [(CREATE_TOKEN, 201), (LIST_USERS, 200)] * 2

    @pytest.mark.parametrize(
        ("auth", "simulated", "told"),
        [
            (PASSWORD, CREATE_TOKEN, f"operation={CREATE_TOKEN} code=503"),
            (NOTHING, "SecurityKey", f"operation={sources.METADATA_OPERATION} code=no_credentials"),
        ],
        ids=["password", "metadata"],
    )
    async def test_a_renewal_ahead_that_fails_is_reported(
        self, auth: dict[str, str], simulated: str, told: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Requests continue with the current credentials, so nothing else would show this before they expire."""
        logs.configure(config.Log())
        clock = [time.time()]
        simulator = Simulator(clock=lambda: clock[0])
        async with connecting(simulator, auth, lambda: clock[0], name="berlin") as connection:
            await connection.client.list_users([], 0)
            clock[0] = (connection.credentials.expires_at or 0) - 90
            simulator.options = replace(simulator.options, faults=parse_faults(f"{simulated}:503=1"))
            for _ in range(3):
                await connection.client.list_users([], 0)
        (line,) = capsys.readouterr().err.splitlines()
        assert f"level=warning event=renewal_failing project=berlin {told}" in line
        assert "expires_in_seconds=90" in line
        assert DEMO_PASSWORD not in line

    @pytest.mark.bad_input
    @pytest.mark.parametrize("changes", [{"headers": {}}, {"body": b"<html></html>"}])
    async def test_half_a_token(self, changes: dict[str, Any]) -> None:
        """IAM's answer is of use only with a token and its end; no call asks again for a while."""
        simulator = Simulator()
        answer = simulator.handle
        simulator.handle = lambda request: replace(answer(request), **changes)  # type: ignore[method-assign] # for this one instance
        async with connecting(simulator, PASSWORD) as connection:
            polling = Querying(connection)
            with pytest.raises(InvalidResponse) as failed:
                await polling.list_users()
            assert failed.value.operation == CREATE_TOKEN
            with pytest.raises(Paused):
                await polling.list_users()
        assert queried(simulator) == [(CREATE_TOKEN, 201)]

    async def test_a_password_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        """A password file that is broken for a while causes a CloudError, and no request."""
        file = tmp_path / "password"
        file.write_text(DEMO_PASSWORD, "utf-8")
        auth = {**PASSWORD, "password_file": str(file)}
        del auth["password"]
        now = [time.time()]
        simulator = Simulator(clock=lambda: now[0])
        async with connecting(simulator, auth, lambda: now[0]) as connection:
            file.write_bytes(b"\xff")
            with pytest.raises(NoCredentials, match="is not UTF-8 text"):
                await connection.client.list_users([], 0)
            file.unlink()
            now[0] += 60
            with pytest.raises(NoCredentials, match="No such file"):
                await connection.client.list_users([], 0)
            assert queried(simulator) == []
            file.write_text(DEMO_PASSWORD, "utf-8")
            now[0] += 60
            await connection.client.list_users([], 0)

    async def test_keys_of_the_metadata_service(self) -> None:
        """Without any credentials an ECS's temporary keys are used, queried for once, with or without its own token."""
        simulator = Simulator()
        async with connecting(simulator, NOTHING) as connection:
            for _ in range(3):
                await connection.client.list_users([], 0)
            assert (connection.credentials.expires_at or 0) > time.time() + 11 * 3600
        # The simulated service gives no token of its own, which the client takes as an older one's way.
        assert queried(simulator) == [("unknown", 404), ("SecurityKey", 200), *[(LIST_USERS, 200)] * 3]

    @pytest.mark.parametrize(
        ("token", "sent"),
        [
            (b"session-token\n", "session-token"),
            (b"", None),
            (b"<html>\n<h1>Welcome</h1>\n</html>\n", None),
            (b"\xff", None),
        ],
    )
    async def test_the_metadata_services_own_token(self, token: bytes, sent: str | None) -> None:
        """The service's token is sent back to it; what cannot be one is left out."""
        simulator = Simulator()
        answer, received = simulator.handle, []

        def with_token(request: Any) -> Any:
            if request.path == "/meta-data/latest/api/token":
                assert (request.method, request.header("X-Metadata-Token-Ttl-Seconds")) == ("PUT", "60")
                return replace(answer(request), status=200, body=token)
            if request.path == "/openstack/latest/securitykey":
                received.append(request.header("X-Metadata-Token"))
            return answer(request)

        simulator.handle = with_token  # type: ignore[method-assign] # for this one instance
        async with connecting(simulator, NOTHING) as connection:
            await connection.client.list_users([], 0)
        assert received == [sent]

    async def test_an_ecs_without_an_agency(self) -> None:
        """If no link has keys, the error names all links, and no request is sent."""
        simulator = Simulator(SimulatorOptions(faults=parse_faults("SecurityKey:404=1")))
        async with connecting(simulator, NOTHING) as connection:
            polling = Querying(connection)
            with pytest.raises(NoCredentials, match="auth is not set") as nothing:
                await polling.list_users()
            assert nothing.value.operation == sources.METADATA_OPERATION
            with pytest.raises(Paused):
                await polling.list_users()
        assert queried(simulator) == [("unknown", 404), ("SecurityKey", 404)]

    async def test_the_sdks_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variables of the official SDK are used where the configuration says nothing."""
        monkeypatch.setenv("HUAWEICLOUD_SDK_AK", DEMO_ACCESS_KEY)
        monkeypatch.setenv("HUAWEICLOUD_SDK_SK", DEMO_SECRET_KEY)
        simulator = Simulator()
        async with connecting(simulator, NOTHING) as connection:
            await connection.client.list_users([], 0)
        assert queried(simulator) == [(LIST_USERS, 200)]

    async def test_the_sdks_credentials_file(self, tmp_path: Path) -> None:
        """So is the official SDK's file at home; rotated keys count at once."""
        file = tmp_path / ".huaweicloud" / "credentials"
        file.parent.mkdir()
        file.write_text(f"[basic]\nak = {DEMO_ACCESS_KEY}\nsk = old\n", "utf-8")
        simulator = Simulator()
        async with connecting(simulator, NOTHING) as connection:
            with pytest.raises(Unauthorized):
                await connection.client.list_users([], 0)
            file.write_text(f"[basic]\nak = {DEMO_ACCESS_KEY}\nsk = {DEMO_SECRET_KEY}\n", "utf-8")
            await connection.client.list_users([], 0)
            file.write_text("[basic]\n", "utf-8")
            with pytest.raises(NoCredentials, match="lacks ak or sk"):
                await connection.client.list_users([], 0)

    async def test_the_configuration_comes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Configured credentials are used whatever the SDK's environment says."""
        monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "other")
        monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "other")
        for auth in (TOKEN, KEYS, PASSWORD):
            async with connecting(Simulator(), auth) as connection:
                await connection.client.list_users([], 0)


class TestWrongCredentials:
    """No key or account is locked by trying what was refused again."""

    @pytest.mark.parametrize("auth", [{"token": "wrong"}, {**KEYS, "secret_key": "wrong"}, {**KEYS, "access_key": "X"}])
    async def test_what_is_kept_is_tried_once(self, auth: dict[str, str]) -> None:
        """Wrong keys or tokens are refused after exactly one call."""
        simulator = Simulator()
        async with connecting(simulator, auth) as connection:
            with pytest.raises(Unauthorized) as refused:
                await connection.client.list_users([], 0)
            assert connection.telemetry.attempts == {(LIST_USERS, "401"): 1}
        assert queried(simulator) == [(LIST_USERS, 401)]
        assert (refused.value.error_code, refused.value.operation) == ("APIGW.0301", LIST_USERS)
        assert len(refused.value.request_id or "") == 32

    async def test_a_wrong_password_is_tried_once(self) -> None:
        """However many requests need a token at once, and again and again: IAM gets one request."""
        simulator = Simulator()
        async with connecting(simulator, {**PASSWORD, "password": "wrong"}) as connection:
            polling = Querying(connection)
            for first in ({Unauthorized, Paused}, {Paused}, {Paused}):
                results = await asyncio.gather(*(polling.list_users() for _ in range(10)), return_exceptions=True)
                assert {type(each) for each in results} == first
            assert polling.lane.access.failure
            assert polling.lane.access.failure.operation == CREATE_TOKEN
        assert queried(simulator) == [(CREATE_TOKEN, 401)]

    async def test_a_clock_that_is_off(self) -> None:
        """A signature from another time is refused, and the skew tells why."""
        simulator = Simulator()
        async with connecting(simulator, KEYS, lambda: time.time() + 1000) as connection:
            with pytest.raises(Unauthorized):
                await connection.client.list_users([], 0)
            assert connection.telemetry.clock_skew == pytest.approx(-1000, abs=10)


class TestOddNames:
    """Names and ids as people have them."""

    @pytest.mark.parametrize("auth", [TOKEN, KEYS], ids=["token", "keys"])
    async def test_sessions_of_odd_names(self, auth: dict[str, str]) -> None:
        """Whatever a name holds, the cloud accepts the signature and finds just this user."""
        simulator = Simulator(population=population(*ODD_NAMES))
        async with connecting(simulator, auth) as connection:
            for name in ODD_NAMES:
                found = await connection.client.list_session_by_user_name(name)
                assert [each.session.id for each in found] == [f"session of {name}"]

    async def test_lookups_of_odd_names(self) -> None:
        """Several names are one signed parameter."""
        simulator = Simulator(population=population(*ODD_NAMES, "somebody else"))
        async with connecting(simulator, KEYS) as connection:
            page = await connection.client.list_users(ODD_NAMES[:5], 0)
        assert {user.user_name for user in page.users or ()} >= set(ODD_NAMES[:5])
        assert "somebody" not in repr(page)

    @pytest.mark.parametrize("user_id", ["8a2c3f9579d240820179d51e6caf0001", "a b", "ä+%", "..", "x?y=z#"])
    async def test_odd_ids(self, user_id: str) -> None:
        """An id is one segment of the path, whatever it holds."""
        people = StaticPopulation({"alice": Person(id=user_id, locked=True)})
        async with connecting(Simulator(population=people), KEYS) as connection:
            assert await connection.client.list_user_detail(user_id) == UserDetail(locked=True)

    async def test_pages(self) -> None:
        """A page begins at its offset, holds at most PAGE_SIZE users, and says how many there are in all."""
        names = [f"user{number:03}" for number in range(PAGE_SIZE + 30)]
        async with connecting(Simulator(population=population(*names)), KEYS) as connection:
            pages = [await connection.client.list_users(["user"], offset) for offset in (0, PAGE_SIZE, 2 * PAGE_SIZE)]
        assert [[user.user_name for user in page.users or ()] for page in pages] == [names[:100], names[100:], []]
        assert {page.total_count for page in pages} == {PAGE_SIZE + 30}


class TestSweeps:
    """What is listed of everybody."""

    async def test_pages_of_all_users(self) -> None:
        """Without names all users are listed, in pages as large as queried for, with the flags of their accounts."""
        names = [f"user{number:03}" for number in range(30)]
        async with connecting(Simulator(population=population(*names)), KEYS) as connection:
            pages = [await connection.client.list_users((), offset, 20) for offset in (0, 20)]
        assert [len(page.users or ()) for page in pages] == [20, 10]
        assert {user.detail for page in pages for user in page.users or ()} == {UserDetail(locked=False)}

    async def test_sessions_that_started_within_a_window(self) -> None:
        """To the millisecond; the window's two ends belong to it."""
        async with connecting(Simulator(population=population("a")), KEYS) as connection:
            found = [
                (await connection.client.list_sessions(begin, end, ["Active"], 0)).total
                for begin, end in [(STARTED, STARTED), (STARTED + 1, STARTED + 9), (STARTED - 9, STARTED - 0.001)]
            ]
        assert found == [1, 0, 0]

    async def test_sessions_in_some_states(self) -> None:
        """Several states are one signed parameter."""
        simulator = Simulator(population=population("a"))
        async with connecting(simulator, KEYS) as connection:
            for states, total in [(["InitFail", "Active"], 1), (["InitFail", "AppcInit"], 0)]:
                assert (await connection.client.list_sessions(*WINDOW, states, 0)).total == total

    async def test_whose_they_are_by_odd_names(self) -> None:
        """The bare name stands before the last at sign."""
        async with connecting(Simulator(population=population(*ODD_NAMES)), KEYS) as connection:
            page = await connection.client.list_sessions(*WINDOW, ["Active"], 0)
        assert {(login_parts(each.login_user or "")[0], each.session.id) for each in page.sessions} == {
            (name, f"session of {name}") for name in ODD_NAMES
        }

    async def test_pages_of_sessions(self) -> None:
        """A page holds at most as many as the reference allows, and says how many there are in all."""
        names = [f"user{number:03}" for number in range(SESSIONS_A_PAGE + 30)]
        async with connecting(Simulator(population=population(*names)), KEYS) as connection:
            pages = [await connection.client.list_sessions(*WINDOW, ["Active"], offset) for offset in (0, 100, 200)]
        assert [len(page.sessions) for page in pages] == [100, 30, 0]
        assert {page.total for page in pages} == {130}


class TestRefusals:
    """What the cloud refuses, as errors of the family."""

    async def test_unknown_users(self) -> None:
        """An unknown name and an unknown id are NotFound, each after one call."""
        simulator = Simulator()
        async with connecting(simulator, KEYS) as connection:
            with pytest.raises(NotFound):
                await connection.client.list_session_by_user_name("nobody")
            with pytest.raises(NotFound) as refused:
                await connection.client.list_user_detail("0" * 32)
        assert refused.value.error_code == "WKS.00170404"
        assert queried(simulator) == [(LIST_SESSION_BY_USER_NAME, 404), (LIST_USER_DETAIL, 404)]

    async def test_a_wrong_path_is_not_about_a_user(self) -> None:
        """A gateway that knows no such API does not make all users missing."""
        simulator = Simulator()
        async with simulator.serve() as url:
            endpoints = {"sessions": f"{url}/wrong", "users": f"{url}/wrong"}
            async with connecting(simulator, TOKEN, endpoints=endpoints) as connection:
                with pytest.raises(Refused) as refused:
                    await connection.client.list_user_detail("id")
        assert type(refused.value) is Refused
        assert refused.value.error_code == "APIG.0101"

    @pytest.mark.parametrize("operation", IAM_ACTIONS)
    async def test_a_missing_permission(self, operation: str) -> None:
        """Without its IAM action, and only then, an operation is Forbidden."""
        denied = SimulatorOptions(denied_actions=frozenset({IAM_ACTIONS[operation]}))
        async with connecting(Simulator(denied), KEYS) as connection:
            calls = {
                LIST_SESSION_BY_USER_NAME: connection.client.list_session_by_user_name("user"),
                LIST_USER_DETAIL: connection.client.list_user_detail("id"),
                LIST_USERS: connection.client.list_users([], 0),
                LIST_SESSIONS: connection.client.list_sessions(*WINDOW, ["Active"], 0),
                LIST_SERVERS: connection.client.list_servers(0),
                LIST_SERVER_GROUPS: connection.client.list_server_groups(0),
            }
            results = dict(zip(calls, await asyncio.gather(*calls.values(), return_exceptions=True), strict=True))
        assert [name for name, result in results.items() if isinstance(result, Forbidden)] == [operation]

    async def test_another_project(self) -> None:
        """Credentials of one project are Forbidden in another."""
        async with connecting(Simulator(), KEYS, project_id="f" * 32) as connection:
            with pytest.raises(Forbidden):
                await connection.client.list_users([], 0)

    async def test_an_exhausted_quota(self) -> None:
        """The quota is per operation: Throttled here, answered there."""
        async with connecting(Simulator(SimulatorOptions(quota=2)), KEYS) as connection:
            for _ in range(2):
                await connection.client.list_users([], 0)
            with pytest.raises(Throttled) as refused:
                await connection.client.list_users([], 0)
            with pytest.raises(NotFound):
                await connection.client.list_user_detail("id")
        assert refused.value.error_code == "APIG.0308"

    @pytest.mark.parametrize(
        ("fault", "kind", "outcome"),
        [
            ("200", InvalidResponse, "invalid_response"),
            ("garbage", InvalidResponse, "invalid_response"),
            ("500", Refused, "500"),
            ("502", Refused, "502"),
            ("503", Refused, "503"),
            ("504", Refused, "504"),
            ("reset", Unreachable, "connection_error"),
            ("hang", Unreachable, "timeout"),
        ],
    )
    async def test_faults(self, fault: str, kind: type[CloudError], outcome: str) -> None:
        """Each fault of the cloud is its own kind of error, tried once and counted under its outcome."""
        simulator = Simulator(SimulatorOptions(faults=parse_faults(f"{fault}=1")))
        async with simulator.serve() as url:
            project = {
                "project_id": DEMO_PROJECT_ID,
                "users": [],
                "endpoints": {"sessions": url, "users": url},
                "auth": TOKEN,
            }
            settings = config.build(config.Layer("test", {"projects": [project], "poll": {"timeout": 0.1}}))
            async with connected(settings.projects[0], settings, TLS, time.time, KeyGate()) as connection:
                with pytest.raises(CloudError) as failed:
                    await connection.client.list_users([], 0)
                assert connection.telemetry.attempts == {(LIST_USERS, outcome): 1}
        assert type(failed.value) is kind


class TestHosts:
    """The host of each operation."""

    @pytest.mark.parametrize(
        ("region", "sessions"),
        [
            ("cn-north-4", "https://appstream.cn-north-4.myhuaweicloud.com"),
            ("cn-north-9", "https://appstream.cn-north-9.myhuaweicloud.com"),
            ("cn-east-3", "https://appstream.cn-east-3.myhuaweicloud.com"),
            ("cn-south-1", "https://appstream.cn-south-1.myhuaweicloud.com"),
            ("cn-southwest-2", "https://appstream.cn-southwest-2.myhuaweicloud.com"),
            ("cn-north-11", "https://workspace.cn-north-11.myhuaweicloud.com"),
            ("cn-east-5", "https://workspace.cn-east-5.myhuaweicloud.com"),
            ("eu-west-101", "https://workspace.eu-west-101.myhuaweicloud.com"),
            ("ap-southeast-1", "https://workspace.ap-southeast-1.myhuaweicloud.com"),
            ("somewhere-new-1", "https://workspace.somewhere-new-1.myhuaweicloud.com"),
        ],
    )
    def test_hosts_of_regions(self, region: str, sessions: str) -> None:
        """Sessions have a host of their own in five regions, IAM and STS a domain of their own in Europe."""
        domain = "myhuaweicloud.eu" if region == "eu-west-101" else "myhuaweicloud.com"
        assert connect.sessions_endpoint(region) == sessions
        assert connect.users_endpoint(region) == f"https://workspace.{region}.myhuaweicloud.com"
        assert connect.iam_endpoint(region) == f"https://iam.{region}.{domain}"
        assert connect.sts_endpoint(region) == f"https://sts.{region}.{domain}"

    @pytest.mark.parametrize(
        ("endpoints", "expected"),
        [
            ({}, ("appstream.cn-east-3.myhuaweicloud.com", "workspace.cn-east-3.myhuaweicloud.com")),
            ({"sessions": "https://s.example/"}, ("s.example", "workspace.cn-east-3.myhuaweicloud.com")),
            ({"users": "https://u.example:8443"}, ("appstream.cn-east-3.myhuaweicloud.com", "u.example:8443")),
        ],
    )
    async def test_endpoints_override_the_region(
        self, monkeypatch: pytest.MonkeyPatch, endpoints: dict[str, str], expected: tuple[str, str]
    ) -> None:
        """Each service's address is the configured one, or else the region's; sessions and users go to their own."""
        called = []

        async def note(_: object, request: Any, __: object) -> models.SessionList:
            called.append(str(request.url).removeprefix("https://"))
            return models.SessionList((), 0)

        monkeypatch.setattr(Transport, "send", note)
        project = {
            "project_id": "p",
            "region": "cn-east-3",
            "users": [],
            "endpoints": endpoints,
            "auth": TOKEN,
        }
        settings = config.build(config.Layer("test", {"projects": [project]}))
        async with connected(settings.projects[0], settings, TLS, time.time, KeyGate()) as connection:
            await connection.client.list_session_by_user_name("alice")
            await connection.client.list_user_detail("1")
            await connection.client.list_users(["alice", "bob"], 100)
        assert called == [
            f"{expected[0]}/v1/p/session/user-session-info?user_name=alice",
            f"{expected[1]}/v2/p/users/1",
            f"{expected[1]}/v2/p/users?limit=100&offset=100&user_names=alice%2Cbob",
        ]

    @pytest.mark.parametrize(
        ("endpoints", "expected"),
        [({}, "https://iam.eu-west-101.myhuaweicloud.eu"), ({"iam": "https://i/"}, "https://i")],
    )
    async def test_the_host_of_iam(
        self, monkeypatch: pytest.MonkeyPatch, endpoints: dict[str, str], expected: str
    ) -> None:
        """Tokens come from the configured IAM, or else from the region's."""
        called = []

        async def note(_: object, request: Any, __: object) -> None:
            called.append((request.method, str(request.url)))
            raise NoCredentials("Op", "enough")

        monkeypatch.setattr(Transport, "send", note)
        project = {
            "project_id": "p",
            "region": "eu-west-101",
            "users": [],
            "endpoints": endpoints,
            "auth": PASSWORD,
        }
        settings = config.build(config.Layer("test", {"projects": [project]}))
        async with connected(settings.projects[0], settings, TLS, time.time, KeyGate()) as connection:
            with pytest.raises(NoCredentials, match="enough"):
                await connection.client.list_users([], 0)
        assert called == [("POST", f"{expected}/v3/auth/tokens")]
