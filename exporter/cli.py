"""The command line."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import structlog

from exporter import __version__, config, demo, doctor, logs
from exporter.app import exporting
from exporter.cloud import chain
from exporter.simulator import command as simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

T = TypeVar("T")

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; returns the exit code."""
    parser = _parser()
    namespace = parser.parse_args(arguments)
    if namespace.command and namespace.check:
        parser.error(f"--config.check asks nobody, and does not go with {namespace.command}")
    try:
        return _run(namespace)
    except config.ConfigError as error:
        sys.stderr.write(f"{error}\n")
    except OSError as error:
        sys.stderr.write(f"workspace-exporter: {error}\n")
    return 1


def _run(namespace: argparse.Namespace) -> int:
    flags = config.given_flags(namespace)
    match namespace.command:
        case "simulate":
            logs.configure(config.Log())
            asyncio.run(_until_signalled(_without_reload(simulate.run(namespace))))
        case "demo":
            asyncio.run(_until_signalled(_without_reload(demo.run(flags))))
        case "doctor":
            return 0 if asyncio.run(_until_signalled(doctor.run(_load(flags)))) else 1
        case _ if namespace.check:
            sys.stdout.write(f"{_summary(_load(flags))}\n")
        case _:
            asyncio.run(_until_signalled(_serve(partial(_load, flags))))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="workspace-exporter",
        description="Prometheus exporter for the sessions and users of Huawei Cloud Workspace.",
        epilog="Every flag may also be set in the configuration file, or as an environment variable: "
        "WORKSPACE_EXPORTER_POLL__INTERVAL is --poll.interval.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"workspace-exporter {__version__}")
    parser.add_argument(
        "--config.check",
        dest="check",
        action="store_true",
        help="Read the whole configuration, ask nobody, and end with every mistake named.",
    )
    config.add_flags(parser)
    commands = parser.add_subparsers(dest="command", metavar="doctor|demo|simulate", title="instead of watching")
    doctor_parser = commands.add_parser(
        "doctor",
        help="Ask the configured cloud once, and say line by line what works and what to do.",
        description="Asks each configured endpoint once: name and TLS, clock, credentials, every IAM permission, one "
        "user's answer and the call budget. Exit code 0 if nothing failed. Changes nothing, and names no user.",
        allow_abbrev=False,
    )
    config.add_flags(doctor_parser)
    demo_parser = commands.add_parser(
        "demo",
        help="Watch a simulated cloud: no account, no configuration file, no network.",
        description="The exporter against a simulated cloud. Its settings are the demo's own, under the flags below.",
        allow_abbrev=False,
    )
    config.add_flags(demo_parser)
    simulate.add_arguments(
        commands.add_parser(
            "simulate",
            help="Serve only the simulated cloud, for other clients.",
            description="The simulated cloud alone: sessions, users, IAM and an ECS's metadata at one address.",
            allow_abbrev=False,
        )
    )
    return parser


def _load(flags: Mapping[str, str]) -> config.Settings:
    """Return the settings, the SDK's credential chain giving a project id where one is left out. Raises ConfigError."""
    try:
        link, broken = chain.first_link(os.environ), None
    except (OSError, ValueError) as error:
        link, broken = None, error
    settings = config.load(flags, os.environ, default_project_id=link.project_id if link else None)
    if broken and any(project.auth == config.Auth() for project in settings.projects):
        raise config.ConfigError([config.Mistake("the SDK's credentials", "", str(broken))])
    return settings


def _summary(settings: config.Settings) -> str:
    valid = f"The configuration is valid: {_listed(settings.projects)}."
    if settings.shard.total == 1:
        return valid
    watched = f"{len(settings.watched)} of {len(settings.projects)} projects"
    if settings.watched:
        watched += f": {_listed(settings.watched)}"
    shard = f"shard.index {settings.shard.index} of shard.total {settings.shard.total}"
    return f"{valid}\nWith {shard} it watches {watched}."


def _listed(projects: Sequence[config.Project]) -> str:
    counts = [(project.name, len(project.users)) for project in projects]
    return ", ".join(f"{name} with {users} user{'' if users == 1 else 's'}" for name, users in counts)


async def _serve(load: Callable[[], config.Settings]) -> None:
    settings = load()
    logs.configure(settings.log)
    hangup = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
    async with exporting(settings, load) as running:
        while True:
            await hangup.wait()
            hangup.clear()
            with contextlib.suppress(config.ConfigError):  # which is in the log
                await running.reload()


async def _without_reload(work: Coroutine[None, None, None]) -> None:
    """The work of a command that has no configuration file: SIGHUP does not end it, and is answered in the log."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _tell_nothing_to_reload)
    await work


def _tell_nothing_to_reload() -> None:
    _logger.warning("nothing_to_reload", reason="this command reads no configuration file")


async def _until_signalled(work: Coroutine[None, None, T]) -> T | None:
    """What the work comes to; on SIGTERM or SIGINT it ends its own way, and comes to None."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    return None
