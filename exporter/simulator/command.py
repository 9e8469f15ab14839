"""`workspace-exporter simulate`: the simulator alone, for trying clients and dashboards."""

import asyncio
import os
import socket
import sys
from argparse import ArgumentParser, Namespace
from contextlib import AsyncExitStack
from textwrap import indent

from exporter.simulator import arguments
from exporter.simulator.credentials import DEMO_REGION
from exporter.simulator.incidents import Script
from exporter.simulator.server import authority
from exporter.simulator.simulator import Simulator, SimulatorOptions

MOST_NAMES_SHOWN = 200
NAMES_A_LINE = 8


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the flags of `simulate`."""
    default = SimulatorOptions()
    incident = Script(at=0)
    add = parser.add_argument
    add(
        "--listen-address",
        type=arguments.listen_address,
        default="127.0.0.1:10098",
        metavar="HOST:PORT",
        help="where all services answer (%(default)s)",
    )
    add("--seed", type=arguments.count, default=default.seed, help="the same seed lives the same day (%(default)s)")
    add("--users", type=arguments.count, default=default.users, help="how many users there are (%(default)s)")
    add(
        "--speed",
        type=arguments.speed,
        default=default.speed,
        help="simulated seconds per second; 0: frozen (%(default)s)",
    )
    add(
        "--quota",
        type=arguments.count,
        default=default.quota,
        help="calls a minute per operation; 0: any number (%(default)s)",
    )
    add(
        "--faults",
        type=arguments.faults,
        default=default.faults,
        metavar="[OPERATION:]KIND=RATIO,…",
        help="what goes wrong how often: an HTTP status, hang, reset or garbage, as in 429=0.01,ListUserDetail:503=1",
    )
    add(
        "--latency",
        type=arguments.latency,
        default=default.latency,
        metavar="DURATION[:JITTER]",
        help="the time to an answer, as in 50ms:20ms (at once)",
    )
    add(
        "--incident-at",
        type=arguments.duration,
        metavar="DURATION",
        help="log-ins at one server group begin to fail so much simulated time after the start; default: at random",
    )
    add(
        "--incident-duration",
        type=arguments.duration,
        default=incident.duration,
        metavar="DURATION",
        help="how long it lasts, in simulated time (15m)",
    )
    add(
        "--incident-ratio",
        type=arguments.ratio,
        default=incident.ratio,
        help="the share of its log-ins that fails (%(default)s)",
    )


def options_of(namespace: Namespace) -> SimulatorOptions:
    """The simulated cloud that the flags describe."""
    script = None
    if namespace.incident_at is not None:
        script = Script(namespace.incident_at, namespace.incident_duration, namespace.incident_ratio)
    return SimulatorOptions(
        seed=namespace.seed,
        users=namespace.users,
        speed=namespace.speed,
        incident=script,
        quota=namespace.quota,
        faults=namespace.faults,
        latency=namespace.latency,
    )


async def run(namespace: Namespace) -> None:
    """Serve until cancelled, after saying on the terminal what to do with it.

    Raises:
        OSError: the address cannot be had; with a remedy.
    """
    simulator = Simulator(options_of(namespace))
    host, port = namespace.listen_address
    async with AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(simulator.serve(host, port))
        except OSError as error:
            reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
            remedy = "choose another address with --listen-address"
            raise OSError(f"cannot listen on {authority(host, port)}: {reason}; {remedy}") from error
        sys.stdout.write(f"{instructions(simulator, url)}\n{configuration(simulator, url)}")
        sys.stdout.flush()
        await asyncio.Event().wait()


def instructions(simulator: Simulator, url: str) -> str:
    """What a person needs to use the simulator at this URL, as comments of the configuration below."""
    account = simulator.options.account
    names = simulator.population.names()
    someone = names[0] if names else "nobody"
    question = f"/v1/{account.project_id}/session/user-session-info?user_name={someone}"
    text = f"""\
The simulated Huawei Cloud Workspace answers at {url}

  project id   {account.project_id}
  access key   {account.access_key}
  secret key   {account.secret_key}
  user         {account.username} of {account.domain}, password {account.password}
  token        {account.token}

Ask it:

  curl -H 'X-Auth-Token: {account.token}' '{url}{question}'

Let the exporter watch it: all of this is a configuration file, to be saved as it is.
"""
    return indent(text, "# ")


def configuration(simulator: Simulator, url: str) -> str:
    """A configuration file for the exporter that watches every simulated user (or the first two hundred)."""
    account = simulator.options.account
    names = simulator.population.names()
    shown = names[:MOST_NAMES_SHOWN]
    lines = [", ".join(shown[begin : begin + NAMES_A_LINE]) for begin in range(0, len(shown), NAMES_A_LINE)]
    listed = "".join(f"\n      {line}," for line in lines)
    more = (
        f"  # these are {len(shown)} of {len(names)} users; and so on, up to {names[-1]}"
        if len(names) > len(shown)
        else ""
    )
    return f"""\
projects:
  - name: simulator
    region: {DEMO_REGION}
    project_id: {account.project_id}
    endpoints:
      sessions: {url}
      users: {url}
      iam: {url}
      metadata: {url}
    auth:
      access_key: {account.access_key}
      secret_key: {account.secret_key}
    users: [{listed}
    ]{more}
"""
