"""The command `simulate`: its flags, its output and its server."""

import argparse
import asyncio

import msgspec
import pytest
from aiohttp import ClientSession
from ruamel.yaml import YAML

from exporter.simulator import DEMO_ACCESS_KEY, DEMO_PROJECT_ID, Fault, Latency, Script, Simulator, SimulatorOptions
from exporter.simulator.command import add_arguments, configuration, options_of, run


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


def test_without_flags_it_is_the_default_simulator() -> None:
    """Flags and options have the same defaults."""
    namespace = parse()
    assert options_of(namespace) == SimulatorOptions()
    assert namespace.listen_address == ("127.0.0.1", 10098)


def test_every_flag_reaches_the_options() -> None:
    """Each flag sets its option."""
    people = "--seed 3 --users 7 --utc-offset -5.5 --turnover 2 --namesakes 1 --speed 60"
    answers = "--quota 0 --faults 429=0.5,ListUsers:hang=1 --latency 50ms:1s"
    incident = "--incident-at 5m --incident-duration 1h30m --incident-ratio 0.5"
    assert options_of(parse(*people.split(), *answers.split(), *incident.split())) == SimulatorOptions(
        seed=3,
        users=7,
        utc_offset=-5.5,
        turnover=2,
        namesakes=1,
        speed=60.0,
        quota=0,
        faults=(Fault("429", 0.5), Fault("hang", 1.0, "ListUsers")),
        latency=Latency(0.05, 1.0),
        incident=Script(300.0, 5400.0, 0.5),
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [("[::1]:80", ("::1", 80)), (":0", ("0.0.0.0", 0)), ("localhost:9", ("localhost", 9))],  # noqa: S104 - only parsed
)
def test_an_address_has_a_host_or_not(text: str, address: tuple[str, int]) -> None:
    """A host name, IPv6 in brackets and no host are accepted."""
    assert parse("--listen-address", text).listen_address == address


@pytest.mark.parametrize(
    ("flag", "value", "hint"),
    [
        ("--listen-address", "::1", "HOST:PORT"),
        ("--listen-address", "host:70000", "HOST:PORT"),
        ("--seed", "x", "whole number"),
        ("--users", "-1", "whole number"),
        ("--utc-offset", "CET", "hours"),
        ("--utc-offset", "15", "hours"),
        ("--turnover", "some", "whole number"),
        ("--namesakes", "0.5", "whole number"),
        ("--speed", "fast", "frozen"),
        ("--faults", "429=2", "from 0 to 1"),
        ("--latency", "soon", "50ms"),
        ("--incident-at", "5 minutes", "5m"),
        ("--incident-ratio", "1.5", "from 0 to 1"),
    ],
)
def test_an_invalid_value_is_rejected_with_a_hint(
    flag: str, value: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An invalid value exits with argparse's status 2 and an example of a valid one."""
    with pytest.raises(SystemExit, match="2"):
        parse(f"{flag}={value}")
    error = capsys.readouterr().err
    assert flag in error
    assert hint in error


def test_the_printed_configuration_is_yaml_that_watches_every_user() -> None:
    """The configuration is complete: one project, its endpoints and a key; the users are discovered."""
    project = YAML(typ="safe").load(configuration(Simulator(), "http://127.0.0.1:1"))["projects"][0]
    assert project["project_id"] == DEMO_PROJECT_ID
    assert set(project["endpoints"]) == {"sessions", "users", "iam", "metadata"}
    assert project["auth"]["access_key"] == DEMO_ACCESS_KEY
    assert project["discover"] == [{"all": True}]
    assert "users" not in project


async def test_it_serves_until_cancelled_and_prints_a_working_request(capsys: pytest.CaptureFixture[str]) -> None:
    """Address and token of the printed curl command work."""
    task = asyncio.create_task(run(parse("--listen-address=127.0.0.1:0", "--users=3")))
    text = ""
    async with asyncio.timeout(10):
        while "curl" not in text:
            await asyncio.sleep(0)
            text += capsys.readouterr().out
        url = next(word for word in text.split("'") if word.startswith("http://") and "user_name" in word)
        token = text.split("X-Auth-Token: ")[1].split("'")[0]
        async with ClientSession() as session, session.get(url, headers={"X-Auth-Token": token}) as response:
            assert response.status == 200
            assert "session_info_list" in msgspec.json.decode(await response.read())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_with_its_output_in_a_file_it_shows_on_stderr_that_it_serves(capsys: pytest.CaptureFixture[str]) -> None:
    """Address, use of the file and how to end it; the output remains a configuration."""
    task = asyncio.create_task(run(parse("--listen-address=127.0.0.1:0", "--users=3")))
    output, errors = "", ""
    async with asyncio.timeout(10):
        while "--config.file" not in errors:
            await asyncio.sleep(0)
            read = capsys.readouterr()
            output, errors = output + read.out, errors + read.err
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (written,) = YAML(typ="safe").load(output)["projects"]
    assert f"at {written['endpoints']['sessions']}; Ctrl-C ends it" in errors
