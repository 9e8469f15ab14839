"""The web configuration file: TLS, basic auth and response headers, in the format of Prometheus's exporters.

A value that would silently leave access open is a mistake, even if other exporters accept it.
"""

import re
import ssl
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from ssl import TLSVersion
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo

from exporter.config.files import UnusableError, check_certificates, named_files, read_mapping, read_text, resolve_files
from exporter.config.mistakes import ConfigError, Loc, Mistake, dotted, unknown, validate
from exporter.config.settings import Section
from exporter.config.values import File, matching, one_line, require

_VERSIONS = {
    "TLS10": TLSVersion.TLSv1,
    "TLS11": TLSVersion.TLSv1_1,
    "TLS12": TLSVersion.TLSv1_2,
    "TLS13": TLSVersion.TLSv1_3,
}
_VERIFICATION = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_NOT_VERIFYING = (
    "requests certificates without verifying them, which keeps nobody out and is not supported; "
    "use RequireAndVerifyClientCert or VerifyClientCertIfGiven"
)
_ONE_CURVE = "must name one curve: Python can set one, or let OpenSSL choose among all"
_HASH_EXPECTED = "must be a bcrypt hash ($2a$, $2b$ or $2y$) with a cost from 4 to 18; more would take minutes"
_UNVERIFIED = {"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"}
# Go's names and OpenSSL's. TLS 1.3 always has its own suites, as in Go.
_SUITES_OF_1_3 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_CIPHERS = {
    "AES_128_CBC_SHA": "AES128-SHA",
    "AES_256_CBC_SHA": "AES256-SHA",
    "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
}
_SUITES = {
    f"TLS_{exchange}_WITH_{cipher}": f"{exchange.replace('_', '-')}-{short}".removeprefix("RSA-")
    for exchange in ("RSA", "ECDHE_ECDSA", "ECDHE_RSA")
    for cipher, short in _CIPHERS.items()
    if not (exchange == "RSA" and cipher.startswith("CHACHA20"))
}
_SUITES_OF_OLD = ("ECDHE+AESGCM", "ECDHE+CHACHA20", "ECDHE+AES")  # Python's choice, and the same with SHA-1
_CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
_HASH = re.compile(r"\$2[aby]\$(?:0[4-9]|1[0-8])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")


@dataclass(frozen=True)
class WebFile:
    """The contents of a valid file, ready for use."""

    tls: ssl.SSLContext | None = None  # None: plain HTTP
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    """The bcrypt hash of each user's password; everybody has access if there are no users."""
    files: tuple[Path, ...] = ()  # the file itself and those that it names


class WebFileError(ConfigError):
    """A rejected file; `files` are itself and those that it names. One of them has the mistake."""

    def __init__(self, path: Path, problems: Mapping[Loc, str], files: tuple[Path, ...] = ()) -> None:
        super().__init__(Mistake(str(path), dotted(loc), reason) for loc, reason in problems.items())
        self.files = (path, *files)


def _not_none(value: object) -> object:
    if value is None:
        raise ValueError("must not be empty: give a value or leave it out")
    return value


def _one_of(names: Collection[str]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(unknown(name, names, f"known here: {', '.join(names)}"))
        return name

    return AfterValidator(check)


def _usable(check: Callable[[Path], object]) -> AfterValidator:
    def checked(path: Path) -> Path:
        try:
            check(path)
        except UnusableError as error:
            raise ValueError(f"the file {path} {error}") from None
        return path

    return AfterValidator(checked)


def _header(value: object) -> object:
    """Return a header's text, possibly blank; YAML may hold it as the number 0 or 1."""
    text = str(value) if type(value) is int and value in {0, 1} else value
    return (one_line(text) if text.strip() else "") if isinstance(text, str) else text


def _key_of_certificate(key: Path, info: ValidationInfo) -> Path:
    if "cert_file" in info.data:
        try:
            _server_context(info.data["cert_file"], key)
        except OSError as error:
            raise ValueError(_key_reason(getattr(error, "reason", None), key)) from None
    return key


def _with_policy(authorities: Path, info: ValidationInfo) -> Path:
    if info.data.get("client_auth_type") == "NoClientCert":
        raise ValueError("has no effect without client_auth_type, such as RequireAndVerifyClientCert")
    return authorities


def _not_below_minimum(highest: str, info: ValidationInfo) -> str:
    if (lowest := info.data.get("min_version", highest)) > highest:
        raise ValueError(f"is lower than min_version, {lowest}")
    return highest


def _of_these_versions(suites: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    if suites and not _SUITES.keys() & {*suites} and info.data.get("max_version") in {"TLS10", "TLS11", "TLS12"}:
        raise ValueError("has nothing for TLS 1.2 and lower, and max_version excludes TLS 1.3")
    return suites


CertFile = Annotated[File, _usable(check_certificates)]
Policy = Annotated[str, require(lambda name: name not in _UNVERIFIED, _NOT_VERIFYING), _one_of(_VERIFICATION)]
Version = Literal["TLS10", "TLS11", "TLS12", "TLS13"]
Suite = Annotated[str, _one_of((*_SUITES, *_SUITES_OF_1_3))]
Curve = Annotated[str, _one_of(_CURVES)]
HeaderText = Annotated[str, BeforeValidator(_header)]
UserName = Annotated[str, matching(r"[^:]*", "must not contain a colon, which ends the name in basic auth")]
Hash = Annotated[SecretStr, require(lambda secret: _HASH.fullmatch(secret.get_secret_value()), _HASH_EXPECTED)]


class TlsServer(Section):
    """The section `tls_server_config`: the exporter's certificate, and those that clients need.

    A check of several settings belongs to the last of them, which sees the valid ones before it.
    """

    cert_file: CertFile
    key_file: Annotated[File, _usable(read_text), AfterValidator(_key_of_certificate)]
    client_auth_type: Policy = "NoClientCert"
    client_ca_file: Annotated[CertFile, AfterValidator(_with_policy)] | None = None
    min_version: Version = "TLS12"
    max_version: Annotated[Version, AfterValidator(_not_below_minimum)] = "TLS13"
    cipher_suites: Annotated[tuple[Suite, ...], Field(strict=False), AfterValidator(_of_these_versions)] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: Annotated[
        tuple[Curve, ...], Field(strict=False), require(lambda curves: len(curves) < 2, _ONE_CURVE)  # noqa: PLR2004 - one
    ] = ()


class Headers(Section):
    """The headers that may be added to every response."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-").title())

    content_security_policy: HeaderText = ""
    strict_transport_security: HeaderText = ""
    x_content_type_options: Annotated[Literal["nosniff"] | None, BeforeValidator(_not_none)] = None
    x_frame_options: Annotated[Literal["deny", "sameorigin"] | None, BeforeValidator(_not_none)] = None
    x_xss_protection: HeaderText = Field("", alias="X-XSS-Protection")


class HttpServer(Section):
    """The section `http_server_config`; `http2` has no effect, since the exporter only speaks HTTP/1.1."""

    http2: bool = True
    headers: Headers = Headers()


class _Contents(Section):
    tls_server_config: Annotated[TlsServer | None, BeforeValidator(_not_none)] = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: dict[UserName, Hash] = Field({}, repr=False)


def read_web_file(path: Path) -> WebFile:
    """Read the file and those that it names, or raise WebFileError with every mistake."""
    try:
        values = resolve_files(read_mapping(path, ", if only an empty one: {}"), path.parent)
    except UnusableError as error:
        raise WebFileError(path, {(): str(error)}) from None
    files = tuple(file for _, file in named_files(values))
    contents, problems = validate(_Contents, values)
    if contents is None:
        raise WebFileError(path, {_without_name(loc, values): reason for loc, reason in problems.items()}, files)
    tls = contents.tls_server_config
    try:
        context = _context(tls) if tls else None
    except OSError as error:  # a file or its OpenSSL has changed meanwhile, or OpenSSL lacks a feature
        reason = f"is not possible with this system's OpenSSL ({getattr(error, 'reason', None) or error.strerror})"
        raise WebFileError(path, {("tls_server_config",): reason}, files) from None
    return WebFile(
        tls=context,
        headers=contents.http_server_config.headers.model_dump(by_alias=True, exclude_defaults=True),
        users={name.encode(): each.get_secret_value().encode() for name, each in contents.basic_auth_users.items()},
        files=(path, *files),
    )


def _without_name(loc: Loc, values: Mapping[str, object]) -> Loc:
    """Return the location with the name of a basic auth user replaced by the user's number."""
    users = values.get("basic_auth_users")
    if loc[0] != "basic_auth_users" or len(loc) == 1 or not isinstance(users, dict):
        return loc
    return ("basic_auth_users", list(users).index(loc[1]))


def _server_context(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key, password="")  # without a password, OpenSSL would prompt for one
    # Renegotiation costs a client nothing and the exporter much.
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    return context


def _key_reason(code: str | None, key: Path) -> str:
    if code in {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"}:
        return f"the file {key} holds the key of another certificate than cert_file"
    if code in {"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"}:
        return "belongs to a certificate in cert_file that this system's OpenSSL considers too weak"
    return f"the file {key} holds no PEM key that can be read without a password"


def _context(tls: TlsServer) -> ssl.SSLContext:
    context = _server_context(tls.cert_file, tls.key_file)
    suites = [_SUITES[name] for name in tls.cipher_suites if name in _SUITES]
    old = tls.min_version in {"TLS10", "TLS11"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TLS 1.0 and 1.1 are configured on purpose
        context.minimum_version = _VERSIONS["TLS13" if tls.cipher_suites and not suites else tls.min_version]
        context.maximum_version = _VERSIONS[tls.max_version]
    if suites or old:
        # OpenSSL 3 allows the old versions only at security level 0.
        context.set_ciphers(":".join([*(suites or _SUITES_OF_OLD), *(["@SECLEVEL=0"] if old else [])]))
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    for name in tls.curve_preferences:
        context.set_ecdh_curve(_CURVES[name])
    context.verify_mode = _VERIFICATION[tls.client_auth_type]
    if tls.client_ca_file:
        context.load_verify_locations(tls.client_ca_file)
    elif context.verify_mode is not ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)  # as in Go, the system's authorities
    if context.verify_mode is not ssl.CERT_NONE:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as in Go, a trusted certificate need not sign itself
    return context
