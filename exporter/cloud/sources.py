"""Requests for tokens and temporary keys: to IAM, STS, the metadata service of an ECS and the agent of a CCE pod."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from exporter.cloud.auth import AccessKey, Token
from exporter.cloud.bodies import Body, ErrorBody, decoder, present
from exporter.cloud.chain import AgencyLink, IdTokenLink, OidcLink, PodIdentity
from exporter.cloud.credentials import TemporaryCredentials
from exporter.cloud.errors import CloudError, NoCredentials
from exporter.cloud.transport import Answer, Request, Transport

IAM_OPERATION = "KeystoneCreateUserTokenByPassword"
OIDC_OPERATION = "AssumeAgencyWithOIDC"
ID_TOKEN_OPERATION = "CreateTokenWithIdToken"  # noqa: S105 - an operation's name
TEMPORARY_KEY_OPERATION = "CreateTemporaryAccessKeyByToken"
METADATA_OPERATION = "GetSecurityKey"
POD_OPERATION = "AssumeAgencyForPodIdentity"

_TEMPORARY_KEY_SECONDS = 6 * 3600  # as in the official SDK
_TOKEN_HEADER = "X-Metadata-Token"  # noqa: S105 - a header's name
_TOKEN_SECONDS = 60  # a token serves the one request that follows it


class _Keys(Body, frozen=True):
    """Temporary keys under all names in use; `credential` or `credentials` may contain them."""

    credential: "_Keys | None" = None
    credentials: "_Keys | None" = None
    access: str | None = None
    access_key_id: str | None = None
    access_key_id_of_pod: str | None = msgspec.field(default=None, name="accessKeyId")
    secret: str | None = None
    secret_access_key: str | None = None
    secret_access_key_of_pod: str | None = msgspec.field(default=None, name="secretAccessKey")
    securitytoken: str | None = None
    security_token: str | None = None
    security_token_of_pod: str | None = msgspec.field(default=None, name="securityToken")
    expires_at: str | None = None
    expiration: str | None = None


class _TokenFields(msgspec.Struct):
    expires_at: str


class _TokenAnswer(Body, frozen=True):
    token: _TokenFields | None = None


_decode_keys = decoder(_Keys)
_decode_token = decoder(_TokenAnswer)


@dataclass(frozen=True)
class IamUser:
    """An IAM user of an account (``domain``), and the project that the tokens are for."""

    endpoint: str
    domain: str
    username: str
    password: Callable[[], str] = field(repr=False)
    project_id: str

    async def token(self, transport: Transport) -> TemporaryCredentials:
        """Request a new token. Raises CloudError."""
        password = _read(IAM_OPERATION, self.password)
        user = {"name": self.username, "password": password, "domain": {"name": self.domain}}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"project": {"id": self.project_id}}}}
        return await transport.send(_post(IAM_OPERATION, self.endpoint, "/v3/auth/tokens", body), _scoped_token)


async def keys_by_oidc(link: OidcLink, sts: str, transport: Transport) -> TemporaryCredentials:
    """Request the keys of an agency for the present ID token. Raises CloudError."""
    body: dict[str, object] = {
        "provider_urn": link.provider_urn,
        "agency_urn": link.agency_urn,
        "agency_session_name": link.session_name,
        "id_token": _read(OIDC_OPERATION, link.id_token),
        "duration_seconds": link.duration,
    }
    if link.policy:
        body["policy"] = link.policy
    if link.policy_ids:
        body["policy_ids"] = link.policy_ids
    return await transport.send(_post(OIDC_OPERATION, sts, "/v5/agencies/assume-with-oidc", body), _keys)


async def keys_by_id_token(link: IdTokenLink, iam: str, transport: Transport) -> TemporaryCredentials:
    """Request a token for the present ID token, and keys for that token. Raises CloudError."""
    body: dict[str, object] = {"auth": {"id_token": {"id": _read(ID_TOKEN_OPERATION, link.id_token)}}}
    path = "/v3.0/OS-AUTH/id-token/tokens"
    request = _post(ID_TOKEN_OPERATION, iam, path, body, {"X-Idp-Id": link.idp_id})
    token = await transport.send(request, _subject_token)
    granted = {"id": token, "duration_seconds": _TEMPORARY_KEY_SECONDS}
    body = {"auth": {"identity": {"methods": ["token"], "token": granted}}}
    path = "/v3.0/OS-CREDENTIAL/securitytokens"
    return await transport.send(_post(TEMPORARY_KEY_OPERATION, iam, path, body), _keys)


class Agency:
    """The agency of an ECS, or else of a pod. As in the SDK, the one that answers first stays the source."""

    def __init__(self, link: AgencyLink, metadata: str, transport: Transport) -> None:
        self._link = link
        self._metadata = metadata
        self._transport = transport
        self._source: str | None = None

    def secret(self) -> str | None:
        """Return what a pod is granted its agency for. Raises ValueError."""
        return self._link.pod.token() if self._link.pod else None

    async def keys(self) -> TemporaryCredentials:
        """Request the keys.

        Raises:
            NoCredentials: there is no agency, which is the end of the chain.
            CloudError: the pod's agency is not granted.
        """
        if self._source != POD_OPERATION:
            try:
                keys = await _keys_of_ecs(self._metadata, self._transport)
            except CloudError as error:
                if self._source or not self._link.pod:
                    raise self._nothing(error) from error
            else:
                self._source = METADATA_OPERATION
                return keys
        assert self._link.pod
        keys = await _keys_of_pod(self._link.pod, self._transport)
        self._source = POD_OPERATION
        return keys

    def _nothing(self, error: CloudError) -> NoCredentials:
        file = f" ({self._link.skipped})" if self._link.skipped else ""
        detail = f"auth is not set, the SDK's environment and file{file} have no keys, and no ECS offers any ({error})"
        return NoCredentials(error.operation, "no_credentials", detail=detail)


async def _keys_of_ecs(endpoint: str, transport: Transport) -> TemporaryCredentials:
    """Request the keys as the SDK does: with a token of the metadata service if it issues any."""
    headers = await _token_header(endpoint, transport)
    request = Request(METADATA_OPERATION, "GET", endpoint, "/openstack/latest/securitykey", headers=headers)
    return await transport.send(request, _keys)


async def _token_header(endpoint: str, transport: Transport) -> dict[str, str]:
    ttl = {f"{_TOKEN_HEADER}-Ttl-Seconds": str(_TOKEN_SECONDS)}
    request = Request(METADATA_OPERATION, "PUT", endpoint, "/meta-data/latest/api/token", headers=ttl)
    try:
        token = await transport.send(request, _metadata_token)
    except CloudError:  # older ECS know only the request without a token
        return {}
    return {_TOKEN_HEADER: token}


async def _keys_of_pod(pod: PodIdentity, transport: Transport) -> TemporaryCredentials:
    headers = {"Authorization": _read(POD_OPERATION, pod.token)}
    request = _post(POD_OPERATION, pod.endpoint, pod.path, {}, headers)
    return await transport.send(msgspec.structs.replace(request, query=pod.query), _keys)


def _post(
    operation: str, endpoint: str, path: str, body: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Request:
    headers = {"Content-Type": "application/json", **(headers or {})}
    return Request(operation, "POST", endpoint, path, headers=headers, body=msgspec.json.encode(body))


def _read(operation: str, secret: Callable[[], str]) -> str:
    """Return a secret. Raises NoCredentials for a file that cannot be read."""
    try:
        return secret()
    except (OSError, ValueError) as error:
        raise NoCredentials(operation, "unreadable", detail=str(error)) from error


def _metadata_token(answer: Answer) -> str:
    token = answer.body.decode("ascii").strip()
    if not (token and token.isprintable()):  # a portal that answers everything with a page
        raise ErrorBody(None)
    return token


def _subject_token(answer: Answer) -> str:
    token = answer.headers.get("X-Subject-Token", "")
    if not (token and token.isprintable()):
        raise ErrorBody(None)
    return token


def _scoped_token(answer: Answer) -> TemporaryCredentials:
    token = _subject_token(answer)
    expiry = present(_decode_token(answer.body).token, answer.body).expires_at
    return TemporaryCredentials(Token(token), seconds(expiry))


def _keys(answer: Answer) -> TemporaryCredentials:
    body = _decode_keys(answer.body)
    keys = body.credential or body.credentials or body
    found = (
        keys.access or keys.access_key_id_of_pod or keys.access_key_id,
        keys.secret or keys.secret_access_key_of_pod or keys.secret_access_key,
        keys.securitytoken or keys.security_token_of_pod or keys.security_token,
        keys.expires_at or keys.expiration,
    )
    access, secret, token, expiry = (present(value or None, answer.body) for value in found)
    return TemporaryCredentials(AccessKey(access, secret, token), seconds(expiry))


def seconds(timestamp: str) -> float:
    """Return seconds since 1970 of a time like ``2026-01-02T03:04:05.000000Z``. Raises ErrorBody."""
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError as error:
        raise ErrorBody(None) from error
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
