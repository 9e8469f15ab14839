"""The command-line values of the simulator: each parser says in its error what it would have taken."""

import re
from argparse import ArgumentTypeError

from exporter.simulator.faults import Fault, Latency, parse_faults

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LARGEST_PORT = 65535


def listen_address(text: str) -> tuple[str, int]:
    """Read `host:port`, `[::1]:port` or `:port`."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdecimal() or int(port) > LARGEST_PORT or (":" in bare and bare == host):
        raise ArgumentTypeError(f"{text!r} is no address: write HOST:PORT, such as 127.0.0.1:10098 or [::1]:10098")
    return bare or "0.0.0.0", int(port)  # noqa: S104 - who leaves the host out asks for every interface


def duration(text: str) -> float:
    """Read a Prometheus duration (`50ms`, `1h30m`) or a plain number of seconds."""
    parts = re.findall(r"(\d+)(ms|[smhd])", text)
    if parts and "".join(map("".join, parts)) == text:
        return sum(int(count) * UNITS[unit] for count, unit in parts)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    raise ArgumentTypeError(f"{text!r} is no duration: write 50ms, 30s, 5m, 1h30m or a number of seconds")


def latency(text: str) -> Latency:
    """Read `DURATION` or `DURATION:JITTER`."""
    seconds, _, jitter = text.partition(":")
    return Latency(duration(seconds), duration(jitter or "0"))


def faults(text: str) -> tuple[Fault, ...]:
    """Read a list of faults."""
    try:
        return parse_faults(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def count(text: str) -> int:
    """Read a whole number, 0 or more."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} must be a whole number, 0 or more")
    return int(text)


def speed(text: str) -> float:
    """Read simulated seconds per second, 0 or more."""
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise ArgumentTypeError(f"{text!r} must be a number, 0 (frozen) or more")
    return float(text)


def ratio(text: str) -> float:
    """Read a share from 0 to 1."""
    if not re.fullmatch(r"0(\.\d+)?|1(\.0+)?", text):
        raise ArgumentTypeError(f"{text!r} must be a number from 0 to 1")
    return float(text)
