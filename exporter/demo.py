"""`workspace-exporter demo`: the exporter against the embedded simulator, without any setup."""

import asyncio
import itertools
import os
import sys
from collections import Counter
from collections.abc import Mapping
from typing import TextIO

from exporter.app import exporting
from exporter.config import Layer, Settings, build, flag_layer
from exporter.fleet import DOCUMENTED_STATES
from exporter.logs import configure
from exporter.runner import Exporter
from exporter.simulator import DEMO_PROJECT_ID, DEMO_TOKEN, Latency, Script, Simulator, SimulatorOptions

USERS = 60
SPEED = 60.0  # simulated seconds per second
_RATE_LIMIT = 1200  # requests per minute: all users in 3 seconds, compared with 20 in the real cloud

_INCIDENT = Script(at=2 * 3600.0, duration=1800.0)  # two minutes after the start, for half a minute
_EVENTS = {  # messages by the number of the line that they precede
    120: "\n  -- sessions of one server group begin to fail: see InitFail --\n\n",
    150: "\n  -- sessions start again; failed ones remain listed for a while --\n\n",
}
_INTRODUCTION = """
The exporter watches {users} users of a simulated cloud at {cloud}, where a minute passes each second.
Two minutes from now, the sessions of one server group will fail to start for half a minute.

  the numbers   {address}/metrics
  a page        {address}/
  end it        Ctrl-C
"""
_LINE_INTERVAL = 1.0  # seconds between two lines on the terminal
_LINES_PER_HEADER = 20
_BAR_WIDTH = 8
_CYCLE_WIDTH = _BAR_WIDTH + len(f" {USERS}/{USERS}")
_HEADER = f"\n  {'cycle':{_CYCLE_WIDTH}} {' '.join(DOCUMENTED_STATES)} failures locked expired\n"


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
    latency = Latency(0.03, 0.02)
    cloud = Simulator(
        SimulatorOptions(users=USERS, speed=SPEED, incident=_INCIDENT, quota=_RATE_LIMIT, latency=latency)
    )
    os.environ["no_proxy"] = "*"  # the simulated cloud is this process
    async with cloud.serve() as url:
        settings = demo_settings(url, flags)
        configure(settings.log)
        async with exporting(settings) as running:
            out.write(_INTRODUCTION.format(users=USERS, cloud=url, address=running.address))
            for line in itertools.count():
                header = "" if line % _LINES_PER_HEADER else _HEADER
                try:
                    out.write(_EVENTS.get(line, "") + header + _progress(running.exporter))
                    out.flush()
                except BrokenPipeError:  # nobody reads any more
                    return
                await asyncio.sleep(_LINE_INTERVAL)


def _progress(exporter: Exporter) -> str:
    """Return a line with the progress of the polling cycle and the current numbers."""
    (status,) = exporter.statuses
    (sessions, *_) = status.operations.values()
    states = Counter[str]()
    for (state, _, _), count in status.counts.sessions.items():
        states[state] += count
    numbers = [
        *((name, states[name] if status.sessions_known else "-") for name in DOCUMENTED_STATES),
        ("failures", status.init_failures.total),
        ("locked", status.counts.locked if status.accounts_known else "-"),
        ("expired", status.counts.expired if status.accounts_known else "-"),
    ]
    columns = " ".join(f"{number:>{len(name)}}" for name, number in numbers)
    shown = sessions.cycles.current or sessions.cycles.last
    polled = shown.done if shown else 0
    bar = "█" * (_BAR_WIDTH * polled // max(status.configured, 1))
    cycle = f"{bar:░<{_BAR_WIDTH}} {polled}/{status.configured}"
    return f"  {cycle:{_CYCLE_WIDTH}} {columns}\n"
