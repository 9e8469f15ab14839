"""`workspace-exporter demo`: the exporter against the embedded simulator, with nothing to set up."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections import Counter
from typing import TYPE_CHECKING, TextIO

from exporter import config, logs
from exporter.app import exporting
from exporter.fleet import DOCUMENTED_STATES
from exporter.simulator import DEMO_PROJECT_ID, DEMO_TOKEN, Latency, Script, Simulator, SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.app import Exporter
    from exporter.status import OperationStatus, ProjectStatus

USERS = 60
SPEED = 60.0  # a simulated minute a second
_RATE_LIMIT = 1200.0  # calls a minute: every user within 3 seconds, where the real cloud would take 20

_INCIDENT = Script(at=2 * 3600.0, duration=1800.0)  # two minutes after the start, for half a minute
_EVENTS = {
    120: "\n  -- log-ins at one server group begin to fail: see InitFail --\n\n",
    150: "\n  -- log-ins work again; what has failed stays listed for a while --\n\n",
}
"""What to say at which line."""
_LINE_INTERVAL = 1.0  # seconds between two lines on the terminal
_LINES_A_HEADER = 20
_BAR_WIDTH = 8
_ROUND_WIDTH = _BAR_WIDTH + len(f" {USERS}/{USERS}")


def settings(cloud: str, users: list[str], flags: Mapping[str, str]) -> config.Settings:
    """The demo's settings, under the flags. Raises ConfigError."""
    project = {
        "name": "demo",
        "project_id": DEMO_PROJECT_ID,
        "endpoints": {"sessions": cloud, "users": cloud, "iam": cloud},
        "auth": {"token": DEMO_TOKEN},
        "users": users,
    }
    defaults = {
        "projects": [project],
        "poll": {"interval": "5s", "user_interval": "10s", "rate_limit": _RATE_LIMIT},
        "web": {"listen_address": "127.0.0.1:10099"},
        "log": {"level": "warning", "format": "console"},
    }
    return config.build(config.flag_layer(flags), config.Layer("demo", defaults))


def simulator() -> Simulator:
    """A cloud whose time flies, with an incident to come."""
    latency = Latency(0.03, 0.02)
    options = SimulatorOptions(users=USERS, speed=SPEED, incident=_INCIDENT, quota=int(_RATE_LIMIT), latency=latency)
    return Simulator(options)


async def run(flags: Mapping[str, str], out: TextIO = sys.stdout) -> None:
    """Simulate, poll and serve until cancelled, with the numbers on the terminal. Raises ConfigError and OSError."""
    cloud = simulator()
    async with cloud.serve() as url:
        demo_settings = settings(url, list(cloud.population.names()), flags)
        logs.configure(demo_settings.log)
        async with exporting(demo_settings) as running:
            out.write(introduction(running.address, url))
            for line in itertools.count():
                try:
                    out.write(
                        _EVENTS.get(line, "")
                        + ("" if line % _LINES_A_HEADER else header())
                        + progress(running.exporter)
                    )
                    out.flush()
                except BrokenPipeError:  # nobody reads any more
                    return
                await asyncio.sleep(_LINE_INTERVAL)


def introduction(address: str, cloud: str) -> str:
    """What to open, and what the lines below mean."""
    return f"""
The exporter watches {USERS} users of a simulated cloud at {cloud}, where a minute passes each second.
Two minutes from now, log-ins at one server group begin to fail for half a minute.

  the numbers   {address}/metrics
  a page        {address}/
  end it        Ctrl-C
"""


def header() -> str:
    """The names of the columns that :func:`progress` fills."""
    return f"\n  {'round':{_ROUND_WIDTH}} {' '.join(DOCUMENTED_STATES)} failures locked expired\n"


def progress(exporter: Exporter) -> str:
    """A line for the terminal on how the round goes and what the numbers are."""
    (status,) = exporter.statuses
    (sessions, *_) = status.operations.values()
    states = Counter[str]()
    for (state, _, _), count in status.counts.sessions.items():
        states[state] += count
    known, accounts_known = status.sessions_known, status.accounts_known
    numbers = [
        *((name, states[name] if known else "-") for name in DOCUMENTED_STATES),
        ("failures", status.init_failures.total),
        ("locked", status.counts.locked if accounts_known else "-"),
        ("expired", status.counts.expired if accounts_known else "-"),
    ]
    columns = " ".join(f"{number:>{len(name)}}" for name, number in numbers)
    return f"  {_round(sessions, status):{_ROUND_WIDTH}} {columns}\n"


def _round(operation: OperationStatus, status: ProjectStatus) -> str:
    rounds = operation.rounds
    shown = rounds.current or rounds.last
    asked = shown.asked if shown else 0
    filled = _BAR_WIDTH * asked // max(status.configured, 1)
    return f"{'█' * filled}{'░' * (_BAR_WIDTH - filled)} {asked}/{status.configured}"
