"""Sources of credentials: IAM, and the official SDK's chain of environment, credentials file and metadata of an ECS."""

import configparser
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from exporter.cloud.auth import AccessKey, Token
from exporter.cloud.bodies import Body, ErrorBody, decoder, present
from exporter.cloud.credentials import TemporaryCredentials
from exporter.cloud.errors import CloudError, NoCredentials
from exporter.cloud.transport import Answer, Request, Transport
from exporter.files import ChangingFile

METADATA_OPERATION = "GetSecurityKey"
IAM_OPERATION = "KeystoneCreateUserTokenByPassword"

_TOKEN_HEADER = "X-Metadata-Token"  # noqa: S105 - a header's name
_TOKEN_SECONDS = 60  # a token serves the one request that follows it


class _SecurityKey(msgspec.Struct):
    access: str
    secret: str
    securitytoken: str
    expires_at: str


class _SecurityKeyAnswer(Body, frozen=True):
    credential: _SecurityKey | None = None


class _TokenFields(msgspec.Struct):
    expires_at: str


class _TokenAnswer(Body, frozen=True):
    token: _TokenFields | None = None


_decode_keys = decoder(_SecurityKeyAnswer)
_decode_token = decoder(_TokenAnswer)


@dataclass(frozen=True)
class Link:
    """A link of the chain that has keys, and perhaps a project id."""

    source: str
    read: Callable[[], AccessKey] = field(repr=False, compare=False)
    project_id: str | None


def first_link(environ: Mapping[str, str]) -> Link | None:
    """Return the first link that has keys; None if only the metadata service is left.

    Raises:
        ValueError: the credentials file has no ``ak`` and ``sk`` in its section ``[basic]``, or is not an ini file.
        OSError: the credentials file cannot be read.
    """
    if environ.get("HUAWEICLOUD_SDK_AK") and environ.get("HUAWEICLOUD_SDK_SK"):
        key = AccessKey(
            environ["HUAWEICLOUD_SDK_AK"],
            environ["HUAWEICLOUD_SDK_SK"],
            environ.get("HUAWEICLOUD_SDK_SECURITY_TOKEN"),
        )
        return Link("environment", lambda: key, environ.get("HUAWEICLOUD_SDK_PROJECT_ID"))
    named = environ.get("HUAWEICLOUD_SDK_CREDENTIALS_FILE")
    path = Path(named) if named else Path(environ.get("HOME", "~")).expanduser() / ".huaweicloud" / "credentials"
    if not path.exists():
        return None
    file = ChangingFile(path)
    _, project_id = _profile(file, path)  # raises at once what is wrong
    return Link(str(path), lambda: _profile(file, path)[0], project_id)


def _profile(file: ChangingFile, path: Path) -> tuple[AccessKey, str | None]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read())
    except configparser.Error as error:
        # configparser's own message quotes the line, which may hold a secret
        raise ValueError(f"{path} is not an ini file: {type(error).__name__}") from None
    if not parser.has_section("basic"):
        raise ValueError(f"{path} has no section [basic]")
    profile = parser["basic"]
    if not (profile.get("ak") and profile.get("sk")):
        raise ValueError(f"{path} lacks ak or sk in its section [basic]")
    return AccessKey(profile["ak"], profile["sk"], profile.get("security_token")), profile.get("project_id")


async def keys_from_metadata(endpoint: str, transport: Transport) -> TemporaryCredentials:
    """Return the temporary keys of an ECS with an agency, requested as the SDK does: with a token if there is one.

    Raises:
        NoCredentials: the service is unreachable, or the ECS has no agency. This is the end of the chain.
    """
    try:
        headers = await _token_header(endpoint, transport)
        path = "/openstack/latest/securitykey"
        return await transport.send(Request(METADATA_OPERATION, "GET", endpoint, path, headers=headers), _keys)
    except CloudError as error:
        detail = f"auth is not set, the SDK's environment and file have no keys, and no ECS offers any ({error})"
        raise NoCredentials(error.operation, "no_credentials", detail=detail) from error


async def _token_header(endpoint: str, transport: Transport) -> dict[str, str]:
    ttl = {f"{_TOKEN_HEADER}-Ttl-Seconds": str(_TOKEN_SECONDS)}
    request = Request(METADATA_OPERATION, "PUT", endpoint, "/meta-data/latest/api/token", headers=ttl)
    try:
        token = await transport.send(request, _token)
    except CloudError:  # older ECS know only the request without a token
        return {}
    return {_TOKEN_HEADER: token}


def _token(answer: Answer) -> str:
    token = answer.body.decode("ascii").strip()
    if not (token and token.isprintable()):  # a portal that answers everything with a page
        raise ErrorBody(None)
    return token


def _keys(answer: Answer) -> TemporaryCredentials:
    key = present(_decode_keys(answer.body).credential, answer.body)
    return TemporaryCredentials(AccessKey(key.access, key.secret, key.securitytoken), seconds(key.expires_at))


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
        try:
            password = self.password()
        except (OSError, ValueError) as error:
            raise NoCredentials(IAM_OPERATION, "unreadable", detail=str(error)) from error
        user = {"name": self.username, "password": password, "domain": {"name": self.domain}}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = msgspec.json.encode({"auth": {"identity": identity, "scope": {"project": {"id": self.project_id}}}})
        headers = {"Content-Type": "application/json"}
        request = Request(IAM_OPERATION, "POST", self.endpoint, "/v3/auth/tokens", headers=headers, body=body)
        return await transport.send(request, _token_of_iam)


def _token_of_iam(answer: Answer) -> TemporaryCredentials:
    token = answer.headers.get("X-Subject-Token")
    if not token:
        raise ErrorBody(None)
    expiry = present(_decode_token(answer.body).token, answer.body).expires_at
    return TemporaryCredentials(Token(token), seconds(expiry))


def seconds(timestamp: str) -> float:
    """Return seconds since 1970 of a time like ``2026-01-02T03:04:05.000000Z``. Raises ErrorBody."""
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError as error:
        raise ErrorBody(None) from error
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
