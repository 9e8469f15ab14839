"""The official SDK's credential chain: which link a process uses. This is decided without any request.

Names and order are those of ``huaweicloudsdkcore.auth.provider``. Where the SDK silently goes on to the next link if
one is half configured, this module raises an error that names the missing part.
"""

import configparser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from exporter.cloud.auth import AccessKey
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
    """The agency of the ECS, or else of the pod. Which one there is shows only at run time."""

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
    return _address(name, environ[name]) if environ.get(name) else None


def _oidc(environ: Mapping[str, str]) -> OidcLink | None:
    provider, agency = f"{_OIDC}PROVIDER_URN", f"{_OIDC}AGENCY_URN"
    token, file = f"{_OIDC}ID_TOKEN", f"{_OIDC}TOKEN_FILE"
    used = token if environ.get(token) else file
    needed = {provider: environ.get(provider), agency: environ.get(agency), f"{token} or {file}": environ.get(used)}
    if not _complete(needed):
        return None
    duration = environ.get(f"{_OIDC}DURATION_SECONDS") or str(_DURATION)
    if not (duration.isascii() and duration.isdecimal() and int(duration)):
        raise ValueError(f"{_OIDC}DURATION_SECONDS must be a whole number of seconds")
    return OidcLink(
        source=f"{provider}, {agency} and {used} of the environment",
        project_id=_project_id(environ),
        fixed=used == token,
        provider_urn=environ[provider],
        agency_urn=environ[agency],
        session_name=environ.get(f"{_OIDC}SESSION_NAME") or _SESSION_NAME,
        duration=int(duration),
        policy=environ.get(f"{_OIDC}POLICY") or None,
        policy_ids=tuple(filter(None, map(str.strip, environ.get(f"{_OIDC}POLICY_IDS", "").split(",")))),
        id_token=partial(str, environ[token]) if used == token else _token_file(file, environ[file]),
    )


def _environment(environ: Mapping[str, str]) -> KeysLink | IdTokenLink | None:
    idp, file, access, secret, security = (
        f"{_SDK}{name}" for name in ("IDP_ID", "ID_TOKEN_FILE", "AK", "SK", "SECURITY_TOKEN")
    )
    if environ.get(idp) and environ.get(file):
        return IdTokenLink(
            source=f"{idp} and {file} of the environment",
            project_id=_project_id(environ),
            idp_id=environ[idp],
            iam=None,
            id_token=_token_file(file, environ[file]),
        )
    if environ.get(access) and environ.get(secret):
        key = AccessKey(environ[access], environ[secret], environ.get(security))
        source = f"{access} and {secret} of the environment"
        return KeysLink(source=source, project_id=_project_id(environ), read=lambda: key)
    _complete({idp: environ.get(idp), file: environ.get(file)})
    _complete({access: environ.get(access), secret: environ.get(secret)}, security if environ.get(security) else None)
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
    if all(map(profile.get, idp)):
        iam = profile.get("iam_endpoint")
        return IdTokenLink(
            source=str(path),
            project_id=project_id,
            idp_id=profile["idp_id"],
            iam=_address(f"iam_endpoint in {path}", iam) if iam else None,
            id_token=_token_file(f"id_token_file in {path}", profile["id_token_file"]),
        )
    if all(map(profile.get, keys)):
        return KeysLink(source=str(path), project_id=project_id, read=lambda: _keys(_profile(file, path), path))
    for pair in (idp, keys):
        _complete({name: profile.get(name) for name in pair}, source=_lacks(path, pair))
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
    return AccessKey(profile["ak"], profile["sk"], profile.get("security_token"))


def _lacks(path: Path, names: Sequence[str]) -> str:
    return f"{path} lacks {' or '.join(names)} in its section [basic]"


def _pod_identity(environ: Mapping[str, str]) -> PodIdentity | None:
    uri, file = f"{_POD}CREDENTIALS_FULL_URI", f"{_POD}AUTHORIZATION_TOKEN_FILE"
    if not _complete({uri: environ.get(uri), file: environ.get(file)}):
        return None
    parts = urlsplit(_checked_url(uri, environ[uri]))
    return PodIdentity(
        endpoint=f"{parts.scheme}://{parts.netloc}",
        path=parts.path or "/",
        query=parts.query,
        token=_token_file(file, environ[file]),
    )


def _project_id(environ: Mapping[str, str]) -> str | None:
    return environ.get(PROJECT_VARIABLE) or None


def _complete(needed: Mapping[str, str | None], further: str | None = None, source: str = "") -> bool:
    """Return whether all needed values are given. Raises ValueError if only some are, or only what goes with them."""
    missing = [name for name, value in needed.items() if not value]
    begun = [name for name, value in needed.items() if value] or ([further] if further else [])
    if begun and missing:
        half = f"{_listed(begun)} {'are' if len(begun) > 1 else 'is'} set, but not {_listed(missing)}"
        raise ValueError(": ".join(filter(None, [source, half])))
    return not missing


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _token_file(name: str, path: str) -> Callable[[], str]:
    """Return a function that reads the token from a file that rotates. Raises ValueError if there is no token now."""
    file = ChangingFile(Path(path))

    def read() -> str:
        try:
            token = file.read()
        except OSError as error:
            raise ValueError(f"{name} names {path}, which cannot be read: {error.strerror}") from None
        if not (token and token.isprintable()):
            raise ValueError(f"{name} names {path}, which {'is not one line of text' if token else 'is empty'}")
        return token

    read()
    return read


def _address(name: str, url: str) -> str:
    parts = urlsplit(_checked_url(name, url))
    if parts.query or parts.fragment:
        raise ValueError(f"{name} must be a URL without query and fragment")
    return url.strip().rstrip("/")


def _checked_url(name: str, url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or "@" in url:
        raise ValueError(f"{name} must be an http:// or https:// URL with a host and without a user")
    return url.strip()
