"""The command line."""

import argparse
import asyncio
import contextlib
import os
import platform
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import TypeVar

import structlog

from exporter import __version__
from exporter.app import exporting
from exporter.arguments import PROGRAM, Parser, find_mistake
from exporter.cloud.chain import PROJECT_VARIABLE, AgencyLink, find_link
from exporter.cloud.connect import ConnectionSpec, check_proxies
from exporter.cloud.proxy import UnusableProxyError, socks_variables
from exporter.cloud.transport import tls_context
from exporter.config import ConfigError, Log, Mistake, Project, Settings, add_flags, given_flags, load
from exporter.demo import run as run_demo
from exporter.doctor import run as run_doctor
from exporter.logs import configure, keep_standard_files
from exporter.simulator.command import add_arguments as add_simulator_flags
from exporter.simulator.command import run as run_simulator
from exporter.version import described, revision
from exporter.wording import counted

T = TypeVar("T")

_CHAIN = "the SDK's credentials"

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, and return the exit code."""
    keep_standard_files()
    commands = parsers()
    parser = commands[""]
    given = sys.argv[1:] if arguments is None else arguments
    if mistake := find_mistake(given, commands):
        parser.error(mistake)
    namespace = parser.parse_args(given)
    if namespace.command and namespace.check:
        parser.error(f"--config.check sends no requests and cannot be combined with {namespace.command}")
    try:
        return _run(namespace)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
    except OSError as error:
        sys.stderr.write(f"{PROGRAM}: {error}\n")
    return 1


def _run(namespace: argparse.Namespace) -> int:
    flags = given_flags(namespace)
    match namespace.command:
        case "simulate":
            configure(Log())
            asyncio.run(_until_signalled(_without_reload(run_simulator(namespace))))
        case "demo":
            asyncio.run(_until_signalled(_without_reload(run_demo(flags))))
        case "doctor":
            return _examine(_load(flags, _print_doubt))
        case _ if namespace.check:
            sys.stdout.write(f"{_summary(_load_checked(flags, _print_doubt))}\n")
        case _:
            asyncio.run(_until_signalled(_serve(partial(_load_checked, flags))))
    return 0


def _examine(settings: Settings) -> int:
    try:
        return 0 if asyncio.run(_until_signalled(run_doctor(settings))) else 1
    except* OSError as group:  # standard output is full or closed, as by `head`
        error = group.exceptions[0]
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is not written at the exit
    if isinstance(error, BrokenPipeError):
        return 1
    raise error


def parsers() -> dict[str, Parser]:
    """Return the parsers of all commands by name, and that of the exporter itself under an empty name."""
    parser = Parser(
        prog=PROGRAM,
        description="Prometheus exporter for the sessions and users of Huawei Cloud Workspace.",
        epilog="Every flag can also be set in the configuration file or as an environment variable: "
        "WORKSPACE_EXPORTER_POLL__INTERVAL is --poll.interval. Secrets have no flags, since `ps` shows flags to all.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {described()}")
    parser.add_argument(
        "--config.check",
        dest="check",
        action="store_true",
        help="Read the whole configuration without any request, report every mistake, and exit.",
    )
    add_flags(parser)
    commands = parser.add_subparsers(dest="command", metavar="doctor|demo|simulate", title="other commands")
    add_command = partial(commands.add_parser, allow_abbrev=False)
    doctor = add_command(
        "doctor",
        help="Query the configured cloud once, and report what works and what to do.",
        description="Queries each configured endpoint once and checks name and TLS, clock, credentials, each IAM "
        "permission, one user's answer and the request budget. The exit code is 0 if nothing failed. "
        "It changes nothing and names no user.",
    )
    demo = add_command(
        "demo",
        help="Run the exporter against a simulated cloud, without account, configuration file and network.",
        description="The exporter against a simulated cloud. The flags below override the demo's own settings.",
    )
    simulator = add_command(
        "simulate",
        help="Run only the simulated cloud, for other clients.",
        description="The simulated cloud alone: sessions, users and all that issues credentials, at one address.",
    )
    add_flags(doctor)
    add_flags(demo)
    add_simulator_flags(simulator)
    return {"": parser, "doctor": doctor, "demo": demo, "simulate": simulator}


def _load(flags: Mapping[str, str], warn: Callable[[Mistake], None]) -> Settings:
    """Return the settings; the SDK's credential chain gives a missing project ID. Raises ConfigError.

    ``warn`` gets everything that is valid but doubtful.
    """
    project_id = os.environ.get(PROJECT_VARIABLE)
    with contextlib.suppress(ValueError):  # the projects that rely on the chain report it
        project_id = find_link(os.environ).project_id
    return load(flags, os.environ, default_project_id=project_id or None, warn=warn)


def _load_checked(flags: Mapping[str, str], warn: Callable[[Mistake], None]) -> Settings:
    """Do the same. Raises ConfigError also for what a project relies on in the SDK's chain and the proxy variables."""
    settings = _load(flags, warn)
    mistakes, doubtful = [], set()
    tls = tls_context(settings.http.ca_file)
    for project in settings.projects:
        try:
            spec = ConnectionSpec.of(project, settings, tls)
            check_proxies(spec)
        except UnusableProxyError as error:
            mistakes.append(Mistake("environment", "", str(error)))
        except ValueError as error:
            mistakes.append(Mistake(_CHAIN, "", str(error)))
        else:
            doubtful |= {spec.link.skipped} if isinstance(spec.link, AgencyLink) and spec.link.skipped else set()
    if mistakes:
        raise ConfigError(mistakes)
    for text in socks_variables():
        warn(Mistake("environment", "", text))
    for skipped in doubtful:
        warn(Mistake(_CHAIN, "", f"the credentials file is skipped: {skipped}"))
    return settings


def _print_doubt(doubt: Mistake) -> None:
    sys.stderr.write(f"warning: {doubt}\n")


def _log_doubt(doubt: Mistake) -> None:
    _logger.warning("configuration_doubtful", doubt=str(doubt))


def _summary(settings: Settings) -> str:
    valid = f"The configuration is valid: {_listed(settings.projects)}."
    if settings.shard.total == 1:
        return valid
    watched = f"{len(settings.watched)} of {counted(len(settings.projects), 'project')}"
    if settings.watched:
        watched += f": {_listed(settings.watched)}"
    shard = f"shard.index {settings.shard.index} of shard.total {settings.shard.total}"
    return f"{valid}\nWith {shard} it watches {watched}."


def _listed(projects: Sequence[Project]) -> str:
    def watched(project: Project) -> str:
        users = _configured_users(project)
        discovered = "discovered users" if project.discover else ""
        listed = counted(users, "user") if users or not discovered else ""
        return " and ".join(filter(None, (listed, discovered)))

    return ", ".join(f"{project.name} with {watched(project)}" for project in projects)


def _configured_users(project: Project) -> int:
    return sum(not project.excludes(user.name, user.domain) for user in project.users)


def _log_start(settings: Settings) -> None:
    """Log what runs and how much it watches. The number of users is unknown before they are discovered."""
    discovering = any(project.discover for project in settings.watched)
    shard = {"shard": f"{settings.shard.index} of {settings.shard.total}"} if settings.shard.total > 1 else {}
    _logger.info(
        "starting",
        version=__version__,
        revision=revision(),
        python=platform.python_version(),
        projects=len(settings.watched),
        users="discovered later" if discovering else sum(map(_configured_users, settings.watched)),
        **shard,
    )


async def _serve(load: Callable[[Callable[[Mistake], None]], Settings]) -> None:
    doubts: list[Mistake] = []
    settings = load(doubts.append)
    configure(settings.log)
    _log_start(settings)
    for doubt in doubts:
        _log_doubt(doubt)
    hangup = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
    async with exporting(settings, partial(load, _log_doubt)) as running:
        while True:
            await hangup.wait()
            hangup.clear()
            with contextlib.suppress(ConfigError):  # it has been logged
                await running.reload()


async def _without_reload(work: Coroutine[None, None, None]) -> None:
    """Run a command without a configuration file, and answer SIGHUP with a warning."""
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGHUP, lambda: _logger.warning("nothing_to_reload", reason="this command reads no configuration file")
    )
    await work


async def _until_signalled(work: Coroutine[None, None, T]) -> T | None:
    """Return the result of the work, or None if SIGTERM or SIGINT cancelled it."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    return None
