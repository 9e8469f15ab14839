"""Authentication: tokens, passwords, signatures, temporary keys and locked keys."""

import asyncio
from datetime import datetime
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from yarl import URL

from exporter.simulator import (
    DEMO_ACCESS_KEY,
    DEMO_AGENCY_URN,
    DEMO_DOMAIN,
    DEMO_ID_TOKEN,
    DEMO_IDP_ID,
    DEMO_PASSWORD,
    DEMO_POD_TOKEN,
    DEMO_PROJECT_ID,
    DEMO_PROVIDER_URN,
    DEMO_SECRET_KEY,
    DEMO_TOKEN,
    DEMO_USERNAME,
    Request,
    Response,
    Simulator,
)

NOW = 1_800_000_000.0
SIGNED_AT = "20270115T080000Z"
USERS = f"/v2/{DEMO_PROJECT_ID}/users"


class Clock:
    """A clock that a test sets."""

    now = NOW

    def __call__(self) -> float:
        """Return its time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def simulator(clock: Clock) -> Simulator:
    return Simulator(clock=clock)


def signed(secret_key: str = DEMO_SECRET_KEY, date: str = SIGNED_AT, query: str = "limit=1&offset=0") -> Request:
    """Return a request that the SDK's signer signed at this date."""
    pairs = [tuple(part.split("=")) for part in query.split("&")]
    request = SdkRequest(
        method="GET",
        schema="http",
        host="127.0.0.1",
        resource_path=USERS,
        query_params=pairs,
        header_params={"X-Sdk-Date": date, "X-Tag": " padded  "},
        body="",
    )
    Signer(BasicCredentials(DEMO_ACCESS_KEY, secret_key, DEMO_PROJECT_ID)).sign(request)
    return Request("GET", f"{USERS}?{query}", request.header_params)


def message(response: Response) -> str:
    body: dict[str, Any] = msgspec.json.decode(response.body)
    assert body["error_code"] == "APIGW.0301"
    assert body["request_id"] == response.headers["X-Request-Id"]
    return str(body["error_msg"]).removeprefix("Incorrect IAM authentication information: ")


def with_token(token: str) -> Request:
    return Request("GET", USERS, {"x-auth-token": token})


def token_request(**changes: str) -> Request:
    """Return a request for a token, with some credentials changed."""
    who = {
        "name": DEMO_USERNAME,
        "password": DEMO_PASSWORD,
        "domain": DEMO_DOMAIN,
        "project": DEMO_PROJECT_ID,
    } | changes
    user = {"name": who["name"], "password": who["password"], "domain": {"name": who["domain"]}}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = {"auth": {"identity": identity, "scope": {"project": {"id": who["project"]}}}}
    return Request("POST", "/v3/auth/tokens", body=msgspec.json.encode(body))


def test_the_signature_covers_what_was_sent(simulator: Simulator) -> None:
    """A signature is valid for its own request, and invalid if one byte of the query differs."""
    request = signed()
    assert simulator.handle(request).status == 200
    tampered = Request("GET", request.target.replace("limit=1", "limit=2"), request.headers)
    assert message(simulator.handle(tampered)).startswith("verify aksk signature fail")


def test_only_the_signed_encoding_is_accepted(simulator: Simulator) -> None:
    """`+` and `%20` both mean a space, but only the signed one is accepted."""
    request = signed(query="user_name=a b")
    assert simulator.handle(Request("GET", f"{USERS}?user_name=a%20b", request.headers)).status == 200
    assert simulator.handle(Request("GET", f"{USERS}?user_name=a+b", request.headers)).status == 401


def test_the_order_of_parameters_does_not_matter(simulator: Simulator) -> None:
    """The canonical query is sorted."""
    assert simulator.handle(Request("GET", f"{USERS}?offset=0&limit=1", signed().headers)).status == 200


@pytest.mark.parametrize(("skew", "status"), [(-901, 401), (-900, 200), (900, 200), (901, 401)])
def test_a_clock_may_be_fifteen_minutes_off(simulator: Simulator, clock: Clock, skew: float, status: int) -> None:
    """A signature is valid from 15 minutes before to 15 minutes after its date."""
    clock.now = NOW + skew
    response = simulator.handle(signed())
    assert response.status == status
    if status == 401:
        assert message(response).startswith("calc aksk signature fail:signature expired, signature time:2027")


def test_more_than_five_failures_in_a_row_lock_the_key(simulator: Simulator, clock: Clock) -> None:
    """A success resets five failures. After six, a valid signature is rejected, too, for five minutes."""
    for _ in range(5):
        assert simulator.handle(signed("wrong")).status == 401
    assert simulator.handle(signed()).status == 200
    for _ in range(6):
        assert "verify aksk signature fail" in message(simulator.handle(signed("wrong")))
    assert message(simulator.handle(signed())) == "AK access failed to reach the limit,forbidden."
    clock.now += 299
    assert simulator.handle(signed()).status == 401
    clock.now += 1
    assert simulator.handle(signed()).status == 200


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "no token or signature in the request"),
        ({"X-Auth-Token": "guessed"}, "decrypt token fail"),
        ({"Authorization": "SDK-HMAC-SHA256 Access=X, SignedHeaders=x-sdk-date, Signature=0"}, "ak X not exist"),
        ({"Authorization": "Basic Zm9vOmJhcg=="}, "no token or signature in the request"),
    ],
)
def test_wrong_credentials_get_the_error_of_the_gateway(
    simulator: Simulator, headers: dict[str, str], words: str
) -> None:
    """Each kind of wrong credentials is a 401 in the gateway's format with a message of its own."""
    response = simulator.handle(Request("GET", USERS, headers))
    assert (response.status, message(response)) == (401, words)


def test_the_date_must_be_signed(simulator: Simulator) -> None:
    """A signature that does not cover the date would never expire, so it is rejected."""
    headers = dict(signed().headers)
    headers["Authorization"] = headers["Authorization"].replace("x-sdk-date;", "")
    assert "not signed" in message(simulator.handle(Request("GET", f"{USERS}?limit=1&offset=0", headers)))


def test_a_token_is_valid_for_a_day(simulator: Simulator, clock: Clock) -> None:
    """IAM returns when a token expires. It is valid until then, and a second token does not change that."""
    answers = [simulator.handle(token_request()) for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 201]
    first, second = (answer.headers["X-Subject-Token"] for answer in answers)
    assert first != second
    assert msgspec.json.decode(answers[0].body)["token"]["expires_at"] == "2027-01-16T08:00:00.000000Z"
    clock.now += 24 * 3600 - 1
    assert simulator.handle(with_token(first)).status == 200
    clock.now += 1
    assert message(simulator.handle(with_token(first))) == "decrypt token fail"


def test_tokens_can_be_revoked(simulator: Simulator) -> None:
    """One token can be revoked alone. A changed password revokes all, including the configured one."""
    first, second = (simulator.handle(token_request()).headers["X-Subject-Token"] for _ in range(2))
    simulator.tokens.revoke(first)
    assert [simulator.handle(with_token(token)).status for token in (first, second, DEMO_TOKEN)] == [401, 200, 200]
    simulator.tokens.revoke_all()
    assert [simulator.handle(with_token(token)).status for token in (first, second, DEMO_TOKEN)] == [401] * 3


@pytest.mark.parametrize("change", [{"name": "x"}, {"password": "x"}, {"domain": "x"}, {"project": "x"}])
def test_iam_rejects_wrong_credentials_in_its_own_format(simulator: Simulator, change: dict[str, str]) -> None:
    """A wrong user, password, domain or project is a 401 with the nested error of IAM."""
    response = simulator.handle(token_request(**change))
    error = msgspec.json.decode(response.body)["error"]
    assert (response.status, error["code"], error["title"]) == (401, 401, "Unauthorized")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"auth": {}}',
        b'{"auth": {"identity": {"password": {"user": "x"}}, "scope": {"project": {}}}}',
        b'{"auth": {"identity": {"password": {"user": {"name": "x", "password": "x", "domain": "x"}}}}}',
    ],
)
def test_iam_rejects_a_malformed_body(simulator: Simulator, body: bytes) -> None:
    """A body that is no request for a token is a 400."""
    response = simulator.handle(Request("POST", "/v3/auth/tokens", body=body))
    assert (response.status, msgspec.json.decode(response.body)["error"]["title"]) == (400, "Bad Request")


def test_temporary_keys_rotate_before_they_expire(simulator: Simulator, clock: Clock) -> None:
    """The metadata service needs no credentials and always returns a key that is valid for 12 hours or more."""
    seen = set()
    for _ in range(48):
        credential = msgspec.json.decode(simulator.handle(Request("GET", "/openstack/latest/securitykey")).body)
        seen.add(credential["credential"]["access"])
        expires = msgspec.json.decode(f'"{credential["credential"]["expires_at"]}"', type=datetime)
        assert 12 * 3600 < expires.timestamp() - clock.now <= 24 * 3600
        clock.now += 3600
    assert len(seen) == 5


OIDC: dict[str, object] = {
    "provider_urn": DEMO_PROVIDER_URN,
    "agency_urn": DEMO_AGENCY_URN,
    "agency_session_name": "test",
    "id_token": DEMO_ID_TOKEN,
    "duration_seconds": 900,
}
BY_ID_TOKEN = {"auth": {"id_token": {"id": DEMO_ID_TOKEN}}}


def posted(path: str, body: object, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", path, named, body if isinstance(body, bytes) else msgspec.json.encode(body))


def by_token(token: str, **more: object) -> Request:
    """Return a request for a temporary key for a token."""
    identity = {"methods": ["token"], "token": {"id": token, **more}}
    return posted("/v3.0/OS-CREDENTIAL/securitytokens", {"auth": {"identity": identity}})


def keys_of(simulator: Simulator) -> list[tuple[str, str, str]]:
    """Return a key of STS, of IAM and of a pod's agent, in their spellings; each is valid for 15 minutes or longer."""
    unscoped = simulator.handle(posted("/v3.0/OS-AUTH/id-token/tokens", BY_ID_TOKEN, X_Idp_Id=DEMO_IDP_ID))
    answers = [
        simulator.handle(posted("/v5/agencies/assume-with-oidc", OIDC)),
        simulator.handle(by_token(unscoped.headers["X-Subject-Token"], duration_seconds=900)),
        simulator.handle(posted("/v1/credentials", b"{}", Authorization=DEMO_POD_TOKEN)),
    ]
    assert [answer.status for answer in answers] == [200, 201, 200]
    found = []
    for answer in answers:
        body = msgspec.json.decode(answer.body)
        values = iter((body.get("credentials") or body["credential"]).values())
        found.append((next(values), next(values), next(values)))
    return found


def signed_with(access: str, secret: str, security_token: str, date: str) -> Request:
    request = SdkRequest(
        method="GET",
        schema="http",
        host="127.0.0.1",
        resource_path=USERS,
        query_params=[("limit", "1")],
        header_params={"X-Sdk-Date": date, "X-Security-Token": security_token},
        body="",
    )
    Signer(BasicCredentials(access, secret, DEMO_PROJECT_ID)).sign(request)
    return Request("GET", f"{USERS}?limit=1", request.header_params)


def test_issued_keys_are_accepted_until_they_expire(simulator: Simulator, clock: Clock) -> None:
    """Each has its own security token."""
    sts, iam, pod = keys = keys_of(simulator)
    assert [simulator.handle(signed_with(*key, SIGNED_AT)).status for key in keys] == [200] * 3
    assert message(simulator.handle(signed_with(*sts[:2], pod[2], SIGNED_AT))) == "Get secretKey failed"
    clock.now += 899
    later = "20270115T081500Z"
    assert [simulator.handle(signed_with(*key, later)).status for key in keys] == [200] * 3
    clock.now += 1
    assert [message(simulator.handle(signed_with(*key, later))) for key in (sts, iam)] == [
        "the temporary access key has expired"
    ] * 2
    assert simulator.handle(signed_with(*pod, later)).status == 200


def test_an_unscoped_token_is_good_for_nothing_but_keys(simulator: Simulator) -> None:
    answer = simulator.handle(posted("/v3.0/OS-AUTH/id-token/tokens", BY_ID_TOKEN, X_Idp_Id=DEMO_IDP_ID))
    assert message(simulator.handle(with_token(answer.headers["X-Subject-Token"]))) == "decrypt token fail"
    assert simulator.handle(by_token(DEMO_TOKEN)).status == 201


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (posted("/v5/agencies/assume-with-oidc", OIDC | {"id_token": "x"}), 400),
        (posted("/v5/agencies/assume-with-oidc", OIDC | {"agency_urn": "x"}), 403),
        (posted("/v5/agencies/assume-with-oidc", OIDC | {"provider_urn": "x"}), 403),
        (posted("/v5/agencies/assume-with-oidc", OIDC | {"duration_seconds": 899}), 400),
        (posted("/v5/agencies/assume-with-oidc", OIDC | {"duration_seconds": "3600"}), 400),
        (posted("/v5/agencies/assume-with-oidc", {}), 400),
        (posted("/v5/agencies/assume-with-oidc", b"[]"), 400),
        (posted("/v3.0/OS-AUTH/id-token/tokens", BY_ID_TOKEN), 401),
        (posted("/v3.0/OS-AUTH/id-token/tokens", {"auth": {"id_token": {"id": "x"}}}, X_Idp_Id=DEMO_IDP_ID), 401),
        (posted("/v3.0/OS-AUTH/id-token/tokens", {"auth": {}}, X_Idp_Id=DEMO_IDP_ID), 400),
        (by_token("x"), 401),
        (by_token(DEMO_TOKEN, duration_seconds=86_401), 400),
        (by_token(DEMO_TOKEN, duration_seconds="soon"), 400),
        (posted("/v3.0/OS-CREDENTIAL/securitytokens", b""), 400),
        (posted("/v1/credentials", b"{}"), 401),
        (posted("/v1/credentials", b"{}", Authorization="x"), 401),
        (posted("/v1/credentials", b"", Authorization=DEMO_POD_TOKEN), 401),
    ],
)
def test_wrong_tokens_and_bodies_get_no_key(simulator: Simulator, request_: Request, status: int) -> None:
    assert simulator.handle(request_).status == status


async def test_the_server_verifies_the_raw_target(simulator: Simulator) -> None:
    """Over a socket, too, the signature is verified against the client's own encoding and headers."""
    request = signed(query="user_name=user001")
    async with simulator.serve() as url, ClientSession() as session:
        headers = {**request.headers, "Host": "127.0.0.1"}
        async with asyncio.timeout(10), session.get(f"{url}{request.target}", headers=headers) as response:
            assert response.status == 200
            assert response.headers["Date"] == "Fri, 15 Jan 2027 08:00:00 GMT"
            assert len(response.headers["X-Request-Id"]) == 32
        tilde = signed(query="user_name=a~b")
        headers = {**tilde.headers, "Host": "127.0.0.1"}
        for sent, status in (("a~b", 200), ("a%7Eb", 401)):
            target = URL(f"{url}{USERS}?user_name={sent}", encoded=True)
            async with asyncio.timeout(10), session.get(target, headers=headers) as response:
                assert response.status == status
