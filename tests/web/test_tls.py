"""TLS as the web file has it, over real connections, while the files change."""

from __future__ import annotations

import asyncio
import re
import ssl
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from typing import TYPE_CHECKING

import pytest
from support.web_clients import ask, client, until, web_server
from support.web_files import certificate, write

from exporter import config
from exporter.web.server import CurrentWebFile
from exporter.web.sockets import listening_sockets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.web.server import Server

PAIR = "cert_file: server.crt, key_file: server.key"
REFUSALS = (ssl.SSLError, ConnectionError)


@pytest.fixture
def openssl(tool: Callable[[str], str]) -> str:
    return tool("openssl")


@pytest.fixture
def web_file(tmp_path: Path, openssl: str) -> Path:
    """A file that wants nothing but TLS."""
    certificate(openssl, tmp_path, "server")
    return write(tmp_path / "web.yml", f"tls_server_config: {{{PAIR}}}")


def trusting(directory: Path, own: tuple[Path, Path] | None = None, name: str = "server") -> ssl.SSLContext:
    """A client that trusts the server's certificate, and may have one of its own."""
    context = ssl.create_default_context(cafile=directory / f"{name}.crt")
    if own:
        context.load_cert_chain(*own)
    return context


async def test_metrics_are_served_over_tls(web_file: Path) -> None:
    async with web_server(web_file) as server:
        assert server.address.startswith("https://127.0.0.1:")
        assert (await ask(server, tls=trusting(web_file.parent))).status == 200


async def test_who_speaks_no_tls_gets_no_answer(web_file: Path) -> None:
    async with web_server(web_file) as server:
        with pytest.raises(ConnectionError):
            await ask(server)
        assert (await ask(server, tls=trusting(web_file.parent))).status == 200


@pytest.mark.parametrize(
    ("settings", "version", "accepted"),
    [
        ("", "-tls1_1", False),
        ("", "-tls1_2", True),
        (", min_version: TLS13", "-tls1_2", False),
        (", min_version: TLS13", "-tls1_3", True),
        (", max_version: TLS12", "-tls1_3", False),
        (", min_version: TLS10", "-tls1", True),
        (", min_version: TLS11", "-tls1", False),
        (", cipher_suites: [TLS_AES_128_GCM_SHA256]", "-tls1_2", False),
        (", curve_preferences: [CurveP521]", "-tls1_3 -groups P-521", True),
        (", curve_preferences: [CurveP521]", "-tls1_3 -groups X25519", False),
        (", cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256], max_version: TLS12", "-tls1_2", False),
        (", cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], max_version: TLS12", "-tls1_2", True),
    ],
)
async def test_only_the_versions_and_suites_of_the_file_are_spoken(
    web_file: Path, openssl: str, settings: str, version: str, accepted: bool
) -> None:
    """TLS 1.2 is the least unless the file says otherwise; the certificate's key is of the kind ECDSA."""
    write(web_file, f"tls_server_config: {{{PAIR}{settings}}}")
    async with web_server(web_file) as server:
        address = server.address.removeprefix("https://")
        arguments = ["s_client", "-connect", address, *version.split(), "-cipher", "DEFAULT:@SECLEVEL=0"]
        process = await asyncio.create_subprocess_exec(openssl, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
        output, _ = await process.communicate()
    assert (process.returncode == 0) == accepted, output.decode()


async def test_a_certificate_is_required_and_verified(web_file: Path, openssl: str) -> None:
    directory = web_file.parent
    known, foreign = (certificate(openssl, directory, name) for name in ("known", "foreign"))
    policy = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: known.crt"
    write(web_file, f"tls_server_config: {{{PAIR}, {policy}}}")
    async with web_server(web_file) as server:
        assert (await ask(server, tls=trusting(directory, known))).status == 200
        for own in (None, foreign):
            with pytest.raises(REFUSALS):
                await ask(server, tls=trusting(directory, own))


async def test_a_certificate_is_verified_where_there_is_one(web_file: Path, openssl: str) -> None:
    directory = web_file.parent
    known, foreign = (certificate(openssl, directory, name) for name in ("known", "foreign"))
    policy = "client_auth_type: VerifyClientCertIfGiven, client_ca_file: known.crt"
    write(web_file, f"tls_server_config: {{{PAIR}, {policy}}}")
    async with web_server(web_file) as server:
        for own in (known, None):
            assert (await ask(server, tls=trusting(directory, own))).status == 200
        with pytest.raises(REFUSALS):
            await ask(server, tls=trusting(directory, foreign))


async def test_the_trusted_authority_may_be_one_between(web_file: Path, openssl: str) -> None:
    """A certificate that does not sign itself can be trusted as it is, as in Go."""
    directory = web_file.parent

    def signed(name: str, by: str) -> tuple[Path, Path]:
        return certificate(openssl, directory, name, "-CA", f"{directory}/{by}.crt", "-CAkey", f"{directory}/{by}.key")

    certificate(openssl, directory, "root")
    signed("between", "root")
    own = signed("known", "between")
    policy = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: between.crt"
    write(web_file, f"tls_server_config: {{{PAIR}, {policy}}}")
    async with web_server(web_file) as server:
        assert (await ask(server, tls=trusting(directory, own))).status == 200


async def test_a_certificate_that_is_only_for_servers_identifies_no_client(web_file: Path, openssl: str) -> None:
    directory = web_file.parent
    own = certificate(openssl, directory, "known", "-addext", "extendedKeyUsage=serverAuth")
    policy = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: known.crt"
    write(web_file, f"tls_server_config: {{{PAIR}, {policy}}}")
    async with web_server(web_file) as server:
        with pytest.raises(REFUSALS):
            await ask(server, tls=trusting(directory, own))


async def test_a_new_certificate_is_used_for_the_next_connection(web_file: Path, openssl: str) -> None:
    """Who is connected already gets one more answer by the old one, and is then queried to connect again."""
    directory = web_file.parent
    async with web_server(web_file) as server, client(server, trusting(directory)) as before:
        assert "Connection" not in (await before.ask()).headers
        other = certificate(openssl, directory, "other")
        other[0].rename(directory / "server.crt")
        other[1].rename(directory / "server.key")
        async with client(server, trusting(directory)) as after:
            assert (await after.ask()).status == 200
            assert after.certificate != before.certificate
        assert (await before.ask()).headers["Connection"] == "close"
        assert await before.ended()


async def test_tls_is_switched_on_and_off_without_a_restart(web_file: Path) -> None:
    with_tls = f"tls_server_config: {{{PAIR}}}"
    write(web_file, "{}")
    async with web_server(web_file) as server:
        async with client(server) as before:
            assert (await before.ask()).status == 200
            write(web_file, with_tls)
            assert (await ask(server, tls=trusting(web_file.parent))).status == 200
            assert server.address.startswith("https://")
            assert (await before.ask()).headers["Connection"] == "close"
        with pytest.raises(ConnectionError):
            await ask(server)
        write(web_file, "{}")
        assert (await ask(server)).status == 200
        assert server.address.startswith("http://")


async def test_an_invalid_version_leaves_the_last_valid_one_in_effect_and_is_reported_once(
    web_file: Path, openssl: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where only a file that it names is wrong; once that is right, it counts."""
    directory = web_file.parent
    trusted = trusting(directory)

    def rejected(output: str) -> list[str]:
        """The settings that the log rejects, in order."""
        return re.findall(r"web_config_refused .*?mistake='?([^: ]+)", output)

    def told() -> list[str]:
        return rejected("".join(capfd.readouterr()))

    async with web_server(web_file) as server:
        later = "tls_server_config: {cert_file: later.crt, key_file: later.key}"
        write(web_file, f"{later}\nbasic_auth_users: {{anna: s3cret}}")
        for _ in range(3):
            assert (await ask(server, tls=trusted)).status == 200
        output = "".join(capfd.readouterr())
        files = ["tls_server_config.cert_file", "tls_server_config.key_file"]
        assert sorted(rejected(output)) == ["basic_auth_users[0]", *files]
        assert "s3cret" not in output
        write(web_file, later)
        assert (await ask(server, tls=trusted)).status == 200
        assert sorted(told()) == files
        certificate(openssl, directory, "later")
        assert (await ask(server, tls=trusting(directory, name="later"))).status == 200
        write(web_file, "")
        for _ in range(2):
            assert (await ask(server, tls=trusting(directory, name="later"))).status == 200
        assert len(told()) == 1


async def test_the_start_fails_with_every_mistake(web_file: Path) -> None:
    write(web_file, "tls_server_config: {cert_file: gone, key_file: gone}")
    with pytest.raises(config.ConfigError) as error:
        async with web_server(web_file):
            pass
    assert [mistake.path for mistake in error.value.mistakes] == [
        "tls_server_config.cert_file",
        "tls_server_config.key_file",
    ]


async def test_a_server_goes_over_to_other_settings(web_file: Path) -> None:
    """A new address and a new file apply. The old address is closed, and open connections remain."""

    def port(server: Server) -> str:
        return server.address.rpartition(":")[2]

    async with web_server() as server, client(server) as before:
        assert (await before.ask()).status == 200
        old = port(server)
        prepared = CurrentWebFile(web_file), await listening_sockets(config.Web(listen_address=("127.0.0.1:0",)))
        server.web_file = prepared[0]
        server.listen(prepared[1])
        assert port(server) != old
        assert (await ask(server, tls=trusting(web_file.parent))).status == 200
        assert (await before.ask()).status == 200
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", int(old))


async def test_who_came_by_a_former_address_gets_one_more_answer() -> None:
    """Then the connection is closed, so that nobody stays who could not connect any more."""
    async with web_server() as server, client(server) as before, client(server) as idle:
        assert "Connection" not in (await before.ask()).headers
        await until(lambda: len(server._listener.connections) == 2)  # noqa: SLF001 - both have been taken
        server.listen(await listening_sockets(config.Web(listen_address=("127.0.0.1:0",))))
        async with client(server) as after:
            for one in (before, idle):
                answer = await one.ask()
                assert (answer.status, answer.headers["Connection"]) == (200, "close")
                assert await one.ended()
            for _ in range(2):
                assert "Connection" not in (await after.ask()).headers
