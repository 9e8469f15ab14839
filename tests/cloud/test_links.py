"""The exporter as a client of every link of the SDK's credential chain, against the simulator on loopback."""

from __future__ import annotations

import json
import os
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from huaweicloudsdkcore.auth.internal import StsAccessor
from support.clusters import LINKS, Cluster
from support.lanes import Querying

from exporter import config
from exporter.cloud.auth import AccessKey
from exporter.cloud.bodies import ByteBudget
from exporter.cloud.connect import Connection, ConnectionSpec, connect, connected
from exporter.cloud.errors import CloudError, Forbidden, InvalidResponse, NoCredentials, Refused, Unauthorized
from exporter.cloud.transport import tls_context
from exporter.polling.gate import KeyGate, Paused
from exporter.simulator import (
    DEMO_ID_TOKEN,
    DEMO_POD_TOKEN,
    DEMO_PROJECT_ID,
    Simulator,
    SimulatorOptions,
    parse_faults,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

TLS = tls_context(None)
MINUTE = 60.0
HOUR = 60 * MINUTE

OPERATIONS = {
    "oidc": ["AssumeAgencyWithOIDC"],
    "identity provider": ["CreateTokenWithIdToken", "CreateTemporaryAccessKeyByToken"],
    "file": ["CreateTokenWithIdToken", "CreateTemporaryAccessKeyByToken"],
    "ecs": ["GetSecurityKey", "GetSecurityKey"],  # the first request is for a token of the metadata service
    "pod": ["GetSecurityKey", "GetSecurityKey", "AssumeAgencyForPodIdentity"],
}
LIFETIME = {"oidc": HOUR, "identity provider": 6 * HOUR, "file": 6 * HOUR, "pod": 6 * HOUR}


class Clock:
    """A wall clock in seconds that a test moves."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        """Return its time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials and proxies of the developer's own."""
    for name in os.environ:
        if name.startswith(("HUAWEICLOUD_", "HC_CONTAINER_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(params=LINKS)
def cluster(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(request.param, tmp_path, monkeypatch)


@asynccontextmanager
async def connecting(
    cluster: Cluster, simulator: Simulator, clock: Callable[[], float], **endpoints: str
) -> AsyncIterator[Connection]:
    """A connection without `auth`."""
    async with simulator.serve() as url:
        project = {"project_id": DEMO_PROJECT_ID, "users": [], "endpoints": cluster.point_to(url) | endpoints}
        settings = config.build(config.Layer("test", {"projects": [project]}))
        async with connected(settings.projects[0], settings, TLS, clock, KeyGate()) as connection:
            yield connection


def issued(connection: Connection) -> list[str]:
    """Operations other than ListUsers that were requested so far, whatever came of them."""
    attempts = connection.telemetry.attempts
    return sorted(name for (name, _), count in attempts.items() if name != "ListUsers" for _ in range(count))


async def test_every_link_has_keys_that_the_cloud_accepts(cluster: Cluster, clock: Clock) -> None:
    """Its requests are counted by their official names. One set of keys serves many requests."""
    async with connecting(cluster, Simulator(clock=clock), clock) as connection:
        for _ in range(3):
            await connection.client.list_users([], 0)
        assert issued(connection) == sorted(OPERATIONS[cluster.link])
        assert isinstance(await connection.credentials.current(), AccessKey)
        if lifetime := LIFETIME.get(cluster.link):
            assert connection.credentials.expires_at == clock() + lifetime


async def test_keys_are_renewed_ahead_of_their_end(cluster: Cluster, clock: Clock) -> None:
    """40 minutes ahead, or after half of a short life. No request is rejected."""
    simulator = Simulator(clock=clock)
    async with connecting(cluster, simulator, clock) as connection:
        await connection.client.list_users([], 0)
        first, left = await connection.credentials.current(), (connection.credentials.expires_at or 0) - clock()
        clock.now += left - min(left / 2, 40 * MINUTE) - 1
        await connection.client.list_users([], 0)
        assert await connection.credentials.current() == first
        clock.now += 1
        await connection.client.list_users([], 0)
        assert await connection.credentials.current() != first
    assert not [call for call in simulator.calls.log if call.status == 401]


async def test_keys_that_have_expired_are_replaced_at_once(cluster: Cluster, clock: Clock) -> None:
    """The machine may have slept. The simulator would reject the old keys."""
    simulator = Simulator(clock=clock)
    async with connecting(cluster, simulator, clock) as connection:
        await connection.client.list_users([], 0)
        old = await connection.credentials.current()
        clock.now += 48 * HOUR
        await connection.client.list_users([], 0)
        with pytest.raises(Unauthorized):
            await connection.client.sending(old).list_users([], 0)


@pytest.mark.parametrize("cluster", ["oidc", "identity provider", "file", "pod"], indirect=True)
async def test_a_renewal_reads_the_token_anew(cluster: Cluster, clock: Clock) -> None:
    """A renewal with a wrong token fails, and the present keys serve on. With the next token it succeeds."""
    async with connecting(cluster, Simulator(clock=clock), clock) as connection:
        first = await connection.credentials.current()
        clock.now = (connection.credentials.expires_at or 0) - 20 * MINUTE
        good = cluster.token.read_text()
        cluster.token.write_text("rotated-too-far")
        await connection.client.list_users([], 0)
        assert await connection.credentials.current() == first
        cluster.token.write_text(good)
        clock.now += 6 * MINUTE  # failed renewals are repeated every five minutes
        await connection.client.list_users([], 0)
        assert await connection.credentials.current() != first


@pytest.mark.parametrize(
    ("cluster", "error"),
    [("oidc", Refused), ("identity provider", Unauthorized), ("file", Unauthorized), ("pod", Unauthorized)],
    indirect=["cluster"],
)
async def test_a_rejected_token_pauses_the_project(cluster: Cluster, clock: Clock, error: type[CloudError]) -> None:
    """Nothing is requested again until the pause ends, or another token is in the file."""
    simulator = Simulator(clock=clock)
    cluster.token.write_text("wrong")
    async with connecting(cluster, simulator, clock) as connection:
        querying = Querying(connection)
        with pytest.raises(error) as rejected:
            await querying.list_users()
        assert rejected.value.operation in OPERATIONS[cluster.link]
        before = issued(connection)
        with pytest.raises(Paused):
            await querying.list_users()
        assert issued(connection) == before
        cluster.token.write_text(DEMO_POD_TOKEN if cluster.link == "pod" else DEMO_ID_TOKEN)
        await querying.list_users()


@pytest.mark.parametrize("cluster", ["oidc"], indirect=True)
async def test_an_agency_that_is_denied_proves_nothing_about_the_keys(
    cluster: Cluster, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 403 with a code of the cloud usually means that the key is valid, but here there is no key yet."""
    simulator = Simulator(clock=clock)
    async with simulator.serve() as url:
        endpoints = cluster.point_to(url)
        monkeypatch.setenv("HUAWEICLOUD_OIDC_AGENCY_URN", "iam::0123456789:agency:another")
        project = {"project_id": DEMO_PROJECT_ID, "users": [], "endpoints": endpoints}
        settings = config.build(config.Layer("test", {"projects": [project]}))
        async with connected(settings.projects[0], settings, TLS, clock, KeyGate()) as connection:
            querying = Querying(connection)
            gate = querying.lane.access.gate
            gate.note_rejection()
            with pytest.raises(Forbidden):
                await querying.list_users()
            assert gate.must_be_kept, "the rejection is forgotten"
            with pytest.raises(Paused):
                await querying.list_users()


@pytest.mark.parametrize("cluster", ["pod"], indirect=True)
class TestAgencies:
    """The agency of the ECS goes before that of the pod. The one that answers first stays the source."""

    async def test_the_ecs_goes_first(self, cluster: Cluster, clock: Clock) -> None:
        async with connecting(cluster, Simulator(clock=clock), clock) as connection:
            pass
        simulator = Simulator(clock=clock)
        async with simulator.serve() as ecs, connecting(cluster, simulator, clock, metadata=ecs) as connection:
            await connection.client.list_users([], 0)
            assert issued(connection) == OPERATIONS["ecs"]

    @pytest.mark.parametrize("status", ["404", "500", "garbage"])
    async def test_an_ecs_without_an_agency_is_passed_over_once(
        self, cluster: Cluster, clock: Clock, status: str
    ) -> None:
        faulty = Simulator(SimulatorOptions(faults=parse_faults(f"SecurityKey:{status}=1")), clock=clock)
        simulator = Simulator(clock=clock)
        async with faulty.serve() as ecs, connecting(cluster, simulator, clock, metadata=ecs) as connection:
            await connection.client.list_users([], 0)
            assert issued(connection) == sorted(OPERATIONS["pod"])
            clock.now += 8 * HOUR
            await connection.client.list_users([], 0)
            assert issued(connection).count("GetSecurityKey") == 2
            assert issued(connection).count("AssumeAgencyForPodIdentity") == 2

    async def test_a_pod_never_takes_the_place_of_an_ecs_that_had_an_agency(
        self, cluster: Cluster, clock: Clock
    ) -> None:
        """The two agencies may have different permissions."""
        simulator, ecs = Simulator(clock=clock), Simulator(clock=clock)
        async with ecs.serve() as url, connecting(cluster, simulator, clock, metadata=url) as connection:
            await connection.client.list_users([], 0)
            ecs.options = replace(ecs.options, faults=parse_faults("SecurityKey:404=1"))
            clock.now += 48 * HOUR
            with pytest.raises(NoCredentials):
                await connection.client.list_users([], 0)
            assert "AssumeAgencyForPodIdentity" not in issued(connection)


class TestReload:
    """Equal specifications keep their connection when the configuration is reloaded."""

    def test_only_another_link_needs_another_connection(self, cluster: Cluster) -> None:
        before = spec_of(cluster.point_to("http://127.0.0.1:2"))
        cluster.token.write_text("rotated")
        assert spec_of(cluster.point_to("http://127.0.0.1:2")) == before
        assert spec_of(cluster.point_to("http://127.0.0.1:3")) != before

    @pytest.mark.parametrize("cluster", ["file"], indirect=True)
    async def test_a_credentials_file_that_becomes_readable_is_used(
        self, cluster: Cluster, clock: Clock, tmp_path: Path
    ) -> None:
        """Until then it is skipped, and nothing else has keys."""
        simulator = Simulator(SimulatorOptions(faults=parse_faults("SecurityKey:404=1")), clock=clock)
        async with simulator.serve() as url:
            endpoints = cluster.point_to(url)
            good = (tmp_path / "credentials").read_bytes()
            (tmp_path / "credentials").write_bytes(b"\xff")
            skipped = spec_of(endpoints)
            async with closing(connect(skipped, clock, KeyGate(), ByteBudget())) as connection:
                with pytest.raises(NoCredentials, match="is not UTF-8 text"):
                    await connection.client.list_users([], 0)
            (tmp_path / "credentials").write_bytes(good)
            assert spec_of(endpoints) != skipped
            async with closing(connect(spec_of(endpoints), clock, KeyGate(), ByteBudget())) as connection:
                await connection.client.list_users([], 0)


def spec_of(endpoints: dict[str, str]) -> ConnectionSpec:
    project = {"project_id": DEMO_PROJECT_ID, "users": [], "endpoints": endpoints}
    settings = config.build(config.Layer("test", {"projects": [project]}))
    return ConnectionSpec.of(settings.projects[0], settings, TLS)


@asynccontextmanager
async def closing(connection: Connection) -> AsyncIterator[Connection]:
    try:
        yield connection
    finally:
        await connection.close()


KEYS = {"secret": "s", "securitytoken": "st", "expires_at": "2099-01-02T03:04:05.000000Z"}
CAMEL = {
    "accessKeyId": "a",
    "secretAccessKey": "s",
    "securityToken": "st",
    "expiration": "2099-01-02T03:04:05.123456Z",
}
SNAKE = {
    "access_key_id": "a",
    "secret_access_key": "s",
    "security_token": "st",
    "expiration": "2099-01-02T03:04:05.123Z",
}


@pytest.mark.parametrize("cluster", ["pod"], indirect=True)
class TestAnswers:
    """The SDK reads every spelling of the keys at every link."""

    @pytest.mark.parametrize(
        "body",
        [
            {"access": "a", **KEYS},
            {"credential": {"access": "a", **KEYS}},
            {"credential": CAMEL, "assumedAgency": {"urn": ""}},
            {"credentials": SNAKE, "assumed_agency": {"urn": "", "id": ""}},
            {"credentials": {"access": None, "access_key_id": "a", **KEYS}},
        ],
        ids=json.dumps,
    )
    async def test_every_spelling_is_read_as_the_sdk_reads_it(
        self, cluster: Cluster, clock: Clock, body: dict[str, Any]
    ) -> None:
        judge = StsAccessor._process_credential(body)  # noqa: SLF001 - the SDK's only reader
        async with connecting(cluster, answering(json.dumps(body).encode(), clock), clock) as connection:
            expected = AccessKey(judge.access, judge.secret, judge.security_token)
            assert await connection.credentials.current() == expected

    @pytest.mark.bad_input
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"{}",
            b"null",
            b"<html></html>",
            b'{"credential": null}',
            b'{"credential": []}',
            b'{"credential": {"access": 1, "secret": "s", "expires_at": "2099-01-02T03:04:05Z"}}',
            json.dumps({"credential": {"access": "a", "secret": "", "expires_at": "2099-01-02T03:04:05Z"}}).encode(),
            json.dumps({"credential": {"access": "a", "secret": "s"}}).encode(),
            json.dumps({"credential": {**SNAKE, "security_token": None}}).encode(),
            json.dumps({"error_code": "CCE.1", "error_msg": "hush"}).encode(),
            b'{"credential":' * 5000,
        ],
        ids=lambda body: repr(body[:40]),
    )
    async def test_an_answer_without_keys_is_invalid(self, cluster: Cluster, clock: Clock, body: bytes) -> None:
        async with connecting(cluster, answering(body, clock), clock) as connection:
            with pytest.raises(InvalidResponse) as error:
                await connection.credentials.current()
        assert "hush" not in str(error.value)


def answering(body: bytes, clock: Clock) -> Simulator:
    """A simulator whose agent answers with this body."""
    simulator = Simulator(clock=clock)
    handle = simulator.handle
    simulator.handle = lambda request: replace(handle(request), status=200, body=body)  # type: ignore[method-assign] # for this one instance
    return simulator
