"""The section `tls_server_config` of a web file: Go's names for things, and the OpenSSL context that they ask for."""

import ssl
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from exporter.config.files import UnreadableError, check_authorities, read_text
from exporter.config.mistakes import Told, unknown
from exporter.config.settings import Section
from exporter.config.values import File

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_VERIFICATION = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNVERIFIED = {"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"}
_SUITES = {
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
# TLS 1.3 has these whatever the list says, as in Go.
_SUITES_OF_1_3 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
_SUITES_OF_OLD = ("ECDHE+AESGCM", "ECDHE+CHACHA20", "ECDHE+AES")  # what Python chooses, and the same with SHA-1
_CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
_FOREIGN_KEY = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"}
_WEAK = {"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"}


def _client_auth(name: str) -> str:
    if name in _UNVERIFIED:
        raise ValueError(
            "asks for certificates without checking them, which keeps nobody out and which the exporter does not do; "
            "use RequireAndVerifyClientCert or VerifyClientCertIfGiven"
        )
    return _known(name, _VERIFICATION)


def _suite(name: str) -> str:
    return _known(name, {**_SUITES, **dict.fromkeys(_SUITES_OF_1_3)})


def _curve(name: str) -> str:
    return _known(name, _CURVES)


def _known(name: str, names: Mapping[str, object]) -> str:
    if name not in names:
        raise ValueError(unknown(name, names, f"known here: {', '.join(names)}"))
    return name


def _one_or_none(curves: tuple[str, ...]) -> tuple[str, ...]:
    if len(curves) > 1:
        raise ValueError(
            "must name one curve: Python can set one or leave the choice of all to OpenSSL, not order several"
        )
    return curves


Version = Literal["TLS10", "TLS11", "TLS12", "TLS13"]


class TlsServer(Section):
    """How the exporter proves who it is, and who clients have to prove to be."""

    cert_file: File
    key_file: File
    client_auth_type: Annotated[str, AfterValidator(_client_auth)] = "NoClientCert"
    client_ca_file: File | None = None
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: Annotated[tuple[Annotated[str, AfterValidator(_suite)], ...], Field(strict=False)] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: Annotated[
        tuple[Annotated[str, AfterValidator(_curve)], ...], Field(strict=False), AfterValidator(_one_or_none)
    ] = ()


def broken(tls: Mapping[str, object]) -> Iterator[Told]:
    """Yield what is wrong with the files, and over several settings, in the section as it was written."""
    lowest, highest = str(tls.get("min_version", "TLS12")), str(tls.get("max_version", "TLS13"))
    if lowest in _VERSIONS and highest in _VERSIONS and lowest > highest:
        yield (
            ("max_version",),
            f"is lower than min_version, which is {lowest}{'' if 'min_version' in tls else ' by default'}",
        )
    suites = tls.get("cipher_suites")
    if isinstance(suites, list) and suites and {*map(str, suites)} <= _SUITES_OF_1_3 and highest != "TLS13":
        yield ("cipher_suites",), "has nothing for TLS 1.2 and lower, and max_version excludes TLS 1.3"
    if "client_ca_file" in tls and tls.get("client_auth_type", "NoClientCert") == "NoClientCert":
        yield ("client_ca_file",), "has no effect without client_auth_type, such as RequireAndVerifyClientCert"
    yield from _broken_files(tls)


def _broken_files(tls: Mapping[str, object]) -> Iterator[Told]:
    usable = 0
    for name, check in (
        ("cert_file", check_authorities),
        ("key_file", read_text),
        ("client_ca_file", check_authorities),
    ):
        file = tls.get(name)
        if isinstance(file, Path):
            try:
                check(file)
            except UnreadableError as error:
                yield (name,), f"the file {file} {error}"
            else:
                usable += name != "client_ca_file"
    cert, key = tls.get("cert_file"), tls.get("key_file")
    if usable == 2 and isinstance(cert, Path) and isinstance(key, Path):  # noqa: PLR2004 - the two of a pair
        yield from _broken_pair(cert, key)


def _broken_pair(cert: Path, key: Path) -> Iterator[Told]:
    try:
        _bare_context().load_cert_chain(cert, key, password="")  # without one, OpenSSL would ask the terminal
    except ssl.SSLError as error:
        if error.reason in _FOREIGN_KEY:
            yield ("key_file",), f"the file {key} holds the key of another certificate than cert_file"
        elif error.reason in _WEAK:
            yield ("cert_file",), f"the file {cert} holds a certificate that this system's OpenSSL finds too weak"
        else:
            yield ("key_file",), f"the file {key} holds no PEM key that can be read without a password"


def context(tls: TlsServer) -> ssl.SSLContext:
    """The context of a section that is not broken.

    Raises:
        OSError: the files or the OpenSSL here have changed since it was checked, or OpenSSL cannot do what it says.
    """
    made = _bare_context()
    made.load_cert_chain(tls.cert_file, tls.key_file, password="")
    suites = [_SUITES[name] for name in tls.cipher_suites if name in _SUITES]
    old = tls.min_version in {"TLS10", "TLS11"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TLS 1.0 and 1.1: who writes them wants them
        made.minimum_version = _VERSIONS["TLS13" if tls.cipher_suites and not suites else tls.min_version]
        made.maximum_version = _VERSIONS[tls.max_version]
    if suites or old:
        # OpenSSL 3 does these versions only where the least security will do.
        made.set_ciphers(":".join([*(suites or _SUITES_OF_OLD), *(["@SECLEVEL=0"] if old else [])]))
    if not tls.prefer_server_cipher_suites:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    for name in tls.curve_preferences:
        made.set_ecdh_curve(_CURVES[name])
    _verify_clients(made, tls)
    return made


def _bare_context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.options |= (
        ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    )  # which costs a client nothing, and us much
    return made


def _verify_clients(made: ssl.SSLContext, tls: TlsServer) -> None:
    made.verify_mode = _VERIFICATION[tls.client_auth_type]
    if made.verify_mode is ssl.CERT_NONE:
        return
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as in Go, a trusted certificate need not sign itself
    if tls.client_ca_file:
        made.load_verify_locations(tls.client_ca_file)
    else:
        made.load_default_certs(ssl.Purpose.CLIENT_AUTH)  # as in Go, the system's authorities
