"""Requests for tokens and temporary keys: to IAM, STS, the metadata service of an ECS and the agent of a CCE pod."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import structlog

from exporter.cloud.auth import AccessKey, Token
from exporter.cloud.bodies import Body, ErrorBody, decoder, error_code
from exporter.cloud.chain import AgencyLink, IdTokenLink, OidcLink, PodIdentity
from exporter.cloud.credentials import TemporaryCredentials
from exporter.cloud.errors import CloudError, NoCredentials
from exporter.cloud.transport import Answer, Request, Transport

IAM_OPERATION = "KeystoneCreateUserTokenByPassword"
OIDC_OPERATION = "AssumeAgencyWithOIDC"
ID_TOKEN_OPERATION = "CreateTokenWithIdToken"  # noqa: S105 - an operation's name
TEMPORARY_KEY_OPERATION = "CreateTemporaryAccessKeyByToken"
_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

METADATA_OPERATION = "GetSecurityKey"
POD_OPERATION = "AssumeAgencyForPodIdentity"

_TEMPORARY_KEY_SECONDS = 6 * 3600  # as in the official SDK
_TOKEN_HEADER = "X-Metadata-Token"  # noqa: S105 - a header's name
_TOKEN_SECONDS = 60  # a token serves the one request that follows it


# The names in use for temporary keys; `credential` or `credentials` may contain them.
_ACCESS = ("access", "accessKeyId", "access_key_id")
_SECRET = ("secret", "secretAccessKey", "secret_access_key")
_SECURITY_TOKEN = ("securitytoken", "securityToken", "security_token")
_EXPIRY = ("expires_at", "expiration")
_MILLISECONDS = 1e11  # from here on, a number is in milliseconds

_check_error_code = decoder(Body)
_object = msgspec.json.Decoder(dict[str, object]).decode


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
    token, fields = _subject_token(answer), _fields(answer)
    described = fields.get("token")
    if not isinstance(described, dict):
        raise ErrorBody(error_code(answer.body))
    return TemporaryCredentials(Token(token), _expiry(described))


def _keys(answer: Answer) -> TemporaryCredentials:
    fields = _fields(answer)
    places = [
        place for place in (fields.get("credential"), fields.get("credentials"), fields) if isinstance(place, dict)
    ]
    keys = next((place for place in places if _text(place, _ACCESS)), fields)
    access, secret, token = (_text(keys, names) for names in (_ACCESS, _SECRET, _SECURITY_TOKEN))
    if not (access and secret and token):
        raise ErrorBody(error_code(answer.body))
    return TemporaryCredentials(AccessKey(access, secret, token), _expiry(keys))


def _fields(answer: Answer) -> dict[str, object]:
    """Return the fields of an answer. Raises one of UNDECODABLE if it is an error or no object."""
    _check_error_code(answer.body)
    return _object(answer.body)


def _text(fields: Mapping[str, object], names: Iterable[str]) -> str | None:
    texts = (fields.get(name) for name in names)
    return next((text for text in texts if isinstance(text, str) and text), None)


def _expiry(fields: Mapping[str, object]) -> float | None:
    """Return when credentials expire, in seconds since 1970. None if that is not said in a known form."""
    given = [value for name in _EXPIRY if (value := fields.get(name)) is not None]
    for value in given:
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return value / 1000 if value >= _MILLISECONDS else float(value)
        if isinstance(value, str):
            with suppress(ErrorBody):
                return seconds(value)
    if given:
        _logger.warning("field_dropped", entry="credentials", field="expires_at", reason="it is no time")
    return None


def seconds(timestamp: str) -> float:
    """Return seconds since 1970 of a time like ``2026-01-02T03:04:05.000000Z``. Raises ErrorBody."""
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError as error:
        raise ErrorBody(None) from error
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
