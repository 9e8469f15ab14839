"""`workspace-exporter simulate`: only the simulator, for trying clients and dashboards."""

import asyncio
import os
import re
import socket
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from contextlib import AsyncExitStack
from textwrap import indent

from exporter.config import parse_duration
from exporter.simulator.identity import DEMO_REGION
from exporter.simulator.server import Latency, Simulator, SimulatorOptions, authority, parse_faults, parse_ratio
from exporter.simulator.simulation import Script

LARGEST_PORT = 65535
FARTHEST_UTC_OFFSET = 14  # hours

_SERVING = """\
Serving the simulated cloud at {url}; Ctrl-C ends it.
Standard output has a configuration file for it. Use the file with: workspace-exporter --config.file=FILE"""


def _listen_address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdecimal() or int(port) > LARGEST_PORT or (":" in bare and bare == host):
        raise ValueError(f"{text!r} is no address: write HOST:PORT, such as 127.0.0.1:10098 or [::1]:10098")
    return bare or "0.0.0.0", int(port)  # noqa: S104 - without a host, the server listens on every interface


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError(f"{text!r} is no duration: write 50ms, 30s, 5m, 1h30m or a number of seconds") from None


def _latency(text: str) -> Latency:
    seconds, _, jitter = text.partition(":")
    return Latency(_duration(seconds), _duration(jitter or "0"))


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} must be a whole number, 0 or more")
    return int(text)


def _speed(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError(f"{text!r} must be a number, 0 (frozen) or more")
    return float(text)


def _utc_offset(text: str) -> float:
    if not re.fullmatch(r"[+-]?\d{1,2}(\.\d+)?", text) or abs(float(text)) > FARTHEST_UTC_OFFSET:
        raise ValueError(f"{text!r} must be a number of hours from -14 to 14")
    return float(text)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the flags of `simulate`."""

    def add(flag: str, parse: Callable[[str], object], default: object, text: str, metavar: str | None = None) -> None:
        def value(given: str) -> object:
            try:
                return parse(given)
            except ValueError as error:
                raise ArgumentTypeError(str(error)) from error  # argparse hides the message of a ValueError

        parser.add_argument(flag, type=value, default=default, help=text, metavar=metavar)

    options, incident = SimulatorOptions(), Script(at=0)
    add("--listen-address", _listen_address, "127.0.0.1:10098", "address of all services (%(default)s)", "HOST:PORT")
    add("--seed", _count, options.seed, "seed of all random decisions; the same seed repeats the day (%(default)s)")
    add("--users", _count, options.users, "number of users (%(default)s)")
    text = "hours by which the times of ListSessionByUserName are ahead of UTC, such as -5 (%(default)g)"
    add("--utc-offset", _utc_offset, options.utc_offset, text, "HOURS")
    text = "users who leave in a simulated hour, and as many join (%(default)s)"
    add("--turnover", _count, options.turnover, text)
    text = "users, at most half of them, with the name of another user, in a second domain (%(default)s)"
    add("--namesakes", _count, options.namesakes, text)
    add("--speed", _speed, options.speed, "simulated seconds per second, 0 = frozen (%(default)s)")
    add("--quota", _count, options.quota, "requests a minute per operation, 0 = unlimited (%(default)s)")
    text = "faults and their ratios: an HTTP status, hang, reset or garbage, such as 429=0.01,ListUserDetail:503=1"
    add("--faults", parse_faults, options.faults, text, "[OPERATION:]KIND=RATIO,…")
    add("--latency", _latency, options.latency, "delay of answers, such as 50ms:20ms (none)", "DURATION[:JITTER]")
    text = "start of an incident at one server group, in simulated time after the start (random)"
    add("--incident-at", _duration, None, text, "DURATION")
    add("--incident-duration", _duration, incident.duration, "simulated duration of the incident (15m)", "DURATION")
    add("--incident-ratio", parse_ratio, incident.ratio, "ratio of failing session starts in it (%(default)s)", "RATIO")


def options_of(namespace: Namespace) -> SimulatorOptions:
    """Return the simulator's options that the flags describe."""
    flags = vars(namespace)
    at, duration, ratio = (flags[f"incident_{name}"] for name in ("at", "duration", "ratio"))
    names = ("seed", "users", "turnover", "namesakes", "speed", "utc_offset", "quota", "faults", "latency")
    options = {name: flags[name] for name in names}
    return SimulatorOptions(incident=None if at is None else Script(at, duration, ratio), **options)


async def run(namespace: Namespace) -> None:
    """Serve until cancelled, and print how to use the simulator. Raises OSError with a remedy."""
    simulator = Simulator(options_of(namespace))
    simulator.population.entries(time.time())  # plans the sessions of all users, which takes a while for many
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
        if not sys.stdout.isatty():
            sys.stderr.write(f"{_SERVING.format(url=url)}\n")
        await asyncio.Event().wait()


def instructions(simulator: Simulator, url: str) -> str:
    """Return how to use the simulator at a URL, as comments of a configuration file."""
    account = simulator.options.account
    name = next(iter(simulator.population.names()), "nobody")
    target = f"/v1/{account.project_id}/session/user-session-info?user_name={name}"
    text = f"""\
The simulated Huawei Cloud Workspace answers at {url}

  project id   {account.project_id}
  access key   {account.access_key}
  secret key   {account.secret_key}
  user         {account.username} of {account.domain}, password {account.password}
  token        {account.token}

Send a request:

  curl -H 'X-Auth-Token: {account.token}' '{url}{target}'

Without auth in the configuration, the exporter uses the SDK's credential chain. To try its links, delete auth below,
and use a new shell for each link, because the first one that is configured wins:

  export HUAWEICLOUD_SDK_IAM_ENDPOINT={url} HUAWEICLOUD_SDK_STS_ENDPOINT={url}
  export HUAWEICLOUD_SDK_PROJECT_ID={account.project_id}
  echo {account.id_token} > id-token; echo {account.pod_token} > pod-token

  OIDC
    export HUAWEICLOUD_OIDC_PROVIDER_URN={account.provider_urn}
    export HUAWEICLOUD_OIDC_AGENCY_URN={account.agency_urn}
    export HUAWEICLOUD_OIDC_TOKEN_FILE=id-token
  identity provider
    export HUAWEICLOUD_SDK_IDP_ID={account.idp_id} HUAWEICLOUD_SDK_ID_TOKEN_FILE=id-token
  keys
    export HUAWEICLOUD_SDK_AK={account.access_key}
    export HUAWEICLOUD_SDK_SK={account.secret_key}
  agency of an ECS: nothing, the configuration below has its endpoint
  agency of a pod: also set endpoints.metadata below to http://127.0.0.1:9, so that there is no ECS
    export HC_CONTAINER_CREDENTIALS_FULL_URI={url}/v1/credentials
    export HC_CONTAINER_AUTHORIZATION_TOKEN_FILE=pod-token

This whole text is a configuration file for the exporter. Save it as it is.
"""
    return indent(text, "# ")


def configuration(simulator: Simulator, url: str) -> str:
    """Return a configuration file for the exporter, which watches every simulated user."""
    account = simulator.options.account
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
    discover:
      - all: true
"""
