"""The web file: promtool accepts and rejects the same files, except for the listed cases."""

from __future__ import annotations

import asyncio
import contextlib
import io
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from support.web_files import certificate, hashed

from exporter import config
from exporter.config import web_file

if TYPE_CHECKING:
    from collections.abc import Callable

PAIR = "cert_file: server.crt, key_file: server.key"
HASH = hashed()
ALL_SUITES = (
    "TLS_RSA_WITH_AES_128_CBC_SHA, TLS_RSA_WITH_AES_256_CBC_SHA, TLS_RSA_WITH_AES_128_GCM_SHA256, "
    "TLS_RSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, "
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
)

VALID = {
    "nothing": "{}",
    "a certificate": f"tls_server_config: {{{PAIR}}}",
    "nobody has to show a certificate": f"tls_server_config: {{{PAIR}, client_auth_type: NoClientCert}}",
    "certificates by the system's": f"tls_server_config: {{{PAIR}, client_auth_type: VerifyClientCertIfGiven}}",
    "certificates by an authority": (
        f"tls_server_config: {{{PAIR}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: client.crt}}"
    ),
    "versions": f"tls_server_config: {{{PAIR}, min_version: TLS13, max_version: TLS13}}",
    "old versions": f"tls_server_config: {{{PAIR}, min_version: TLS10, max_version: TLS11}}",
    "every suite": f"tls_server_config: {{{PAIR}, cipher_suites: [{ALL_SUITES}]}}",
    "only suites of TLS 1.3": f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_AES_128_GCM_SHA256]}}",
    "no suite": f"tls_server_config: {{{PAIR}, cipher_suites: []}}",
    "the client's preference": f"tls_server_config: {{{PAIR}, prefer_server_cipher_suites: false}}",
    "a curve": f"tls_server_config: {{{PAIR}, curve_preferences: [CurveP521]}}",
    "another curve": f"tls_server_config: {{{PAIR}, curve_preferences: [X25519]}}",
    "no HTTP/2": "http_server_config: {http2: false}",
    "every header": """
http_server_config:
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: max-age=31536000; includeSubDomains
    X-Content-Type-Options: nosniff
    X-XSS-Protection: 1
    Content-Security-Policy: "default-src 'self' *.test.example.net"
""",
    "a blank header": 'http_server_config: {headers: {Content-Security-Policy: ""}}',
    "users": f"basic_auth_users: {{anna: {HASH}, bert: {HASH.replace('$2b$', '$2y$')}, '': {HASH}}}",
    "users and a certificate": f"basic_auth_users: {{anna: {HASH}}}\ntls_server_config: {{{PAIR}}}",
    "nobody": "basic_auth_users: {}",
}
INVALID = {
    "no YAML": "tls_server_config: {",
    "no mapping": "words words",
    "a list": "[]",
    "an unknown key": "tls: {}",
    "a limit of the newest toolkit": "rate_limit: {interval: 1s, burst: 1}",
    "a key twice": f"basic_auth_users: {{anna: {HASH}, anna: {HASH}}}",
    "an unknown key within": f"tls_server_config: {{{PAIR}, cert_filse: server.crt}}",
    "names of clients, of the newest toolkit": f"tls_server_config: {{{PAIR}, client_allowed_sans: [a]}}",
    "no key": "tls_server_config: {cert_file: server.crt}",
    "no certificate": "tls_server_config: {key_file: server.key}",
    "an empty name of a file": "tls_server_config: {cert_file: '', key_file: server.key}",
    "a certificate that is not there": "tls_server_config: {cert_file: gone, key_file: server.key}",
    "a key that is not there": "tls_server_config: {cert_file: server.crt, key_file: gone}",
    "the key of another": "tls_server_config: {cert_file: server.crt, key_file: client.key}",
    "a certificate that is none": "tls_server_config: {cert_file: words, key_file: server.key}",
    "a key that is none": "tls_server_config: {cert_file: server.crt, key_file: words}",
    "a key with a password": "tls_server_config: {cert_file: server.crt, key_file: locked.key}",
    "an unknown policy": f"tls_server_config: {{{PAIR}, client_auth_type: x}}",
    "an authority without a policy": f"tls_server_config: {{{PAIR}, client_ca_file: client.crt}}",
    "an authority with a policy for nobody": (
        f"tls_server_config: {{{PAIR}, client_ca_file: client.crt, client_auth_type: NoClientCert}}"
    ),
    "an authority that is not there": (
        f"tls_server_config: {{{PAIR}, client_ca_file: gone, client_auth_type: RequireAndVerifyClientCert}}"
    ),
    "an invented version": f"tls_server_config: {{{PAIR}, min_version: TLS111}}",
    "an invented suite": f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA2048]}}",
    "an invented curve": f"tls_server_config: {{{PAIR}, curve_preferences: [CurveP257]}}",
    "another header": "http_server_config: {headers: {Content-Type: foo}}",
    "a header in other letters": "http_server_config: {headers: {x-frame-options: deny}}",
    "frames for all": "http_server_config: {headers: {X-Frame-Options: foo}}",
    "sniffing": "http_server_config: {headers: {X-Content-Type-Options: sniff}}",
    "a blank choice": 'http_server_config: {headers: {X-Frame-Options: ""}}',
    "a switch in words": "http_server_config: {http2: maybe}",
    "a password": "basic_auth_users: {anna: s3cret}",
    "a hash cut short": f"basic_auth_users: {{anna: {HASH[:40]}}}",
    "a hash of another kind": "basic_auth_users: {anna: " + f"$6${'a' * 56}}}",
    "a hash of no cost": f"basic_auth_users: {{anna: {HASH.replace('$04$', '$03$')}}}",
    "users in a list": f"basic_auth_users: [{HASH}]",
}
REJECTED_HERE_ONLY = {
    # Stricter on purpose: each would give access, or omit a protection, against the apparent intent of the file.
    "an empty file, as it is for a moment while it is written": "",
    "a section of which nothing is left": "tls_server_config:",
    "a section for users without users": "basic_auth_users:",
    "settings of TLS without a certificate, which gives plain HTTP": "tls_server_config: {min_version: TLS13}",
    "an authority that has no certificate": (
        f"tls_server_config: {{{PAIR}, client_ca_file: words, client_auth_type: RequireAndVerifyClientCert}}"
    ),
    "no version that both limits allow": f"tls_server_config: {{{PAIR}, min_version: TLS13, max_version: TLS12}}",
    "suites that no version has": (
        f"tls_server_config: {{{PAIR}, max_version: TLS12, cipher_suites: [TLS_AES_128_GCM_SHA256]}}"
    ),
    "a hash that takes days": f"basic_auth_users: {{anna: {HASH.replace('$04$', '$31$')}}}",
    "a hash with rests": f"basic_auth_users: {{anna: {HASH}x}}",
    "a hash of an early, broken kind": f"basic_auth_users: {{anna: {HASH.replace('$2b$', '$2x$')}}}",
    # bcrypt for Python rejects it: the last character holds two bits of the salt, and four that have to be 0.
    "a hash whose salt does not end as one": f"basic_auth_users: {{anna: {HASH[:28]}x{HASH[29:]}}}",
    "a name that basic auth cannot send": f"basic_auth_users: {{'a:b': {HASH}}}",
    # Python always verifies the certificates that it requests.
    "certificates that nobody checks": f"tls_server_config: {{{PAIR}, client_auth_type: RequestClientCert}}",
    "certificates that anybody makes": f"tls_server_config: {{{PAIR}, client_auth_type: RequireAnyClientCert}}",
    # Python can set one curve, or leave all of them to OpenSSL.
    "several curves": f"tls_server_config: {{{PAIR}, curve_preferences: [CurveP256, X25519]}}",
    # The same strict YAML as everywhere in the configuration.
    "a number for a name": f"basic_auth_users: {{123: {HASH}}}",
    "an anchor": "tls_server_config: {cert_file: &a server.crt, key_file: server.key}",
    "a switch as YAML 1.1 has it": "http_server_config: {http2: yes}",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two pairs of certificate and key, and files that are neither."""
    directory = tmp_path_factory.mktemp("web")
    openssl = shutil.which("openssl")
    if openssl:
        for name in ("server", "client"):
            certificate(openssl, directory, name)
        locked = [openssl, "ec", "-aes256", "-passout", "pass:s3cret", "-in", str(directory / "server.key")]
        subprocess.run([*locked, "-out", str(directory / "locked.key")], check=True, capture_output=True, timeout=60)  # noqa: S603 - fixed arguments
    (directory / "words").write_text("words\n")
    return directory


def write(directory: Path, text: str) -> Path:
    file = directory / "web.yml"
    file.write_text(text)
    return file


def load(file: Path) -> web_file.WebFile:
    return web_file.read_web_file(file)


def rejections(file: Path) -> list[str]:
    with pytest.raises(config.ConfigError) as error:
        load(file)
    return [str(mistake).removeprefix(f"{file}: ") for mistake in error.value.mistakes]


async def promtool_says(program: str, file: Path) -> bool:
    process = await asyncio.create_subprocess_exec(
        program, "check", "web-config", file, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait() == 0


@pytest.mark.parametrize("name", VALID)
def test_a_valid_file_is_accepted(files: Path, tool: Callable[[str], str], name: str) -> None:
    tool("openssl")
    read = load(write(files, VALID[name]))
    assert (read.tls is not None) == ("tls_server_config" in VALID[name])


@pytest.mark.bad_input
@pytest.mark.parametrize("name", [*INVALID, *REJECTED_HERE_ONLY])
def test_an_invalid_file_is_rejected_with_a_reason(files: Path, tool: Callable[[str], str], name: str) -> None:
    tool("openssl")
    for mistake in rejections(write(files, {**INVALID, **REJECTED_HERE_ONLY}[name])):
        assert "s3cret" not in mistake
        assert "anna" not in mistake
        assert "is not valid" not in mistake.replace("is not valid YAML", "")


async def test_promtool_agrees_except_for_the_listed_cases(files: Path, tool: Callable[[str], str]) -> None:
    promtool, _ = tool("promtool"), tool("openssl")
    cases = [*VALID.items(), *INVALID.items(), *REJECTED_HERE_ONLY.items()]
    few = asyncio.Semaphore(4)

    async def check(file: Path) -> bool:
        async with few:
            return await promtool_says(promtool, file)

    for number, (_, text) in enumerate(cases):
        (files / f"promtool{number}.yml").write_text(text)
    said = await asyncio.gather(*(check(files / f"promtool{number}.yml") for number in range(len(cases))))
    taken = {name for (name, _), valid in zip(cases, said, strict=True) if valid}
    assert taken == {*VALID, *REJECTED_HERE_ONLY}


@pytest.mark.parametrize("last", "./AZaz09Oeu")
def test_a_hash_is_accepted_exactly_if_bcrypt_can_check_it(tmp_path: Path, last: str) -> None:
    """For every last character of its salt."""
    other = f"{HASH[:28]}{last}{HASH[29:]}"
    file = write(tmp_path, f"basic_auth_users: {{anna: {other}}}")
    try:
        bcrypt.checkpw(b"any", other.encode())
    except ValueError:
        assert "must be a bcrypt hash" in rejections(file)[0]
    else:
        assert load(file).users == {b"anna": other.encode()}


def test_all_mistakes_are_reported_at_once_with_file_and_path(files: Path, tool: Callable[[str], str]) -> None:
    tool("openssl")
    text = f"""
tls_server_config: {{cert_file: words, key_file: gone, min_version: TLS9, client_auth_type: RequireAnyClientCert}}
http_server_config: {{headers: {{X-Frame-Options: none, Server: x}}}}
basic_auth_users: {{anna: {HASH}, bert: s3cret}}
"""
    reported = [mistake.split(": ")[0] for mistake in rejections(write(files, text))]
    assert sorted(reported) == [
        "basic_auth_users[1]",
        "http_server_config.headers.Server",
        "http_server_config.headers.X-Frame-Options",
        "tls_server_config.cert_file",
        "tls_server_config.client_auth_type",
        "tls_server_config.key_file",
        "tls_server_config.min_version",
    ]


def test_the_configuration_check_includes_mistakes_in_the_web_file(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    write(files, "basic_auth_users: {anna: s3cret, bert: s3cret}\nhttp_server_config: {http3: true}")
    project = "{project_id: p, region: r-1, users: [a]}"
    Path("workspace.yml").write_text(f"projects: [{project}]\npoll: {{concurrency: 0}}\nweb: {{config_file: web.yml}}")
    with pytest.raises(config.ConfigError) as error:
        config.load({"config.file": "workspace.yml"}, {})
    assert [": ".join(str(mistake).split(": ")[:2]) for mistake in error.value.mistakes] == [
        "workspace.yml: poll.concurrency",
        f"{files}/web.yml: http_server_config.http3",
        f"{files}/web.yml: basic_auth_users[0]",
        f"{files}/web.yml: basic_auth_users[1]",
    ]


def test_a_missing_web_file_is_a_mistake_in_the_file_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "workspace.yml"
    file.write_text("projects: [{project_id: p, region: r-1, users: [a]}]\nweb: {config_file: gone.yml}")
    with pytest.raises(config.ConfigError) as error:
        config.load({"config.file": str(file)}, {})
    assert str(error.value).startswith(f"{file}: web.config_file: the file {tmp_path}/gone.yml cannot be read (No such")


def test_the_repr_shows_no_hash(files: Path) -> None:
    assert HASH not in repr(load(write(files, f"basic_auth_users: {{anna: {HASH}}}")))


def test_blank_headers_are_left_out(files: Path) -> None:
    read = load(write(files, VALID["every header"]))
    assert read.headers == {
        "Content-Security-Policy": "default-src 'self' *.test.example.net",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "deny",
        "X-XSS-Protection": "1",
    }
    assert load(write(files, VALID["a blank header"])).headers == {}


def test_a_header_cannot_contain_a_line_break(files: Path) -> None:
    [mistake] = rejections(write(files, 'http_server_config: {headers: {Content-Security-Policy: "a\\r\\nX: b"}}'))
    assert mistake.startswith("http_server_config.headers.Content-Security-Policy: must not contain line breaks")


KEYS = ["tls_server_config", "http_server_config", "basic_auth_users", "headers", "cert_file", "client_ca_file"]
KEYS += ["min_version", "max_version", "cipher_suites", "curve_preferences", "client_auth_type", "http2"]
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["TLS13", "TLS10", "."])


@given(
    st.dictionaries(
        st.sampled_from(KEYS) | st.integers() | st.text(),
        st.recursive(
            VALUES,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner),
            max_leaves=8,
        ),
    )
)
@pytest.mark.bad_input
@hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_any_data_gives_a_web_file_or_mistakes(files: Path, data: dict[object, object]) -> None:
    """Nothing else is raised, because a running exporter reads the file again."""
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump(data, text)
    with contextlib.suppress(config.ConfigError):
        load(write(files, text.getvalue()))


def test_the_tls_context_has_the_configured_versions_and_suites(files: Path, tool: Callable[[str], str]) -> None:
    tool("openssl")

    def context(settings: str) -> ssl.SSLContext:
        read = load(write(files, f"tls_server_config: {{{PAIR}, {settings}}}"))
        assert read.tls
        return read.tls

    plain = context("max_version: TLS13")
    assert (plain.minimum_version, plain.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert plain.verify_mode is ssl.CERT_NONE
    assert plain.options & ssl.OP_NO_RENEGOTIATION, "a client could keep a core busy with it"
    assert context("cipher_suites: [TLS_AES_128_GCM_SHA256]").minimum_version == ssl.TLSVersion.TLSv1_3
    chosen = context("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]").get_ciphers()
    assert [suite["name"] for suite in chosen if suite["protocol"] != "TLSv1.3"] == ["ECDHE-RSA-AES256-GCM-SHA384"]
    assert not context("prefer_server_cipher_suites: false").options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert context("client_auth_type: VerifyClientCertIfGiven").verify_mode is ssl.CERT_OPTIONAL
    required = context("client_auth_type: RequireAndVerifyClientCert, client_ca_file: client.crt")
    assert required.verify_mode is ssl.CERT_REQUIRED
    assert required.cert_store_stats()["x509"] == 1
