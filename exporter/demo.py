"""`workspace-exporter demo`: the exporter against the embedded simulator, without any setup."""

import asyncio
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TextIO

from exporter.app import exporting
from exporter.config import Layer, Settings, build, flag_layer
from exporter.fleet import DOCUMENTED_STATES, UNKNOWN
from exporter.logs import configure
from exporter.runner import Exporter
from exporter.simulator import DEMO_PROJECT_ID, DEMO_TOKEN, Latency, Script, Simulator, SimulatorOptions
from exporter.simulator.generated import GeneratedPopulation
from exporter.simulator.simulation import OfficeHours

USERS = 60
SPEED = 60.0  # simulated seconds per second
_RATE_LIMIT = 1200  # requests per minute: all users in 3 seconds, compared with 20 in the real cloud

_INCIDENTS = Script(at=2 * 3600.0, duration=1800.0, days=sys.maxsize)
"""Two minutes after the start, then once in every work day, which takes ten minutes; each for half a minute."""

_INTRODUCTION = """
The exporter watches {users} users of a simulated cloud at {cloud}, where a minute passes each second.
A work day takes ten minutes, nights and weekends only half a minute. Two minutes from now, and then every ten
minutes, a server group loses its servers for half a minute, and sessions fail to start there.

  the numbers   {address}/metrics
  a page        {address}/
  end it        Ctrl-C
"""
_LINE_INTERVAL = 1.0  # seconds between two lines on the terminal
_LINES_PER_HEADER = 20
_BAR_WIDTH = 8
_CYCLE_WIDTH = _BAR_WIDTH + len(f" {USERS}/{USERS}")
_LOST = "\n  -- {group} has lost its servers: sessions fail to start there, see InitFail --\n\n"
_BACK = "\n  -- {group} has its servers back; failed sessions remain listed for a while --\n\n"
_HEADER = f"\n  {'cycle':{_CYCLE_WIDTH}} {' '.join(DOCUMENTED_STATES)} starts failures locked expired\n"


def demo_settings(cloud: str, flags: Mapping[str, str]) -> Settings:
    """Return the demo's settings, overridden by the flags. Raises ConfigError."""
    project = {
        "name": "demo",
        "project_id": DEMO_PROJECT_ID,
        "endpoints": {"sessions": cloud, "users": cloud, "iam": cloud},
        "auth": {"token": DEMO_TOKEN},
        "discover": [{"all": True}],
    }
    defaults = {
        "projects": [project],
        "poll": {"interval": "5s", "user_interval": "10s", "rate_limit": _RATE_LIMIT},
        "web": {"listen_address": "127.0.0.1:10099"},
        "log": {"level": "warning", "format": "console"},
    }
    return build(flag_layer(flags), Layer("demo", defaults))


async def run(flags: Mapping[str, str], out: TextIO = sys.stdout) -> None:
    """Simulate, poll and serve until cancelled, with the numbers on the terminal. Raises ConfigError and OSError."""
    population = GeneratedPopulation(1, USERS, OfficeHours(time.time(), SPEED), script=_INCIDENTS)
    cloud = Simulator(SimulatorOptions(quota=_RATE_LIMIT, latency=Latency(0.03, 0.02)), population=population)
    os.environ["no_proxy"] = "*"  # the simulated cloud is this process
    async with cloud.serve() as url:
        settings = demo_settings(url, flags)
        configure(settings.log)
        async with exporting(settings) as running:
            out.write(_INTRODUCTION.format(users=USERS, cloud=url, address=running.address))
            without: Sequence[str] = ()
            for line in itertools.count():
                before, without = without, population.groups_without_servers(time.time())
                header = "" if line % _LINES_PER_HEADER else _HEADER
                try:
                    out.write(_events(before, without) + header + _progress(running.exporter))
                    out.flush()
                except BrokenPipeError:  # nobody reads any more
                    return
                await asyncio.sleep(_LINE_INTERVAL)


def _events(before: Sequence[str], after: Sequence[str]) -> str:
    """Return what has happened to the server groups, by those without servers before and after it."""
    lost = [_LOST.format(group=group) for group in after if group not in before]
    return "".join([*lost, *(_BACK.format(group=group) for group in before if group not in after)])


def _progress(exporter: Exporter) -> str:
    """Return a line with the progress of the polling cycle and the current numbers."""
    (status,) = exporter.published.projects
    (sessions, *_) = status.operations.values()
    states = Counter[str]()
    for kind, count in status.counts.sessions.items():
        state = kind.session_state or UNKNOWN
        states[state] += count
    numbers = [
        *((name, states[name] if status.sessions_known else "-") for name in DOCUMENTED_STATES),
        ("starts", status.attempts.starts.total),
        ("failures", status.attempts.failures.total),
        ("locked", status.counts.locked if status.accounts_known else "-"),
        ("expired", status.counts.expired if status.accounts_known else "-"),
    ]
    columns = " ".join(f"{number:>{len(name)}}" for name, number in numbers)
    shown = sessions.cycles.current or sessions.cycles.last
    polled = shown.done if shown else 0
    bar = "█" * (_BAR_WIDTH * polled // max(status.configured, 1))
    cycle = f"{bar:░<{_BAR_WIDTH}} {polled}/{status.configured}"
    return f"  {cycle:{_CYCLE_WIDTH}} {columns}\n"
