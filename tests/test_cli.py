"""The command line, as a process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import re
import signal
import sys
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from support.commands import said
from support.diagnosis import answering
from support.exporters import get, project, until
from support.monitoring import free_port
from support.promises import Promise
from support.ways_to_run import free_address, serving

import exporter
from exporter.simulator import Simulator, SimulatorOptions

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

PIPE = asyncio.subprocess.PIPE
EXPORTER = (sys.executable, "-P", "-m", "exporter")
CONFIGURATION = """
projects:
  - name: berlin
    project_id: p
    endpoints: {sessions: "http://127.0.0.1:1", users: "http://127.0.0.1:1"}
    auth: {token: t0ken}
    users: [anna]
web: {listen_address: "127.0.0.1:0"}
"""

SILENT_DNS = """
import socket, sys, threading

answered = socket.getaddrinfo

def getaddrinfo(host, *rest, **named):
    if not str(host).endswith(".invalid"):
        return answered(host, *rest, **named)
    print("queried", file=sys.stderr, flush=True)
    threading.Event().wait()

socket.getaddrinfo = getaddrinfo
"""


@asynccontextmanager
async def started(words: Sequence[str], environ: Mapping[str, str], stderr: int = PIPE) -> AsyncIterator[Process]:
    """Run a command that finds the exporter, and end it in any case."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WORKSPACE_", "HUAWEICLOUD_"))}
    clean["PYTHONPATH"] = str(Path(exporter.__file__).parents[1])  # the same exporter that is imported here
    process = await asyncio.create_subprocess_exec(*words, stdout=PIPE, stderr=stderr, env={**clean, **environ})
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def command(*arguments: str, **environ: str) -> AbstractAsyncContextManager[Process]:
    """Run the exporter as a process, and end it in any case."""
    return started([*EXPORTER, *arguments], environ)


async def outcome(*arguments: str, **environ: str) -> tuple[int | None, str, str]:
    """Return exit code, output and errors of a command that ends by itself."""
    async with command(*arguments, **environ) as process:
        output, errors = await process.communicate()
        return process.returncode, output.decode(), errors.decode()


async def line_with(stream: asyncio.StreamReader | None, pattern: str) -> re.Match[str]:
    """Return the match in the first line that has one."""
    assert stream
    async with asyncio.timeout(20):
        while line := (await stream.readline()).decode():
            if found := re.search(pattern, line):
                return found
    raise AssertionError(f"no line matches {pattern}")


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    file = tmp_path / "workspace.yml"
    file.write_text(CONFIGURATION)
    return file


async def test_the_version_is_that_of_the_package() -> None:
    """The revision is that of the wheel's commit; sources have none."""
    file = Path(exporter.__file__).parent / "REVISION"
    revision = file.read_text().strip() if file.is_file() else "unknown"
    text = f"{exporter.__version__} (revision {revision}, Python {platform.python_version()})"
    assert await outcome("--version") == (0, f"workspace-exporter {text}\n", "")


async def test_the_first_log_line_shows_what_runs_and_how_much_it_watches(configuration: Path) -> None:
    async with command("--config.file", str(configuration)) as process:
        assert process.stderr
        first = (await process.stderr.readline()).decode()
    versions = rf"version={re.escape(exporter.__version__)} revision=\S+ python={platform.python_version()}"
    assert re.search(rf"level=info event=starting {versions} projects=1 users=1$", first.rstrip())


@pytest.fixture
def discovering(configuration: Path) -> Path:
    configuration.write_text(CONFIGURATION.replace("users: [anna]", "discover: [{all: true}]"))
    return configuration


async def test_the_first_log_line_has_no_number_of_users_before_they_are_discovered(discovering: Path) -> None:
    async with command("--config.file", str(discovering)) as process:
        assert process.stderr
        first = (await process.stderr.readline()).decode()
    assert first.rstrip().endswith('projects=1 users="discovered later"')


async def test_the_first_log_line_of_a_shard_names_it_and_counts_only_its_projects(tmp_path: Path) -> None:
    file = tmp_path / "workspace.yml"
    entries = "".join(
        f"  - {{project_id: p{n}, region: r, auth: {{token: hush}}, users: [u1, u2]}}\n" for n in range(8)
    )
    file.write_text(f"projects:\n{entries}shard: {{index: 1, total: 2}}\nweb: {{listen_address: '127.0.0.1:0'}}\n")
    _, summary, _ = await outcome("--config.file", str(file), "--config.check")
    watched = re.search(r"it watches (\d) of 8 projects", summary)
    assert watched
    projects = int(watched[1])
    async with command("--config.file", str(file)) as process:
        assert process.stderr
        first = (await process.stderr.readline()).decode()
    assert re.search(rf"projects={projects} users={2 * projects} shard=['\"]1 of 2['\"]", first)
    assert not re.search("hush|u1", first)


async def test_the_garbage_collector_is_enabled_and_ignores_imported_objects() -> None:
    told = "import gc, atexit; atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 10_000))"
    sources = Path(exporter.__file__).parents[1]  # of the same exporter that is imported here
    run = f"import sys; sys.path.insert(0, '{sources}'); from exporter.__main__ import main; main()"
    code, output = await said(sys.executable, "-P", "-c", f"{told}; {run}", "--version")
    assert (code, output.splitlines()[1:]) == (0, ["True True"])


async def test_help_names_the_commands_and_every_flag() -> None:
    code, text, _ = await outcome("--help")
    assert code == 0
    for word in (
        "demo",
        "simulate",
        "doctor",
        "--config.file",
        "--config.check",
        "--web.listen-address",
        "--poll.interval",
    ):
        assert word in text


async def test_a_valid_configuration_is_summarized(configuration: Path) -> None:
    code, text, errors = await outcome("--config.file", str(configuration), "--config.check")
    assert (code, text, errors) == (0, "The configuration is valid: berlin with 1 user.\n", "")


@pytest.mark.parametrize(
    ("index", "told"),
    [
        (
            "0",
            "With shard.index 0 of shard.total 3 it watches 2 of 3 projects: berlin with 1 user, rome with 2 users.\n",
        ),
        ("1", "With shard.index 1 of shard.total 3 it watches 0 of 3 projects.\n"),
        ("2", "With shard.index 2 of shard.total 3 it watches 1 of 3 projects: paris with 1 user.\n"),
    ],
)
async def test_the_check_of_a_shard_lists_its_projects(tmp_path: Path, index: str, told: str) -> None:
    """Each shard checks and summarizes the whole configuration."""
    everywhere = {"region": "eu-west-101", "auth": {"token": "t0ken"}}
    names = {"berlin": ("q", ["a"]), "paris": ("p", ["b"]), "rome": ("s", ["c", "d"])}
    projects = [{"name": name, "project_id": by_id, "users": users} for name, (by_id, users) in names.items()]
    file = tmp_path / "workspace.yml"
    file.write_text(json.dumps({"projects": [project | everywhere for project in projects]}))
    shard = ("--shard.total", "3", "--shard.index", index)
    code, text, errors = await outcome("--config.file", str(file), "--config.check", *shard)
    valid = "The configuration is valid: berlin with 1 user, paris with 1 user, rome with 2 users.\n"
    assert (code, text, errors) == (0, valid + told, "")


async def test_every_mistake_is_printed_with_file_path_and_reason(tmp_path: Path) -> None:
    file = tmp_path / "workspace.yml"
    file.write_text("projects: [{project_id: p, users: [a]}]\npoll: {intervall: 1s}\n")
    code, text, errors = await outcome(
        "--config.file", str(file), "--config.check", "--log.level", "loud", WORKSPACE_EXPORTER_POLL__TIMEOUT="soon"
    )
    assert (code, text) == (1, "")
    told = errors.splitlines()
    assert len(told) == 4
    assert f"{file}: poll.intervall: is unknown; did you mean interval?" in told
    assert any(line.startswith(f"{file}: projects[0].region: ") for line in told)
    assert any(line.startswith("environment WORKSPACE_EXPORTER_POLL__TIMEOUT: ") for line in told)
    assert any(line.startswith("flag --log.level: ") for line in told)


@pytest.mark.parametrize("name", ["demo", "simulate", "doctor"])
async def test_the_check_cannot_be_combined_with_a_command(name: str) -> None:
    code, _, errors = await outcome("--config.check", name)
    assert code == 2
    assert f"sends no requests and cannot be combined with {name}" in errors


async def test_without_a_configuration_the_error_names_what_is_missing() -> None:
    code, _, errors = await outcome()
    assert code == 1
    assert "projects" in errors
    assert "Traceback" not in errors


async def test_the_sdk_s_environment_gives_project_id_and_keys(tmp_path: Path) -> None:
    file = tmp_path / "workspace.yml"
    file.write_text("projects: [{region: eu-west-101, users: [a]}]\n")
    keys = {"HUAWEICLOUD_SDK_AK": "ak", "HUAWEICLOUD_SDK_SK": "sk", "HUAWEICLOUD_SDK_PROJECT_ID": "from-the-sdk"}
    code, text, _ = await outcome("--config.file", str(file), "--config.check", **keys)
    assert (code, text) == (0, "The configuration is valid: from-the-sdk with 1 user.\n")


CHAIN = "projects: [{project_id: p, region: ap-southeast-3, users: [a]}]\n"


async def test_a_half_configured_link_of_the_sdk_s_chain_is_a_mistake_if_a_project_needs_it(
    tmp_path: Path, configuration: Path
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("[basic]\nak = A\n")
    (tmp_path / "needed.yml").write_text(CHAIN)
    named = {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(credentials)}
    half = {"HUAWEICLOUD_SDK_AK": "A"}
    for environ, lacking in ((named, "lacks ak or sk in its section [basic]: ak is set, but not sk"), (half, "SDK_SK")):
        for arguments in (["--config.check"], []):
            code, _, errors = await outcome("--config.file", str(tmp_path / "needed.yml"), *arguments, **environ)
            assert code == 1
            assert errors.startswith("the SDK's credentials: ")
            assert lacking in errors
            assert "Traceback" not in errors
        assert (await outcome("--config.file", str(configuration), "--config.check", **environ))[0] == 0


async def test_a_socks_proxy_that_no_endpoint_is_reached_by_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "workspace.yml"
    file.write_text("projects: [{project_id: p, region: ap-southeast-3, users: [a], auth: {token: t}}]\n")
    code, _, errors = await outcome("--config.file", str(file), "--config.check", HTTP_PROXY="socks5://u:hush@h:1")
    assert (code, errors) == (
        0,
        "warning: environment: HTTP_PROXY names a SOCKS proxy, which is not supported and not used\n",
    )


async def test_the_doctor_ends_quietly_when_nobody_reads_on(configuration: Path) -> None:
    async with command("--config.file", str(configuration), "doctor") as process:
        assert process.stdout
        assert process.stderr
        await process.stdout.readline()
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined] # noqa: SLF001 - as `head` does
        assert await process.stderr.read() == b""
        assert await process.wait() == 1


async def test_a_proxy_of_the_environment_that_cannot_be_used_is_a_mistake(configuration: Path) -> None:
    socks = {"HTTP_PROXY": "socks5://svc:hush@proxy:1", "HTTPS_PROXY": "socks5://svc:hush@proxy:1"}
    for arguments in (["--config.check"], []):
        code, _, errors = await outcome("--config.file", str(configuration), *arguments, **socks)
        assert code == 1
        assert "_PROXY names a SOCKS proxy, which is not supported" in errors
        assert "hush" not in errors


async def test_a_credentials_file_that_the_sdk_skips_is_a_warning(tmp_path: Path) -> None:
    """It is logged once, however many projects rely on the chain."""
    file, credentials = tmp_path / "workspace.yml", tmp_path / "credentials"
    two = ", ".join(f"{{project_id: {name}, region: ap-southeast-3, users: [a]}}" for name in "pq")
    file.write_text(f"projects: [{two}]\nweb: {{listen_address: '127.0.0.1:0'}}\n")
    credentials.write_text("hush\n")
    named = {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(credentials)}
    text = f"the SDK's credentials: the credentials file is skipped: {credentials} is not an ini file: "
    code, _, errors = await outcome("--config.file", str(file), "--config.check", **named)
    assert code == 0
    assert errors == f"warning: {text}MissingSectionHeaderError\n"
    async with command("--config.file", str(file), **named) as process:
        assert process.stderr
        lines = [(await process.stderr.readline()).decode()]
        while "event=listening" not in lines[-1]:
            lines.append((await process.stderr.readline()).decode())
    assert [text in line for line in lines if "event=configuration_doubtful" in line] == [True]
    assert "hush" not in "".join(lines)


async def test_without_a_home_directory_there_is_no_credentials_file(tmp_path: Path) -> None:
    """As for a numeric user of a container, who has no entry in /etc/passwd either."""
    file = tmp_path / "workspace.yml"
    file.write_text(CHAIN)
    program = "import os, pwd, sys; del os.environ['HOME']; pwd.getpwuid = {}.__getitem__\n"
    program += "from exporter.cli import main; sys.exit(main())"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WORKSPACE_", "HUAWEICLOUD_"))}
    clean |= {"HOME": "/", "PYTHONPATH": str(Path(exporter.__file__).parents[1])}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", program, "--config.file", str(file), "--config.check"),
        stdout=PIPE,
        stderr=PIPE,
        env=clean,
    )
    output, errors = await process.communicate()
    assert (process.returncode, output, errors) == (0, b"The configuration is valid: p with 1 user.\n", b"")


async def test_what_is_doubtful_is_a_warning_of_the_check_and_in_the_log(configuration: Path) -> None:
    rewrite(configuration, CONFIGURATION.replace("users: [", "users: [Ann, ann, "))
    doubt = f"{configuration}: projects[0].users[1]: differs from {configuration}: projects[0].users[0] only in case"
    code, text, errors = await outcome("--config.file", str(configuration), "--config.check")
    assert (code, text) == (0, "The configuration is valid: berlin with 3 users.\n")
    assert errors.startswith(f"warning: {doubt}")
    assert len(errors.splitlines()) == 1
    async with command("--config.file", str(configuration)) as process:
        for _ in range(2):  # at the start, and again at the reload
            found = await line_with(process.stderr, "level=warning event=configuration_doubtful doubt=(.*)")
            assert found[1].startswith(f'"{doubt}')
            if process.returncode is None:
                await line_with(process.stderr, "event=(listening|reloaded)")
                process.send_signal(signal.SIGHUP)


async def test_the_check_counts_the_users_that_no_pattern_excludes_and_names_discovery(configuration: Path) -> None:
    listed = CONFIGURATION.replace("users: [", "exclude: ['svc-*']\n    users: [svc-1, SVC-2, ")
    rewrite(configuration, listed)
    named = ("--config.file", str(configuration), "--config.check")
    assert (await outcome(*named))[1] == "The configuration is valid: berlin with 1 user.\n"
    rewrite(configuration, listed.replace("exclude:", "discover: [{all: true}]\n    exclude:"))
    assert (await outcome(*named))[1] == "The configuration is valid: berlin with 1 user and discovered users.\n"


@pytest.mark.promise(Promise.SIGTERM)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_within_five_seconds_with_exit_code_0(
    configuration: Path, number: signal.Signals
) -> None:
    async with command("--config.file", str(configuration)) as process:
        found = await line_with(process.stderr, "event=listening address=(.*)")
        assert (await get(f"{found[1]}/-/healthy"))[0] == 200
        host, _, port = found[1].removeprefix("http://").partition(":")
        _, slow_client = await asyncio.open_connection(host, int(port))
        slow_client.write(b"GET /metrics HTTP/1.1\r\n")
        process.send_signal(number)
        async with asyncio.timeout(5):
            _, errors = await process.communicate()
        slow_client.close()
    assert process.returncode == 0
    assert "event=stopped" in errors.decode()
    assert "Traceback" not in errors.decode()


@pytest.fixture
def silent_dns(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a process whose DNS lookups never end; it prints `queried` at the first one."""
    (tmp_path / "sitecustomize.py").write_text(SILENT_DNS)
    return {"PYTHONPATH": f"{tmp_path}:{Path(exporter.__file__).parents[1]}"}


@pytest.mark.promise(Promise.SIGTERM)
async def test_a_signal_ends_it_within_five_seconds_while_no_dns_server_answers(
    configuration: Path, silent_dns: dict[str, str]
) -> None:
    rewrite(configuration, CONFIGURATION.replace("127.0.0.1:1", "cloud.invalid"))
    async with command("--config.file", str(configuration), **silent_dns) as process:
        await line_with(process.stderr, "queried")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            _, errors = await process.communicate()
    assert process.returncode == 0
    assert "Traceback" not in errors.decode()


async def test_the_doctor_ends_on_a_signal_while_no_dns_server_answers(
    configuration: Path, silent_dns: dict[str, str]
) -> None:
    rewrite(configuration, CONFIGURATION.replace("127.0.0.1:1", "cloud.invalid"))
    async with command("doctor", "--config.file", str(configuration), **silent_dns) as process:
        await line_with(process.stderr, "queried")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(5):
            _, errors = await process.communicate()
    assert (process.returncode, errors.replace(b"queried\n", b"")) == (1, b"")


async def test_sighup_reloads_and_a_broken_file_changes_nothing(configuration: Path) -> None:
    async with command("--config.file", str(configuration)) as process:
        found = await line_with(process.stderr, "event=listening address=(.*)")
        rewrite(configuration, CONFIGURATION + "shard: {index: one, total: two}\n")
        process.send_signal(signal.SIGHUP)
        for setting in ("index", "total"):
            refused = await line_with(process.stderr, "event=reload_rejected mistake=(.*)")
            assert f"{configuration}: shard.{setting}: must be a whole number" in refused[1]
            assert "[" not in refused[1]
        assert "last_reload_successful 0.0" in (await get(f"{found[1]}/metrics"))[1]
        rewrite(configuration, CONFIGURATION.replace("users: [", "users: [another, "))
        process.send_signal(signal.SIGHUP)
        await line_with(process.stderr, "event=reloaded projects=1 users=2")
        text = await until(lambda text: "last_reload_successful 1.0" in text, f"{found[1]}/metrics")
        assert "_exporter_config_last_reload_success_timestamp_seconds" in text


async def test_a_quit_request_ends_the_process(configuration: Path) -> None:
    async with command("--config.file", str(configuration), "--web.enable-lifecycle") as process:
        found = await line_with(process.stderr, "event=listening address=(.*)")
        async with aiohttp.ClientSession() as session, session.post(f"{found[1]}/-/quit") as response:
            assert response.status == 200
        async with asyncio.timeout(5):
            await process.communicate()
    assert process.returncode == 0


async def test_an_address_in_use_is_reported_without_a_traceback(configuration: Path) -> None:
    async with command("--config.file", str(configuration)) as process:
        found = await line_with(process.stderr, "event=listening address=http://(.*)")
        code, _, errors = await outcome("--config.file", str(configuration), "--web.listen-address", found[1])
    assert code == 1
    assert "Address already in use; choose another address with --web.listen-address" in errors
    assert "Traceback" not in errors


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """A pipe that is full, and that nobody reads."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, bytes(4096)):
            pass
    os.set_blocking(writing, True)
    yield writing
    os.close(writing)
    os.close(reading)


@pytest.mark.promise(Promise.SIGTERM)
@pytest.mark.parametrize("log_format", ["logfmt", "json", "console"])
async def test_it_serves_reloads_and_ends_while_nobody_reads_standard_error(
    configuration: Path, full_pipe: int, log_format: str
) -> None:
    address = free_address()
    flags = ("--web.listen-address", address, "--log.level", "debug", "--log.format", log_format)
    async with started([*EXPORTER, "--config.file", str(configuration), *flags], {}, full_pipe) as process:
        await serving(address)
        for _ in range(3):
            rewrite(configuration, CONFIGURATION + "shard: {index: one}\n")  # logs an error
            process.send_signal(signal.SIGHUP)
            await until(lambda text: "last_reload_successful 0.0" in text, f"http://{address}/metrics")
            rewrite(configuration, CONFIGURATION)
            process.send_signal(signal.SIGHUP)
            await until(lambda text: "last_reload_successful 1.0" in text, f"http://{address}/metrics")
        text = (await get(f"http://{address}/metrics"))[1]
        assert "huaweicloud_workspace_exporter_log_lines_dropped_total 0.0" in text, "there is memory for them"
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            assert await process.wait() == 0


async def test_lines_that_waited_for_their_reader_are_written_at_the_end(configuration: Path) -> None:
    async with command("--config.file", str(configuration), "--log.level", "debug") as process:
        found = await line_with(process.stderr, "event=listening address=(.*)")
        await until(lambda text: text == "Ready.\n", f"{found[1]}/-/ready")
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
    assert "event=stopped" in errors.decode().splitlines()[-1]


@pytest.mark.parametrize("kind", ["closed pipe", "full disk", "no descriptor"])
async def test_it_lives_without_a_usable_standard_error(configuration: Path, kind: str) -> None:
    """EPIPE, ENOSPC, EBADF."""
    address = free_address()
    words = [*EXPORTER, "--config.file", str(configuration), "--web.listen-address", address]
    with ExitStack() as stack:
        match kind:
            case "closed pipe":
                reading, stderr = os.pipe()
                os.close(reading)
                stack.callback(os.close, stderr)
            case "full disk":
                stderr = os.open("/dev/full", os.O_WRONLY)
                stack.callback(os.close, stderr)
            case _:
                words, stderr = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words], PIPE
        async with started(words, {}, stderr) as process:
            await serving(address)
            dropped = "huaweicloud_workspace_exporter_log_lines_dropped_total"
            # Without a descriptor, the lines go to /dev/null.
            expected = f"{dropped} 0.0" if kind == "no descriptor" else rf"{dropped} [1-9]"
            await until(lambda text: re.search(expected, text) is not None, f"http://{address}/metrics")
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0


async def test_several_addresses_are_served_and_a_reload_changes_them(configuration: Path) -> None:
    first, second, third = f"127.0.0.1:{free_port()}", f"[::1]:{free_port()}", f"127.0.0.2:{free_port()}"

    def listening(*addresses: str) -> None:
        rewrite(configuration, CONFIGURATION.replace('"127.0.0.1:0"', json.dumps(addresses)))

    listening(first, second)
    async with command("--config.file", str(configuration)) as process:
        for address in (first, second):
            await line_with(process.stderr, f"event=listening address=http://{re.escape(address)}$")
            assert (await get(f"http://{address}/-/healthy"))[0] == 200
        listening(second, third)
        process.send_signal(signal.SIGHUP)
        await line_with(process.stderr, "event=reloaded .*")
        for address in (second, third):
            assert (await get(f"http://{address}/-/healthy"))[0] == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            await get(f"http://{first}/-/healthy")
    async with command(
        "--config.file", str(configuration), "--web.listen-address", first, "--web.listen-address", third
    ) as process:
        await line_with(process.stderr, f"event=listening address=http://{re.escape(third)}$")
        assert (await get(f"http://{first}/-/healthy"))[0] == 200


async def test_systemd_hands_over_its_sockets_and_a_reload_keeps_them(
    configuration: Path, tool: Callable[[str], str]
) -> None:
    addresses = [f"127.0.0.1:{free_port()}", f"[::1]:{free_port()}"]
    activate = [
        tool("systemd-socket-activate"),
        "--setenv=PYTHONPATH",
        *(f"--listen={address}" for address in addresses),
    ]
    flags = ("--config.file", str(configuration), "--web.systemd-socket", "--web.enable-lifecycle")
    async with started([*activate, *EXPORTER, *flags], {}) as process:
        await line_with(process.stderr, "Listening on .* as 4")
        healthy = [asyncio.create_task(get(f"http://{address}/-/healthy")) for address in addresses]
        assert [answer[0] for answer in await asyncio.gather(*healthy)] == [200, 200]
        rewrite(configuration, CONFIGURATION.replace("[anna]", "[anna, bert]"))
        async with aiohttp.ClientSession() as session, session.post(f"http://{addresses[0]}/-/reload") as response:
            assert response.status == 200
        for address in addresses:
            assert (await get(f"http://{address}/-/healthy"))[0] == 200
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_without_sockets_of_systemd_the_error_says_what_to_do(configuration: Path) -> None:
    code, _, errors = await outcome("--config.file", str(configuration), "--web.systemd-socket")
    assert code == 1
    assert "Traceback" not in errors
    assert "systemd passed no socket; start the exporter by a .socket unit, or turn web.systemd_socket off" in errors
    assert (await outcome("--config.file", str(configuration), "--web.systemd-socket", "--config.check"))[0] == 0


async def test_the_doctor_s_exit_code_is_0_only_if_everything_works(tmp_path: Path) -> None:
    """It reads the same configuration as the exporter, including flags before the command."""
    simulator = Simulator(SimulatorOptions(users=3))
    async with simulator.serve() as url:
        file = tmp_path / "workspace.yml"
        file.write_text(json.dumps({"projects": [project(simulator, url)]}))
        named = ("--config.file", str(file))
        sound = await outcome("doctor", *named)
        simulator.tokens.revoke_all()
        refused = await outcome(*named, "doctor")
        mistaken = await outcome("doctor", *named, "--poll.interval", "soon")
    assert (sound[0], sound[2]) == (0, "")
    assert sound[1].splitlines()[-1] == "summary: 14 ok, 1 warn, 0 FAIL, 0 skip"
    assert (refused[0], refused[2]) == (1, "")
    assert "FAIL  credentials" in refused[1]
    assert (mistaken[0], mistaken[1]) == (1, "")
    assert mistaken[2].startswith("flag --poll.interval: ")


async def test_the_doctor_ends_on_a_signal_with_exit_code_1() -> None:
    """Findings are printed as they arrive."""
    async with answering(b"") as url:
        projects = json.dumps([{"project_id": "p", "endpoints": {"sessions": url, "users": url}, "users": ["anna"]}])
        environ = {"WORKSPACE_EXPORTER_PROJECTS": projects, "HUAWEICLOUD_SDK_AK": "a", "HUAWEICLOUD_SDK_SK": "s"}
        async with command("doctor", "--poll.timeout", "1h", **environ, PYTHONUNBUFFERED="") as process:
            await line_with(process.stdout, "project p")
            process.send_signal(signal.SIGINT)
            _, errors = await process.communicate()
    assert (process.returncode, errors) == (1, b"")


async def test_the_demo_serves_and_prints_correct_numbers() -> None:
    async with asyncio.timeout(60), command("demo", "--web.listen-address", "127.0.0.1:0") as process:
        found = await line_with(process.stdout, r"the numbers +(http://\S+)")
        users = 'huaweicloud_workspace_users{project="demo"} 60.0'
        await until(lambda text: users in text and _covered(text), found[1])
        process.send_signal(signal.SIGINT)
        output, errors = await process.communicate()
    assert process.returncode == 0
    assert errors == b""
    assert re.search(r"█+░* [1-9]\d?/60 +[1-9]", output.decode()), "a line shows the round's progress and the numbers"


def _covered(text: str) -> bool:
    found = re.findall(r"^huaweicloud_workspace_poll_coverage_ratio\S+ (\S+)$", text, re.MULTILINE)
    return found == ["1.0", "1.0"]


async def test_the_simulator_prints_a_configuration_for_the_exporter(tmp_path: Path) -> None:
    """The output is valid as a whole; notes for people are comments."""
    async with command("simulate", "--listen-address", "127.0.0.1:0", "--users", "5", "--quota", "0") as process:
        assert process.stdout
        printed = ""
        async with asyncio.timeout(20):
            while not printed.endswith("- all: true\n"):
                line = (await process.stdout.readline()).decode()
                assert line, printed
                printed += line
        file = tmp_path / "printed.yml"
        file.write_text(printed)
        fast = ("--poll.rate-limit", "6000", "--web.listen-address", "127.0.0.1:0")
        async with command("--config.file", str(file), *fast) as exporting:
            found = await line_with(exporting.stderr, "event=listening address=(.*)")
            users = 'huaweicloud_workspace_users{project="simulator"} 5.0'
            await until(lambda text: users in text and _covered(text), f"{found[1]}/metrics")
        process.terminate()
        rest, errors = await process.communicate()
    assert rest == b""
    assert errors.startswith(b"Serving the simulated cloud at http://127.0.0.1:")
    assert errors.count(b"\n") == 2


async def test_the_simulator_reports_an_address_in_use_without_a_traceback() -> None:
    async with command("simulate", "--listen-address", "127.0.0.1:0") as process:
        (address,) = (await line_with(process.stdout, "answers at http://(.*)")).groups()
        code, output, errors = await outcome("simulate", "--listen-address", address)
    assert (code, output) == (1, "")
    remedy = "choose another address with --listen-address"
    assert errors == f"workspace-exporter: cannot listen on {address}: Address already in use; {remedy}\n"


@pytest.mark.parametrize(
    ("arguments", "serves"),
    [
        (("demo", "--web.listen-address", "127.0.0.1:0"), r"the numbers +(http://\S+)"),
        (("simulate", "--listen-address", "127.0.0.1:0"), r"answers at (http://\S+)"),
    ],
)
async def test_sighup_does_not_end_a_command_without_a_configuration(arguments: tuple[str, ...], serves: str) -> None:
    """A warning is logged, and the command continues."""
    async with asyncio.timeout(60), command(*arguments) as process:
        found = await line_with(process.stdout, serves)
        for _ in range(2):
            process.send_signal(signal.SIGHUP)
            await line_with(process.stderr, r"warning.* nothing_to_reload|level=warning event=nothing_to_reload")
        assert (await get(found[1]))[0] in {200, 404}  # the simulated cloud has nothing at its root
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 0
