"""The doctor reports each problem with its cause and remedy, over real sockets, and shows no secret."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.certificates import behind_tls, certificate
from support.diagnosis import HUSH, Diagnosis, answering, authenticated, diagnose, diagnosis_by, frozen
from support.exporters import project, settings

from exporter.cloud.client import IAM_ACTIONS, LIST_SERVER_GROUPS, LIST_SERVERS, LIST_SESSIONS, LIST_USERS
from exporter.simulator import Latency, Simulator, parse_faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = 1_790_000_000.0
USERS = IAM_ACTIONS[LIST_USERS]
OPTIONAL = {
    LIST_SESSIONS: "sessions that begin and end between two polls are not counted, and failures show up to",
    LIST_SERVERS: "no metric shows the servers of a group",
    LIST_SERVER_GROUPS: "server groups without a server are unknown",
}


def key(simulator: Simulator, **changes: str) -> dict[str, str]:
    account = simulator.options.account
    return {"access_key": account.access_key, "secret_key": account.secret_key, **changes}


def iam(simulator: Simulator, **changes: str) -> dict[str, str]:
    account = simulator.options.account
    return {"username": account.username, "domain": account.domain, "password": account.password, **changes}


async def diagnosis_of(simulator: Simulator, auth: dict[str, str] | None = None, **changes: Any) -> Diagnosis:
    """Diagnose one project of a simulated cloud; by default it has the right key."""
    async with simulator.serve() as url:
        return await diagnose(project(simulator, url, auth=key(simulator) if auth is None else auth, **changes))


async def diagnosis_at(endpoint: str, **sections: Any) -> Diagnosis:
    """Diagnose an endpoint that is not the cloud."""
    nowhere = project(frozen(), endpoint, auth={"token": f"{HUSH}-token"}, endpoints=services(endpoint))
    return await diagnose(nowhere, **sections)


def services(endpoint: str) -> dict[str, str]:
    """Return the same endpoint for sessions and users."""
    return {"sessions": endpoint, "users": endpoint}


class TestAllIsWell:
    async def test_every_check_is_ok(self) -> None:
        """One line per check, and six requests with credentials in total."""
        simulator = frozen()
        diagnosis = await diagnosis_of(simulator)
        assert diagnosis.healthy
        assert [line.split()[:2] for line in diagnosis.text.splitlines()] == [
            ["project", "sim"],
            ["ok", "endpoint"],
            ["ok", "clock"],
            ["ok", "credentials"],
            ["ok", "permission"],
            ["ok", "permission"],
            ["ok", "permission"],
            ["ok", "one"],
            *[["ok", "permission"]] * 3,
            *[["ok", "request"]] * 5,
            ["summary:", "15"],
        ]
        assert authenticated(simulator) == 6

    async def test_an_iam_user_is_accepted(self) -> None:
        """IAM's endpoint is checked too, and the token's expiry is shown."""
        simulator = frozen()
        diagnosis = await diagnosis_of(simulator, iam(simulator))
        assert diagnosis.healthy
        assert "(sessions, users, iam)" in diagnosis.text
        assert re.search(
            r"auth.username, auth.domain and auth.password: accepted, renewed automatically before 20", diagnosis.text
        )

    async def test_the_agency_of_an_ecs_is_accepted(self) -> None:
        """Without auth, the ECS's metadata service is one of the endpoints."""
        diagnosis = await diagnosis_of(frozen(), {})
        assert diagnosis.healthy
        assert "(sessions, users, metadata)" in diagnosis.text
        assert "the agency of this ECS (the SDK's chain): accepted" in diagnosis.text

    async def test_the_sdk_s_environment_variables_are_accepted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variables are named, and no metadata service is queried."""
        simulator = frozen()
        monkeypatch.setenv("HUAWEICLOUD_SDK_AK", simulator.options.account.access_key)
        monkeypatch.setenv("HUAWEICLOUD_SDK_SK", simulator.options.account.secret_key)
        diagnosis = await diagnosis_of(simulator, {})
        assert diagnosis.healthy
        assert "metadata" not in diagnosis.text
        assert (
            "HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK of the environment (the SDK's chain): accepted" in diagnosis.text
        )

    async def test_an_endpoint_over_tls_is_ok(self, tmp_path: Path, tool: Callable[[str], str]) -> None:
        """The TLS version and the end of the certificate are shown."""
        simulator, made = frozen(), certificate(tool("openssl"), tmp_path)
        async with simulator.serve() as plain, behind_tls(plain, made) as url:
            diagnosis = await diagnose(project(simulator, url, auth=key(simulator)), http={"ca_file": str(made)})
        assert diagnosis.healthy
        assert re.search(
            r"answers over TLS 1\.3 at 127\.0\.0\.1, certificate valid until \d{4}-\d\d-\d\d\n", diagnosis.text
        )

    async def test_an_endpoint_through_a_proxy_is_ok(self) -> None:
        """The proxy is named without its password, and resolves the name itself."""
        simulator = frozen()
        async with simulator.serve() as proxy:  # it accepts absolute URLs, like a proxy
            password = proxy.replace("://", f"://user:{HUSH}@")
            diagnosis = await diagnosis_at("http://cloud.invalid", http={"proxy": password})
        assert f"answers through the proxy {proxy.removeprefix('http://')}, which resolves the name," in diagnosis.text


class TestCredentials:
    @pytest.mark.parametrize(
        ("auth", "names"),
        [
            ({"token": f"{HUSH}-token"}, "auth.token"),
            ({"access_key": "AK", "secret_key": f"{HUSH}-secret"}, "auth.access_key and auth.secret_key"),
        ],
    )
    async def test_rejected_ones_are_tried_once(self, auth: dict[str, str], names: str) -> None:
        """One request in total, also with a second project: rejected signatures lock a key."""
        simulator = frozen()
        async with simulator.serve() as url:
            same = [project(simulator, url, auth=auth, name=name) for name in ("one", "two")]
            diagnosis = await diagnose(*same)
        assert not diagnosis.healthy
        assert authenticated(simulator) == 1
        assert simulator.calls.total("unknown") == 1, "both share one probe of the endpoint"
        assert f"the cloud rejects {names} (ListSessionByUserName: 401 APIGW.0301, request_id " in diagnosis.only(
            "FAIL"
        )
        assert f"{names}: not tried, the same credentials are rejected in project one" in diagnosis.text
        assert len(diagnosis.lines("skip")) == 15

    async def test_a_wrong_secret_key_is_a_failure_with_every_possible_cause(self) -> None:
        """A 401 may be about the pair, the clock or a lock."""
        simulator = frozen()
        diagnosis = await diagnosis_of(simulator, key(simulator, secret_key=f"{HUSH}-secret"))
        failure = diagnosis.only("FAIL")
        for cause in ("secret key belongs to the access key", "clock more than 15m off", "lock a key for 5 minutes"):
            assert cause in failure

    async def test_an_expired_token_is_a_failure(self) -> None:
        simulator = frozen()
        simulator.tokens.revoke_all()
        diagnosis = await diagnosis_of(simulator, {"token": simulator.options.account.token})
        assert "create a new one: a token lives for 24 hours" in diagnosis.only("FAIL")

    async def test_a_token_in_the_configuration_is_a_warning(self) -> None:
        """It works, but expires."""
        simulator = frozen()
        diagnosis = await diagnosis_of(simulator, {"token": simulator.options.account.token})
        assert diagnosis.healthy
        assert "auth.token: accepted -> it expires within 24 hours" in diagnosis.only("warn")

    async def test_a_wrong_password_is_tried_once(self) -> None:
        """IAM would lock the account. The services get no request."""
        simulator = frozen()
        async with simulator.serve() as url:
            wrong = iam(simulator, password=f"{HUSH}-password")
            diagnosis = await diagnose(
                project(simulator, url, auth=wrong, name="one"),
                project(simulator, url, auth=wrong, name="two"),
                project(simulator, url, auth=iam(simulator), name="three"),
            )
        assert not diagnosis.healthy
        names = "auth.username, auth.domain and auth.password"
        assert f"{names}: IAM rejects the user (401, request_id " in diagnosis.only("FAIL")
        assert "A few wrong passwords lock the user" in diagnosis.only("FAIL")
        assert "rejected in project one" in diagnosis.text
        assert simulator.calls.total("KeystoneCreateUserTokenByPassword") == 1
        assert simulator.calls.total("ListSessionByUserName") == 0

    async def test_a_token_that_iam_has_just_issued_is_rejected_only_once(self) -> None:
        """Unlike the exporter, the doctor does not renew it: one token, one request."""
        simulator = frozen(faults=parse_faults("ListSessionByUserName:401=1"))
        diagnosis = await diagnosis_of(simulator, iam(simulator))
        assert "the service rejects a token that IAM has just issued" in diagnosis.only("FAIL")
        assert authenticated(simulator) == 2

    async def test_an_iam_that_hangs_costs_one_timeout(self) -> None:
        """The second project does not wait again."""
        simulator = frozen(faults=parse_faults("KeystoneCreateUserTokenByPassword:hang=1"))
        async with simulator.serve() as url:
            both = [project(simulator, url, auth=iam(simulator), name=name) for name in ("one", "two")]
            diagnosis = await diagnose(*both, poll={"timeout": "300ms"})
        assert "auth.username, auth.domain and auth.password: no complete answer within poll.timeout" in diagnosis.only(
            "FAIL"
        )
        assert "not requested, the endpoint has stopped answering" in diagnosis.text
        assert authenticated(simulator) == 1

    async def test_a_broken_credentials_file_of_the_sdk_is_skipped(self, tmp_path: Path) -> None:
        """The content of the file is not shown."""
        file = tmp_path / ".huaweicloud" / "credentials"
        file.parent.mkdir()
        file.write_text(f"{HUSH}\n")
        diagnosis = await diagnosis_of(frozen(), {})
        assert f"credentials     the credentials file is skipped: {file} is not an ini file" in diagnosis.only("warn")
        assert diagnosis.healthy

    @pytest.mark.parametrize("setting", ["token_file", "access_key_file"])
    async def test_a_missing_file_is_a_failure(self, tmp_path: Path, setting: str) -> None:
        """It existed when the configuration was read. The request budget is still there."""
        simulator, file = frozen(), tmp_path / "secret"
        file.write_text(simulator.options.account.token)
        auth = {setting: str(file)} | ({"secret_key": f"{HUSH}-secret"} if setting == "access_key_file" else {})
        async with simulator.serve() as url:
            wanted = settings(project(simulator, url, auth=auth), poll={})
            file.unlink()
            diagnosis = await diagnosis_by(wanted)
        assert not diagnosis.healthy
        assert f"auth.{setting}" in diagnosis.only("FAIL")
        assert " cannot be read: " in diagnosis.only("FAIL")
        assert str(file) in diagnosis.only("FAIL")
        assert len([line for line in diagnosis.lines("ok") if " request budget " in line]) == 2
        assert authenticated(simulator) == 0


class TestPermissions:
    @pytest.mark.parametrize(
        "action", [action for operation, action in IAM_ACTIONS.items() if operation not in OPTIONAL]
    )
    async def test_a_missing_one_is_named_and_the_others_are_ok(self, action: str) -> None:
        diagnosis = await diagnosis_of(frozen(denied_actions=frozenset({action})))
        assert not diagnosis.healthy
        assert f"permission      {action} is missing (403 WKS.00010403, request_id " in diagnosis.only("FAIL")
        assert "the policy in CONFIGURATION.md" in diagnosis.only("FAIL")
        assert len([line for line in diagnosis.lines("ok") if " permission " in line]) == 5

    @pytest.mark.parametrize(("operation", "missed"), OPTIONAL.items())
    async def test_a_missing_optional_one_is_a_warning_that_says_what_is_missed(
        self, operation: str, missed: str
    ) -> None:
        diagnosis = await diagnosis_of(frozen(denied_actions=frozenset({IAM_ACTIONS[operation]})))
        assert diagnosis.healthy
        warning = diagnosis.only("warn")
        assert f"permission      {IAM_ACTIONS[operation]} is missing (403 WKS.00010403, request_id " in warning
        assert f"; without it, {missed}" in warning
        assert "the policy in CONFIGURATION.md" in warning
        assert f"request budget  {operation}:" not in diagnosis.text

    @pytest.mark.parametrize("operation", OPTIONAL)
    async def test_an_optional_operation_that_the_host_does_not_have_is_a_warning(self, operation: str) -> None:
        diagnosis = await diagnosis_of(frozen(faults=parse_faults(f"{operation}:404=1")))
        assert diagnosis.healthy
        assert f"{IAM_ACTIONS[operation]} could not be checked: this host has no such API" in diagnosis.only("warn")

    @pytest.mark.parametrize("operation", OPTIONAL)
    @pytest.mark.parametrize("fault", ["503=1", "garbage=1", "429=1"])
    async def test_an_optional_operation_that_fails_is_a_failure(self, operation: str, fault: str) -> None:
        diagnosis = await diagnosis_of(frozen(faults=parse_faults(f"{operation}:{fault}")))
        assert f"{IAM_ACTIONS[operation]} could not be checked: " in diagnosis.only("FAIL")

    async def test_listing_users_is_not_needed_with_ids(self) -> None:
        simulator = frozen(denied_actions=frozenset({USERS}))
        users = [{"name": user.user_name, "id": user.id} for user in simulator.users()]
        diagnosis = await diagnosis_of(simulator, users=users)
        assert diagnosis.healthy
        assert "not needed while every user has an id" in diagnosis.only("warn")
        assert "the account's flags are known" in diagnosis.text

    async def test_another_account_s_project_is_a_failure(self) -> None:
        """A 403 by the gateway may be about the project, so a permission only may be missing."""
        diagnosis = await diagnosis_of(frozen(), project_id="another")
        failures, warnings = diagnosis.lines("FAIL"), diagnosis.lines("warn")
        assert (len(failures), len(warnings)) == (3, 3)
        for line in failures + warnings:
            assert "is not allowed, or these credentials are for another project (403 APIG.0302" in line
            assert "check project_id and region" in line

    @pytest.mark.parametrize(
        ("fault", "cause", "remedy"),
        [
            ("429=1", "request quota is used up", "try again in a minute"),
            ("503=1", "in front of it, has a problem (503 WKS.00010503", "support the request_id"),
            ("garbage=1", "the answer does not match the cloud's API (invalid_response", "proxy or portal"),
            ("400=1", "does not understand the request", "project_id"),
            ("200=1", "an error with a success status (invalid_response WKS.00010109", "the request_id"),
            ("reset=1", "the connection failed (connection_error, the answer broke off", "firewall and proxy"),
        ],
    )
    async def test_an_error_that_proves_no_permission_is_a_failure(self, fault: str, cause: str, remedy: str) -> None:
        diagnosis = await diagnosis_of(frozen(faults=parse_faults(f"ListUsers:{fault}")))
        assert not diagnosis.healthy
        assert f"permission      {USERS} could not be checked: " in diagnosis.only("FAIL")
        assert cause in diagnosis.only("FAIL")
        assert remedy in diagnosis.only("FAIL").partition("->")[2]

    async def test_an_api_that_hangs_costs_one_timeout(self) -> None:
        """After one request without an answer, no project queries that endpoint."""
        simulator = frozen(faults=parse_faults("ListSessionByUserName:hang=1"))
        async with simulator.serve() as url:
            both = [project(simulator, url, auth=key(simulator), name=name) for name in ("one", "two")]
            diagnosis = await diagnose(*both, poll={"timeout": "300ms"})
        assert "no complete answer within poll.timeout" in diagnosis.only("FAIL")
        assert "not checked, the endpoint has stopped answering" in diagnosis.text
        assert authenticated(simulator) == 1

    async def test_a_project_s_own_timeout_applies_to_the_probe(self) -> None:
        """The other project at the same endpoint has a probe of its own."""
        simulator = frozen(latency=Latency(0.6))
        async with simulator.serve() as url:
            patient = project(simulator, url, auth=key(simulator), name="patient")
            hasty = project(simulator, url, auth=key(simulator), name="hasty", poll={"timeout": "200ms"})
            diagnosis = await diagnose(patient, hasty, poll={"timeout": "30s"})
        first, _, second = diagnosis.text.partition("project hasty\n")
        assert "FAIL" not in first
        assert "accepts the connection but sends no answer within 200ms" in second

    async def test_a_project_s_own_timeout_applies_to_requests(self) -> None:
        simulator = frozen(faults=parse_faults("ListSessionByUserName:hang=1"))
        began = time.monotonic()
        diagnosis = await diagnosis_of(simulator, poll={"timeout": "500ms"})
        assert "no complete answer within poll.timeout" in diagnosis.only("FAIL")
        assert time.monotonic() - began < 5, "less than the timeout of the section"

    async def test_a_host_without_the_api_is_a_failure(self) -> None:
        simulator = frozen()
        async with simulator.serve() as url:
            elsewhere = services(f"{url}/elsewhere")
            diagnosis = await diagnose(project(simulator, url, auth=key(simulator), endpoints=elsewhere))
        assert len(diagnosis.lines("FAIL")) == 3
        assert "this host has no such API (404 APIG.0101" in diagnosis.lines("FAIL")[0]
        assert "no answer shows whether the cloud accepts them" in diagnosis.text


class TestClock:
    @staticmethod
    async def diagnosis(behind: float, auth: Callable[[Simulator], dict[str, str]]) -> Diagnosis:
        """Diagnose with a clock that is this many seconds behind the cloud's."""
        simulator = frozen(clock=lambda: NOW + behind)
        async with simulator.serve() as url:
            wanted = settings(project(simulator, url, auth=auth(simulator)), poll={"timeout": "5s"})
            return await diagnosis_by(wanted, lambda: NOW)

    @pytest.mark.parametrize(("behind", "expected"), [(1500, "25m behind"), (-1500, "25m ahead of")])
    async def test_one_that_is_far_off_is_the_only_failure(self, behind: int, expected: str) -> None:
        """Signatures use the cloud's time, so that the other checks still work."""
        diagnosis = await self.diagnosis(behind, key)
        assert not diagnosis.healthy
        assert (
            f"this machine's clock is {expected} the cloud's; the cloud rejects signatures that are more than 15m off"
            in diagnosis.only("FAIL")
        )
        assert "NTP" in diagnosis.only("FAIL")
        assert "auth.access_key and auth.secret_key: accepted" in diagnosis.text

    async def test_one_that_is_far_off_is_a_warning_with_tokens(self) -> None:
        diagnosis = await self.diagnosis(1500, iam)
        assert diagnosis.healthy
        assert "tokens work all the same" in diagnosis.only("warn")

    async def test_one_that_is_a_little_off_is_a_warning(self) -> None:
        diagnosis = await self.diagnosis(300, key)
        assert diagnosis.healthy
        assert "clock is 5m behind the cloud's; the cloud rejects signatures" in diagnosis.only("warn")


class TestUsers:
    async def test_an_unknown_first_one_is_a_warning(self) -> None:
        """The next one is queried."""
        simulator = frozen()
        names = [f"{HUSH}-nobody", *simulator.population.names()]
        diagnosis = await diagnosis_of(simulator, users=names)
        assert diagnosis.healthy
        name, one_user = diagnosis.lines("warn")
        assert "configured user 1 does not exist in the cloud -> correct the name" in name
        assert "configured user 2 has " in one_user
        assert "unknown to the cloud: the 1 before" in one_user
        assert "names must be as in ListUsers" in one_user

    async def test_three_unknown_ones_are_a_failure(self) -> None:
        """No further one is queried. Their 404 proves the permissions."""
        simulator = frozen()
        diagnosis = await diagnosis_of(simulator, users=[f"{HUSH}-{number}" for number in range(9)])
        assert not diagnosis.healthy
        assert "the first 3 configured users are unknown to the cloud" in diagnosis.only("FAIL")
        assert len([line for line in diagnosis.lines("ok") if " permission " in line]) == 6
        assert authenticated(simulator) == 8

    async def test_an_unknown_id_is_a_warning(self) -> None:
        simulator = frozen()
        diagnosis = await diagnosis_of(simulator, users=[{"name": simulator.population.names()[0], "id": "wrong"}])
        assert "the user's id is unknown to the cloud -> correct the user's id" in diagnosis.only("warn")

    async def test_no_users_are_a_failure(self) -> None:
        simulator = frozen()
        diagnosis = await diagnosis_of(simulator, users=[])
        assert "no user is configured" in diagnosis.only("FAIL")
        assert authenticated(simulator) == 0

    async def test_too_many_for_the_interval_are_a_warning_with_an_interval_that_fits(self) -> None:
        simulator = frozen(users=500)
        async with simulator.serve() as url:
            diagnosis = await diagnose(project(simulator, url, auth=key(simulator)), poll={"source": "per_user"})
        assert diagnosis.healthy
        assert (
            "ListSessionByUserName: 500 users every 1m are 500 requests per minute, 180 allowed by poll.rate_limit; "
            "a cycle takes 2m47s -> set poll.interval to 2m50s"
        ) in diagnosis.only("warn")


class TestEndpoints:
    async def test_an_unknown_name_is_a_failure(self) -> None:
        diagnosis = await diagnosis_at("https://cloud.invalid")
        assert not diagnosis.healthy
        assert "is unreachable: " in diagnosis.only("FAIL")
        assert "the name cloud.invalid" in diagnosis.only("FAIL")
        assert "DNS" in diagnosis.only("FAIL")
        assert len(diagnosis.lines("skip")) == 9

    async def test_a_refused_connection_is_a_failure(self) -> None:
        diagnosis = await diagnosis_at("http://127.0.0.1:1")
        assert "127.0.0.1:1 refuses the connection" in diagnosis.only("FAIL")
        assert "firewall" in diagnosis.only("FAIL")

    async def test_an_unreachable_proxy_is_a_failure(self) -> None:
        """The proxy is named, its password is not."""
        diagnosis = await diagnosis_at("https://cloud.invalid", http={"proxy": f"http://user:{HUSH}@127.0.0.1:1"})
        assert "the proxy 127.0.0.1:1 refuses the connection" in diagnosis.only("FAIL")
        assert "http.proxy" in diagnosis.only("FAIL")

    @pytest.mark.parametrize(
        ("status", "remedy"), [("407 Who", "user and password"), ("403 No", "allow and reach this host")]
    )
    async def test_a_proxy_that_rejects_the_request_is_a_failure(self, status: str, remedy: str) -> None:
        async with answering(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as proxy:
            diagnosis = await diagnosis_at("https://cloud.invalid", http={"proxy": proxy})
        assert f"rejects the request ({status[:3]})" in diagnosis.only("FAIL")
        assert remedy in diagnosis.only("FAIL")

    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_a_silent_endpoint_costs_one_timeout(self, scheme: str) -> None:
        async with answering(b"") as url:
            began = time.monotonic()
            diagnosis = await diagnosis_at(url.replace("http", scheme), poll={"timeout": "300ms"})
            assert time.monotonic() - began < 10
        assert "accepts the connection but sends no answer within 300ms" in diagnosis.only("FAIL")

    async def test_an_answer_that_is_not_http_is_a_failure(self) -> None:
        async with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as url:
            diagnosis = await diagnosis_at(url)
        assert "does not answer with HTTP" in diagnosis.only("FAIL")

    async def test_a_port_that_does_not_speak_tls_is_a_failure(self) -> None:
        async with frozen().serve() as url:
            diagnosis = await diagnosis_at(url.replace("http", "https"))
        assert "fails the TLS handshake" in diagnosis.only("FAIL")

    async def test_a_redirect_is_a_warning_and_not_followed(self) -> None:
        """The requests to the endpoint fail."""
        async with answering(b"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\nContent-Length: 0\r\n\r\n") as url:
            diagnosis = await diagnosis_at(url)
        assert not diagnosis.healthy
        assert "a redirect, which is never followed (302)" in diagnosis.only("warn")
        assert all("the answer is a redirect" in line for line in diagnosis.lines("FAIL"))

    @pytest.mark.parametrize(
        ("made_for", "trusted", "expected", "remedy"),
        [
            ({}, False, "untrusted certificate: its issuer is not in this machine's", "http.ca_file"),
            ({"name": "DNS:other.example"}, True, "a certificate for another name than 127.0.0.1", "check endpoints"),
            ({"days": -1}, True, "has an expired certificate", "renew"),
        ],
    )
    async def test_a_bad_certificate_is_a_failure(  # noqa: PLR0913, PLR0917 - a row of a table and two fixtures
        self, tmp_path: Path, tool: Callable[[str], str], made_for: Any, trusted: bool, expected: str, remedy: str
    ) -> None:
        """No credentials are sent."""
        simulator, made = frozen(), certificate(tool("openssl"), tmp_path, **made_for)
        async with simulator.serve() as plain, behind_tls(plain, made) as url:
            diagnosis = await diagnosis_at(url, http={"ca_file": str(made)} if trusted else {})
        assert not diagnosis.healthy
        assert expected in diagnosis.only("FAIL")
        assert remedy in diagnosis.only("FAIL")
        assert authenticated(simulator) == 0

    async def test_a_certificate_that_expires_soon_is_a_warning(
        self, tmp_path: Path, tool: Callable[[str], str]
    ) -> None:
        simulator, made = frozen(), certificate(tool("openssl"), tmp_path, days=3)
        async with simulator.serve() as plain, behind_tls(plain, made) as url:
            diagnosis = await diagnose(project(simulator, url, auth=key(simulator)), http={"ca_file": str(made)})
        assert diagnosis.healthy
        assert "the certificate expires soon" in diagnosis.only("warn")

    async def test_an_unreachable_metadata_service_means_that_auth_is_missing(self) -> None:
        simulator = frozen()
        async with simulator.serve() as url:
            nowhere = services(url) | {"metadata": "http://127.0.0.1:1"}
            diagnosis = await diagnose(project(simulator, url, auth={}, endpoints=nowhere))
        assert "no auth is configured" in diagnosis.only("FAIL")
        assert "set auth, or run on an ECS with an agency" in diagnosis.only("FAIL")
        assert authenticated(simulator) == 0

    async def test_one_project_s_failure_does_not_affect_another_project(self) -> None:
        """Each has its heading, in the configuration's order. One failure is enough for the exit code."""
        simulator = frozen()
        async with simulator.serve() as url:
            broken = project(simulator, "http://127.0.0.1:1", auth=key(simulator), name="broken")
            diagnosis = await diagnose(broken, project(simulator, url, auth=key(simulator), name="sound"))
        assert not diagnosis.healthy
        first, _, second = diagnosis.text.partition("project sound\n")
        assert first.startswith("project broken\n")
        assert "FAIL" in first
        assert "skip" not in second.replace("skip\n", "")
