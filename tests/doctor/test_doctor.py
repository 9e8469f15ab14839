"""What the doctor says of each trouble, over real sockets: the cause and the remedy, and nothing that is secret."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.certificates import behind_tls, certificate
from support.diagnosis import HUSH, Diagnosis, answering, authenticated, diagnose, diagnosis_by, frozen
from support.exporters import project, settings

from exporter.cloud.client import IAM_ACTIONS, LIST_SESSIONS, LIST_USERS
from exporter.simulator import Simulator, parse_faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = 1_790_000_000.0
USERS = IAM_ACTIONS[LIST_USERS]


def key(simulator: Simulator, **changes: str) -> dict[str, str]:
    account = simulator.options.account
    return {"access_key": account.access_key, "secret_key": account.secret_key, **changes}


def iam(simulator: Simulator, **changes: str) -> dict[str, str]:
    account = simulator.options.account
    return {"username": account.username, "domain": account.domain, "password": account.password, **changes}


async def diagnosis_of(simulator: Simulator, auth: dict[str, str] | None = None, **changes: Any) -> Diagnosis:
    """What is said of one project of a simulated cloud; by default it has the right key."""
    async with simulator.serve() as url:
        return await diagnose(project(simulator, url, auth=key(simulator) if auth is None else auth, **changes))


async def diagnosis_at(endpoint: str, **sections: Any) -> Diagnosis:
    """What is said of an endpoint for everything that is no cloud."""
    nowhere = project(frozen(), endpoint, auth={"token": f"{HUSH}-token"}, endpoints=services(endpoint))
    return await diagnose(nowhere, **sections)


def services(endpoint: str) -> dict[str, str]:
    """The same endpoint for sessions and users."""
    return {"sessions": endpoint, "users": endpoint}


class TestAllIsWell:
    async def test_every_check_is_ok(self) -> None:
        """One line a check; three calls with credentials in all."""
        simulator = frozen()
        said = await diagnosis_of(simulator)
        assert said.healthy
        assert [line.split()[:2] for line in said.text.splitlines()] == [
            ["project", "sim"],
            ["ok", "endpoint"],
            ["ok", "clock"],
            ["ok", "credentials"],
            ["ok", "permission"],
            ["ok", "permission"],
            ["ok", "permission"],
            ["ok", "one"],
            ["ok", "call"],
            ["ok", "call"],
            ["summary:", "9"],
        ]
        assert authenticated(simulator) == 3

    async def test_a_user_of_iam(self) -> None:
        """IAM's endpoint is looked at too, and the token's end is told."""
        simulator = frozen()
        said = await diagnosis_of(simulator, iam(simulator))
        assert said.healthy
        assert "(sessions, users, iam)" in said.text
        assert re.search(
            r"auth.username, auth.domain and auth.password: accepted, renewed by itself before 20", said.text
        )

    async def test_the_chain_s_end(self) -> None:
        """Without any auth the ECS's metadata service is one of the endpoints."""
        said = await diagnosis_of(frozen(), {})
        assert said.healthy
        assert "(sessions, users, metadata)" in said.text
        assert "the agency of this ECS (the SDK's chain): accepted" in said.text

    async def test_the_chain_s_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variables are named, and no metadata service is asked."""
        simulator = frozen()
        monkeypatch.setenv("HUAWEICLOUD_SDK_AK", simulator.options.account.access_key)
        monkeypatch.setenv("HUAWEICLOUD_SDK_SK", simulator.options.account.secret_key)
        said = await diagnosis_of(simulator, {})
        assert said.healthy
        assert "metadata" not in said.text
        assert "HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK of the environment (the SDK's chain): accepted" in said.text

    async def test_over_tls(self, tmp_path: Path, tool: Callable[[str], str]) -> None:
        """The version of TLS and the end of the certificate are told."""
        simulator, made = frozen(), certificate(tool("openssl"), tmp_path)
        async with simulator.serve() as plain, behind_tls(plain, made) as url:
            said = await diagnose(project(simulator, url, auth=key(simulator)), http={"ca_file": str(made)})
        assert said.healthy
        assert re.search(r"answers over TLS 1\.3 at 127\.0\.0\.1, certificate valid until \d{4}-\d\d-\d\d\n", said.text)

    async def test_through_a_proxy(self) -> None:
        """The proxy is named without its password, and resolves the name itself."""
        simulator = frozen()
        async with simulator.serve() as proxy:  # it takes whole addresses, as a proxy does
            password = proxy.replace("://", f"://user:{HUSH}@")
            said = await diagnosis_at("http://cloud.invalid", http={"proxy": password})
        assert f"answers through the proxy {proxy.removeprefix('http://')}, which resolves the name," in said.text


class TestCredentials:
    @pytest.mark.parametrize(
        ("auth", "names"),
        [
            ({"token": f"{HUSH}-token"}, "auth.token"),
            ({"access_key": "AK", "secret_key": f"{HUSH}-secret"}, "auth.access_key and auth.secret_key"),
        ],
    )
    async def test_refused_ones_are_tried_once(self, auth: dict[str, str], names: str) -> None:
        """One call in all, also with a second project that has the same, as refused signatures lock a key."""
        simulator = frozen()
        async with simulator.serve() as url:
            same = [project(simulator, url, auth=auth, name=name) for name in ("one", "two")]
            said = await diagnose(*same)
        assert not said.healthy
        assert authenticated(simulator) == 1
        assert simulator.calls.total("unknown") == 1, "the endpoint that both have is looked at once"
        assert f"the cloud refuses {names} (ListSessionByUserName: 401 APIGW.0301, request_id " in said.only("FAIL")
        assert f"{names}: not tried, the same credentials are refused in project one" in said.text
        assert len(said.lines("skip")) == 9

    async def test_a_wrong_secret_key(self) -> None:
        """All that a 401 may mean for a key is named: the pair, the clock, the lock."""
        simulator = frozen()
        said = await diagnosis_of(simulator, key(simulator, secret_key=f"{HUSH}-secret"))
        failure = said.only("FAIL")
        for cause in ("secret key belongs to the access key", "clock more than 15m off", "lock a key for 5 minutes"):
            assert cause in failure

    async def test_an_ended_token(self) -> None:
        simulator = frozen()
        simulator.tokens.revoke_all()
        said = await diagnosis_of(simulator, {"token": simulator.options.account.token})
        assert "write a new one: a token lives for 24 hours" in said.only("FAIL")

    async def test_a_token_in_the_configuration(self) -> None:
        """It works, and ends: that is a warning, which is no failure."""
        simulator = frozen()
        said = await diagnosis_of(simulator, {"token": simulator.options.account.token})
        assert said.healthy
        assert "auth.token: accepted -> it ends within 24 hours" in said.only("warn")

    async def test_a_wrong_password(self) -> None:
        """IAM is asked once for the account, which it would lock; the services not at all."""
        simulator = frozen()
        async with simulator.serve() as url:
            wrong = iam(simulator, password=f"{HUSH}-password")
            said = await diagnose(
                project(simulator, url, auth=wrong, name="one"),
                project(simulator, url, auth=wrong, name="two"),
                project(simulator, url, auth=iam(simulator), name="three"),
            )
        assert not said.healthy
        assert "IAM refuses auth.username, auth.domain and auth.password (401, request_id " in said.only("FAIL")
        assert "A few wrong passwords lock the user" in said.only("FAIL")
        assert "refused in project one" in said.text
        assert simulator.calls.total("KeystoneCreateUserTokenByPassword") == 1
        assert simulator.calls.total("ListSessionByUserName") == 0

    async def test_a_lent_token_that_is_refused(self) -> None:
        """It is not renewed, as the exporter would do: one token, one call."""
        simulator = frozen(faults=parse_faults("ListSessionByUserName:401=1"))
        said = await diagnosis_of(simulator, iam(simulator))
        assert "IAM gave a token that the service does not take" in said.only("FAIL")
        assert authenticated(simulator) == 2

    async def test_an_iam_that_hangs(self) -> None:
        """It is waited for once, not by every project."""
        simulator = frozen(faults=parse_faults("KeystoneCreateUserTokenByPassword:hang=1"))
        async with simulator.serve() as url:
            both = [project(simulator, url, auth=iam(simulator), name=name) for name in ("one", "two")]
            said = await diagnose(*both, poll={"timeout": "300ms"})
        assert "auth.username, auth.domain and auth.password: no whole answer within poll.timeout" in said.only("FAIL")
        assert "not asked for, the endpoint has stopped answering" in said.text
        assert authenticated(simulator) == 1

    async def test_a_credentials_file_of_the_sdk_that_has_broken(self, tmp_path: Path) -> None:
        """Its content is not shown."""
        file = tmp_path / ".huaweicloud" / "credentials"
        file.parent.mkdir()
        file.write_text(f"{HUSH}\n")
        said = await diagnosis_of(frozen(), {})
        assert f"credentials  {file} is not an ini file" in said.only("FAIL")

    async def test_a_file_that_is_gone(self, tmp_path: Path) -> None:
        """A file of secrets that was there when the configuration was read."""
        simulator, file = frozen(), tmp_path / "token"
        file.write_text(simulator.options.account.token)
        async with simulator.serve() as url:
            gone = project(simulator, url, auth={"token_file": str(file)})
            wanted = settings(gone)
            file.unlink()
            said = await diagnosis_by(wanted)
        assert not said.healthy
        assert "auth.token_file cannot be read: " in said.only("FAIL")
        assert str(file) in said.only("FAIL")
        assert authenticated(simulator) == 0


class TestPermissions:
    @pytest.mark.parametrize(
        "action", [IAM_ACTIONS[operation] for operation in IAM_ACTIONS if operation != LIST_SESSIONS]
    )
    async def test_a_missing_one_is_named(self, action: str) -> None:
        """It alone fails, whichever it is: the others are found to be there."""
        said = await diagnosis_of(frozen(denied_actions=frozenset({action})))
        assert not said.healthy
        assert f"permission   {action} is missing (403 WKS.00010403, request_id " in said.only("FAIL")
        assert "the policy in the README" in said.only("FAIL")
        assert len([line for line in said.lines("ok") if " permission " in line]) == 2

    async def test_listing_users_is_not_needed_with_ids(self) -> None:
        simulator = frozen(denied_actions=frozenset({USERS}))
        users = [{"name": user.user_name, "id": user.id} for user in simulator.users()]
        said = await diagnosis_of(simulator, users=users)
        assert said.healthy
        assert "not needed as long as every user has an id" in said.only("warn")
        assert "the account's flags are known" in said.text

    async def test_another_project(self) -> None:
        """A 403 by the gateway may be about the project: no permission is said to be missing for certain."""
        said = await diagnosis_of(frozen(), project_id="another")
        failures = said.lines("FAIL")
        assert len(failures) == 3
        for line in failures:
            assert "is not allowed, or these credentials are for another project (403 APIG.0302" in line
            assert "check project_id and region" in line

    @pytest.mark.parametrize(
        ("fault", "cause", "remedy"),
        [
            ("429=1", "quota of calls is used up", "ask again in a minute"),
            ("503=1", "the cloud is in trouble (503 WKS.00010503", "support the request_id"),
            ("garbage=1", "an answer came that is not the cloud's (invalid_response", "proxy or portal"),
            ("400=1", "does not understand the call", "project_id"),
            ("200=1", "an error under a status of success (invalid_response WKS.00010109", "the request_id"),
            ("reset=1", "the connection failed (connection_error, the answer broke off", "firewall and proxy"),
        ],
    )
    async def test_what_says_nothing_of_a_permission(self, fault: str, cause: str, remedy: str) -> None:
        """It is unknown then, for the reason that is told."""
        said = await diagnosis_of(frozen(faults=parse_faults(f"ListUsers:{fault}")))
        assert not said.healthy
        assert f"permission   {USERS} is unknown: " in said.only("FAIL")
        assert cause in said.only("FAIL")
        assert remedy in said.only("FAIL").partition("->")[2]

    async def test_an_api_that_hangs(self) -> None:
        """After one call without an answer that endpoint is left alone, whichever project asks."""
        simulator = frozen(faults=parse_faults("ListSessionByUserName:hang=1"))
        async with simulator.serve() as url:
            both = [project(simulator, url, auth=key(simulator), name=name) for name in ("one", "two")]
            said = await diagnose(*both, poll={"timeout": "300ms"})
        assert "no whole answer within poll.timeout" in said.only("FAIL")
        assert "not known, the endpoint has stopped answering" in said.text
        assert authenticated(simulator) == 1

    async def test_a_host_without_the_api(self) -> None:
        simulator = frozen()
        async with simulator.serve() as url:
            elsewhere = services(f"{url}/elsewhere")
            said = await diagnose(project(simulator, url, auth=key(simulator), endpoints=elsewhere))
        assert len(said.lines("FAIL")) == 3
        assert "this host has no such API (404 APIG.0101" in said.lines("FAIL")[0]
        assert "no answer says whether the cloud accepts them" in said.text


class TestClock:
    @staticmethod
    async def diagnosis(behind: float, auth: Callable[[Simulator], dict[str, str]]) -> Diagnosis:
        """What is said on a machine whose clock is so many seconds behind the cloud's."""
        simulator = frozen(clock=lambda: NOW + behind)
        async with simulator.serve() as url:
            wanted = settings(project(simulator, url, auth=auth(simulator)), poll={"timeout": "5s"})
            return await diagnosis_by(wanted, lambda: NOW)

    @pytest.mark.parametrize(("behind", "told"), [(1500, "25m behind"), (-1500, "25m ahead of")])
    async def test_one_that_is_far_off(self, behind: int, told: str) -> None:
        """It is the one failure: signatures are made with the cloud's time, so that all else is seen, too."""
        said = await self.diagnosis(behind, key)
        assert not said.healthy
        assert f"this machine's clock is {told} the cloud's; signatures are refused beyond 15m" in said.only("FAIL")
        assert "NTP" in said.only("FAIL")
        assert "auth.access_key and auth.secret_key: accepted" in said.text

    async def test_tokens_do_not_mind(self) -> None:
        said = await self.diagnosis(1500, iam)
        assert said.healthy
        assert "tokens work all the same" in said.only("warn")

    async def test_one_that_is_a_little_off(self) -> None:
        said = await self.diagnosis(300, key)
        assert said.healthy
        assert "clock is 5m behind the cloud's; beyond 15m signatures are refused" in said.only("warn")


class TestUsers:
    async def test_a_missing_first_one(self) -> None:
        """The next one is asked about, and the warning says what to look at."""
        simulator = frozen()
        names = [f"{HUSH}-nobody", *simulator.population.names()]
        said = await diagnosis_of(simulator, users=names)
        assert said.healthy
        assert "configured user 2 has " in said.only("warn")
        assert "the cloud does not know the 1 before" in said.only("warn")
        assert "names have to match exactly" in said.only("warn")

    async def test_three_missing_ones(self) -> None:
        """No further one is tried; the permissions are proved all the same."""
        simulator = frozen()
        said = await diagnosis_of(simulator, users=[f"{HUSH}-{number}" for number in range(9)])
        assert not said.healthy
        assert "the cloud knows none of the first 3 configured users" in said.only("FAIL")
        assert len([line for line in said.lines("ok") if " permission " in line]) == 3
        assert authenticated(simulator) == 5

    async def test_a_wrong_id(self) -> None:
        simulator = frozen()
        said = await diagnosis_of(simulator, users=[{"name": simulator.population.names()[0], "id": "wrong"}])
        assert "the cloud does not know the user's id -> correct the user's id" in said.only("warn")

    async def test_no_users(self) -> None:
        simulator = frozen()
        said = await diagnosis_of(simulator, users=[])
        assert "no user is configured" in said.only("FAIL")
        assert authenticated(simulator) == 0

    async def test_too_many_for_the_interval(self) -> None:
        """It works, only more slowly than configured: a warning with an interval that fits."""
        simulator = frozen(users=500)
        async with simulator.serve() as url:
            said = await diagnose(project(simulator, url, auth=key(simulator)), poll={"source": "per_user"})
        assert said.healthy
        assert (
            "ListSessionByUserName: 500 users every 1m are 500 calls a minute; poll.rate_limit allows 180, so that it "
            "is every 2m47s -> set poll.interval to 2m50s"
        ) in said.only("warn")


class TestEndpoints:
    async def test_an_unknown_name(self) -> None:
        said = await diagnosis_at("https://cloud.invalid")
        assert not said.healthy
        assert "is not reached: " in said.only("FAIL")
        assert "the name cloud.invalid" in said.only("FAIL")
        assert "DNS" in said.only("FAIL")
        assert len(said.lines("skip")) == 6

    async def test_a_refused_connection(self) -> None:
        said = await diagnosis_at("http://127.0.0.1:1")
        assert "127.0.0.1:1 refuses the connection" in said.only("FAIL")
        assert "firewall" in said.only("FAIL")

    async def test_a_dead_proxy(self) -> None:
        """The proxy is named as what is out of reach, its password is not."""
        said = await diagnosis_at("https://cloud.invalid", http={"proxy": f"http://user:{HUSH}@127.0.0.1:1"})
        assert "the proxy 127.0.0.1:1 refuses the connection" in said.only("FAIL")
        assert "http.proxy" in said.only("FAIL")

    @pytest.mark.parametrize(
        ("status", "remedy"), [("407 Who", "user and password"), ("403 No", "allow and reach this host")]
    )
    async def test_a_proxy_that_refuses(self, status: str, remedy: str) -> None:
        async with answering(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as proxy:
            said = await diagnosis_at("https://cloud.invalid", http={"proxy": proxy})
        assert f"refuses to pass to it ({status[:3]})" in said.only("FAIL")
        assert remedy in said.only("FAIL")

    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_a_black_hole(self, scheme: str) -> None:
        """What takes the connection and keeps silent costs one timeout, whatever is left to ask."""
        async with answering(b"") as url:
            began = time.monotonic()
            said = await diagnosis_at(url.replace("http", scheme), poll={"timeout": "300ms"})
            assert time.monotonic() - began < 10
        assert "takes the connection and then says nothing for 300ms" in said.only("FAIL")

    async def test_something_that_is_not_http(self) -> None:
        async with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as url:
            said = await diagnosis_at(url)
        assert "answers something that is not HTTP" in said.only("FAIL")

    async def test_a_port_that_does_not_speak_tls(self) -> None:
        async with frozen().serve() as url:
            said = await diagnosis_at(url.replace("http", "https"))
        assert "does not agree on TLS" in said.only("FAIL")

    async def test_a_redirect(self) -> None:
        """Never followed; the endpoint is suspect, and the calls fail for it."""
        async with answering(b"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\nContent-Length: 0\r\n\r\n") as url:
            said = await diagnosis_at(url)
        assert not said.healthy
        assert "with a redirect (302)" in said.only("warn")
        assert all("the answer is a redirect" in line for line in said.lines("FAIL"))

    @pytest.mark.parametrize(
        ("made_for", "trusted", "told", "remedy"),
        [
            ({}, False, "untrusted certificate: this machine's authorities do not know", "http.ca_file"),
            ({"name": "DNS:other.example"}, True, "a certificate for another name than 127.0.0.1", "check endpoints"),
            ({"days": -1}, True, "has an expired certificate", "renew"),
        ],
    )
    async def test_a_certificate_not_to_trust(  # noqa: PLR0913, PLR0917 - a row of a table, and where it is tried
        self, tmp_path: Path, tool: Callable[[str], str], made_for: Any, trusted: bool, told: str, remedy: str
    ) -> None:
        """Nothing is asked behind it, and no credentials go out."""
        simulator, made = frozen(), certificate(tool("openssl"), tmp_path, **made_for)
        async with simulator.serve() as plain, behind_tls(plain, made) as url:
            said = await diagnosis_at(url, http={"ca_file": str(made)} if trusted else {})
        assert not said.healthy
        assert told in said.only("FAIL")
        assert remedy in said.only("FAIL")
        assert authenticated(simulator) == 0

    async def test_a_certificate_that_ends_soon(self, tmp_path: Path, tool: Callable[[str], str]) -> None:
        simulator, made = frozen(), certificate(tool("openssl"), tmp_path, days=3)
        async with simulator.serve() as plain, behind_tls(plain, made) as url:
            said = await diagnose(project(simulator, url, auth=key(simulator)), http={"ca_file": str(made)})
        assert said.healthy
        assert "the certificate ends soon" in said.only("warn")

    async def test_no_metadata_service(self) -> None:
        """Without auth and without an ECS it says that auth is what is missing."""
        simulator = frozen()
        async with simulator.serve() as url:
            nowhere = services(url) | {"metadata": "http://127.0.0.1:1"}
            said = await diagnose(project(simulator, url, auth={}, endpoints=nowhere))
        assert "no auth is configured" in said.only("FAIL")
        assert "set auth, or run on an ECS with an agency" in said.only("FAIL")
        assert authenticated(simulator) == 0

    async def test_one_project_s_trouble_is_not_another_s(self) -> None:
        """Each has its heading, in the configuration's order; one that fails is enough for the exit code."""
        simulator = frozen()
        async with simulator.serve() as url:
            broken = project(simulator, "http://127.0.0.1:1", auth=key(simulator), name="broken")
            said = await diagnose(broken, project(simulator, url, auth=key(simulator), name="sound"))
        assert not said.healthy
        first, _, second = said.text.partition("project sound\n")
        assert first.startswith("project broken\n")
        assert "FAIL" in first
        assert "skip" not in second.replace("skip\n", "")
