"""The official SDK's credential chain: which link a process uses. This is decided without any request.

Names and order are those of ``huaweicloudsdkcore.auth.provider``. If a link is half configured, the SDK silently
continues with the next one. This module raises an error that names the missing part.
"""

import configparser
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from exporter.cloud.auth import AccessKey
from exporter.cloud.inputs import base_address, check_text, checked_url, complete, token_file
from exporter.files import ChangingFile

IAM_VARIABLE = "HUAWEICLOUD_SDK_IAM_ENDPOINT"
STS_VARIABLE = "HUAWEICLOUD_SDK_STS_ENDPOINT"
PROJECT_VARIABLE = "HUAWEICLOUD_SDK_PROJECT_ID"

_OIDC = "HUAWEICLOUD_OIDC_"
_SDK = "HUAWEICLOUD_SDK_"
_POD = "HC_CONTAINER_"
_SESSION_NAME = "oidc-sts-session"
_DURATION = 3600  # seconds


@dataclass(frozen=True, kw_only=True)
class KeysLink:
    """Keys of the environment or the credentials file, which somebody else keeps up to date."""

    source: str  # for people: variables or a file
    project_id: str | None
    read: Callable[[], AccessKey] = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class OidcLink:
    """An agency that STS grants to the ID token of an OIDC provider; ``fixed`` means that nothing renews the token."""

    source: str
    project_id: str | None
    fixed: bool
    provider_urn: str
    agency_urn: str
    session_name: str
    duration: int  # seconds
    policy: str | None
    policy_ids: tuple[str, ...]
    id_token: Callable[[], str] = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class IdTokenLink:
    """Keys that IAM grants to the ID token of an identity provider; ``iam`` is the file's own IAM endpoint."""

    source: str
    project_id: str | None
    idp_id: str
    iam: str | None
    token_path: str  # another file is another link
    id_token: Callable[[], str] = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class PodIdentity:
    """The local service of a CCE cluster that grants an agency to a pod."""

    endpoint: str
    path: str
    query: str
    token: Callable[[], str] = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class AgencyLink:
    """The agency of the ECS, or else of the pod. Only at run time it is known which of them exists."""

    project_id: str | None
    pod: PodIdentity | None
    skipped: str = field(default="", compare=False)  # why the credentials file was skipped; empty if it is absent


Link = KeysLink | OidcLink | IdTokenLink | AgencyLink


class _SkippedError(Exception):
    """The credentials file is skipped. The text says why; it is empty if the file is absent."""


def find_link(environ: Mapping[str, str]) -> Link:
    """Return the first link that is configured; the last two need no configuration.

    Raises:
        ValueError: a link is half configured, or a file that it names cannot be used.
    """
    if link := _oidc(environ) or _environment(environ):
        return link
    try:
        return _credentials_file(environ)
    except _SkippedError as skipped:
        return AgencyLink(project_id=_project_id(environ), pod=_pod_identity(environ), skipped=str(skipped))


def endpoint_variable(environ: Mapping[str, str], name: str) -> str | None:
    """Return the address that one of the SDK's variables holds, or None if it is not set. Raises ValueError."""
    return base_address(name, environ[name]) if environ.get(name) else None


def _oidc(environ: Mapping[str, str]) -> OidcLink | None:
    provider, agency = f"{_OIDC}PROVIDER_URN", f"{_OIDC}AGENCY_URN"
    token, file = f"{_OIDC}ID_TOKEN", f"{_OIDC}TOKEN_FILE"
    used = token if environ.get(token) else file
    needed = {provider: environ.get(provider), agency: environ.get(agency), f"{token} or {file}": environ.get(used)}
    if not complete(needed):
        return None
    session, policy, policies = f"{_OIDC}SESSION_NAME", f"{_OIDC}POLICY", f"{_OIDC}POLICY_IDS"
    check_text(environ, provider, agency, token, session, policies)
    check_text({policy: "".join(environ.get(policy, "").split())}, policy)  # JSON, perhaps of several lines
    duration = environ.get(f"{_OIDC}DURATION_SECONDS") or str(_DURATION)
    if not re.fullmatch("[1-9][0-9]{0,5}", duration):
        raise ValueError(f"{_OIDC}DURATION_SECONDS must be a whole number of seconds")
    return OidcLink(
        source=f"{provider}, {agency} and {used} of the environment",
        project_id=_project_id(environ),
        fixed=used == token,
        provider_urn=environ[provider],
        agency_urn=environ[agency],
        session_name=environ.get(session) or _SESSION_NAME,
        duration=int(duration),
        policy=environ.get(policy) or None,
        policy_ids=tuple(filter(None, map(str.strip, environ.get(policies, "").split(",")))),
        id_token=partial(str, environ[token]) if used == token else token_file(file, environ[file]),
    )


def _environment(environ: Mapping[str, str]) -> KeysLink | IdTokenLink | None:
    idp, file, access, secret, security = (
        f"{_SDK}{name}" for name in ("IDP_ID", "ID_TOKEN_FILE", "AK", "SK", "SECURITY_TOKEN")
    )
    check_text(environ, idp, access, secret, security)
    if environ.get(idp) and environ.get(file):
        return IdTokenLink(
            source=f"{idp} and {file} of the environment",
            project_id=_project_id(environ),
            idp_id=environ[idp],
            iam=None,
            token_path=environ[file],
            id_token=token_file(file, environ[file]),
        )
    if environ.get(access) and environ.get(secret):
        key = AccessKey(environ[access], environ[secret], environ.get(security))
        source = f"{access} and {secret} of the environment"
        return KeysLink(source=source, project_id=_project_id(environ), read=lambda: key)
    complete({idp: environ.get(idp), file: environ.get(file)})
    complete({access: environ.get(access), secret: environ.get(secret)}, security if environ.get(security) else None)
    return None


def _credentials_file(environ: Mapping[str, str]) -> KeysLink | IdTokenLink:
    named, home = environ.get(f"{_SDK}CREDENTIALS_FILE"), environ.get("HOME")
    if not (named or home):
        raise _SkippedError
    path = Path(named) if named else Path(home or "", ".huaweicloud", "credentials")
    file = ChangingFile(path)
    try:
        profile = _profile(file, path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _SkippedError(f"{path}: {error.strerror}" if named else "") from error
    except (OSError, ValueError) as error:
        raise _SkippedError(f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)) from error
    idp, keys = ("idp_id", "id_token_file"), ("ak", "sk")
    project_id = profile.get("project_id") or _project_id(environ)
    check_text(profile, "idp_id", source=f"{path}: ")
    if all(map(profile.get, idp)):
        iam = profile.get("iam_endpoint")
        return IdTokenLink(
            source=str(path),
            project_id=project_id,
            idp_id=profile["idp_id"],
            iam=base_address(f"iam_endpoint in {path}", iam) if iam else None,
            token_path=profile["id_token_file"],
            id_token=token_file(f"id_token_file in {path}", profile["id_token_file"]),
        )
    if all(map(profile.get, keys)):
        _keys(profile, path)
        return KeysLink(source=str(path), project_id=project_id, read=lambda: _keys(_profile(file, path), path))
    for pair in (idp, keys):
        complete({name: profile.get(name) for name in pair}, source=_lacks(path, pair))
    raise _SkippedError(_lacks(path, keys))


def _profile(file: ChangingFile, path: Path) -> Mapping[str, str]:
    """Return the section ``[basic]``. Raises OSError, and ValueError if there is none."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read())
    except configparser.Error as error:
        # configparser's own message quotes the line, which may hold a secret
        raise ValueError(f"{path} is not an ini file: {type(error).__name__}") from None
    if not parser.has_section("basic"):
        raise ValueError(f"{path} has no section [basic]")
    return parser["basic"]


def _keys(profile: Mapping[str, str], path: Path) -> AccessKey:
    if not (profile.get("ak") and profile.get("sk")):
        raise ValueError(_lacks(path, ("ak", "sk")))
    check_text(profile, "ak", "sk", "security_token", source=f"{path}: ")
    return AccessKey(profile["ak"], profile["sk"], profile.get("security_token"))


def _lacks(path: Path, names: Sequence[str]) -> str:
    return f"{path} lacks {' or '.join(names)} in its section [basic]"


def _pod_identity(environ: Mapping[str, str]) -> PodIdentity | None:
    uri, file = f"{_POD}CREDENTIALS_FULL_URI", f"{_POD}AUTHORIZATION_TOKEN_FILE"
    if not complete({uri: environ.get(uri), file: environ.get(file)}):
        return None
    parts = checked_url(uri, environ[uri])
    return PodIdentity(
        endpoint=f"{parts.scheme}://{parts.netloc}",
        path=parts.path or "/",
        query=parts.query,
        token=token_file(file, environ[file]),
    )


def _project_id(environ: Mapping[str, str]) -> str | None:
    return environ.get(PROJECT_VARIABLE) or None
