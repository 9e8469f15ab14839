"""Scrapes while the same process polls at full speed: ours against prometheus_client's own handler.

Each contender is an exporter at work on a cloud, in a process of its own; the other one's rests meanwhile. In ours the
samples are those of the users; in the other's they are a gauge's, beside an exporter that polls just as much.

And publishes alone, in this process: all users new, 1 % of them changed, nothing changed.
"""

from __future__ import annotations

import contextlib
import random
import socket
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmarks.crowd import user_id, user_name
from benchmarks.exporter_process import ExporterProcess, configuration, exporter_process
from benchmarks.figures import Figure
from benchmarks.footprint import FULL_SPEED
from benchmarks.served import Cloud, served
from prometheus_client.registry import CollectorRegistry

from exporter.cloud.models import ListedSession, Session, UserDetail
from exporter.cloud.telemetry import Telemetry
from exporter.config import Metrics
from exporter.fleet import Fleet, Watched
from exporter.metrics.exposition import Exposition
from exporter.metrics.families import render, user_lines
from exporter.metrics.labels import Labelling
from exporter.polling.cycles import Cycles
from exporter.polling.source import Source
from exporter.status import OperationStatus, ProcessStatus, ProjectStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.plan import Plan, Tell

NAME = "scrape"
SAMPLES_OF_TARGET = 100_000
MOST_P99 = 10.0
MOST_OF_OTHER = 1 / 20
SAMPLES_A_USER = 7
"""Roughly, of our own: missing, locked, expired, disabled, the end of the account, sessions by state, clients."""
AT_LEAST_OF_UNCHANGED = 10.0  # times the processor time of a publish without changes that one of all users takes

_LONGEST_PAUSE = 0.03  # seconds between two scrapes, so that they meet every moment of polling and publishing
_SETTLING = 0.3
_ENCODINGS = ("identity", "gzip")
_OURS, _OTHER = "exporter", "prometheus_client"
_PROCESS = ProcessStatus("1", "unknown", "3", loaded_at=0.0)


@dataclass
class Found:
    """What a contender's scrapes took, in seconds, and how long their answers were."""

    first_bytes: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    length: int = 0


def run(plan: Plan, tell: Tell) -> Iterator[Figure]:
    """Time to the first byte and to the last of scrapes of each size, compressed and not."""
    for samples in plan.samples:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            tell(f"{samples:,} samples: both poll all users once")
            contenders, had = _contenders(stack, Path(folder), samples, plan.seconds)
            tell(f"{samples:,} samples: the exporter has {had:,}")
            found = {(name, encoding): Found() for name in contenders for encoding in _ENCODINGS}
            for number in range(1, plan.turns + 1):
                for name, process in contenders.items():
                    _scraped(process, {encoding: found[name, encoding] for encoding in _ENCODINGS}, plan)
                tell(f"{samples:,} samples: round {number} of {plan.turns}")
        yield from _figures(samples, found)
        tell(f"{samples:,} samples: publishes with and without changes")
        yield from _publishes(samples, plan.rounds)


def _contenders(
    stack: contextlib.ExitStack, folder: Path, samples: int, seconds: float
) -> tuple[dict[str, ExporterProcess], int]:
    """Both, standing still; and how many samples ours has."""
    users = max(samples // SAMPLES_A_USER, 1)
    cloud = stack.enter_context(served(Cloud(users=users, sessions=users)))
    everybody = [(user_name(number), user_id(number)) for number in range(users)]
    poll = {**FULL_SPEED, "timeout": "10m"}  # so that calls outlast the rests
    made: dict[str, ExporterProcess] = {}
    had = 0
    for name, per_user in ((_OURS, "all"), (_OTHER, "none")):
        folder.joinpath(name).mkdir()
        file = configuration(folder / name, cloud, everybody, poll=poll, metrics={"per_user": per_user})
        made[name] = stack.enter_context(exporter_process(file, 0 if name == _OURS else had))
        made[name].ask("ready")
        if name == _OURS:
            had = made[name].ask("watch", seconds=min(seconds, 3.0))["samples"]
        made[name].stop()
    return made, had


def _scraped(process: ExporterProcess, found: dict[str, Found], plan: Plan) -> None:
    """Scrape a contender for a while, with each encoding in turn."""
    address = urlsplit(process.address)
    process.go_on()
    time.sleep(_SETTLING)
    dice = random.Random(1)  # noqa: S311 - not for secrets
    end = time.perf_counter() + plan.seconds
    with contextlib.closing(socket.create_connection((address.hostname, address.port or 0), timeout=60)) as line:
        scrapes = 0
        while scrapes < len(found) or (time.perf_counter() < end and scrapes < plan.scrapes):
            for encoding, each in found.items():
                time.sleep(dice.uniform(0, _LONGEST_PAUSE))
                _scrape(line, encoding, each)
                scrapes += 1
    process.stop()


def _scrape(line: socket.socket, encoding: str, found: Found) -> None:
    head = f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain\r\nAccept-Encoding: {encoding}\r\n\r\n"
    began = time.perf_counter()
    line.sendall(head.encode())
    got = line.recv(1 << 20)
    first = time.perf_counter()
    while b"\r\n\r\n" not in got:
        got += line.recv(1 << 20)
    told, _, body = got.partition(b"\r\n\r\n")
    length = next(int(field[15:]) for field in told.lower().split(b"\r\n") if field.startswith(b"content-length:"))
    missing = length - len(body)
    while missing > 0:
        missing -= len(line.recv(1 << 20))
    found.first_bytes.append(first - began)
    found.whole.append(time.perf_counter() - began)
    found.length = length


def _figures(samples: int, found: dict[tuple[str, str], Found]) -> Iterator[Figure]:
    is_target = samples == SAMPLES_OF_TARGET
    for (name, encoding), each in found.items():
        what = f"{encoding}, {name}"
        most = MOST_P99 if is_target and name == _OURS else None
        yield Figure(NAME, f"{what}: first byte, p50", _ms(each.first_bytes, 0.5), "ms", samples, "samples")
        yield Figure(
            NAME, f"{what}: first byte, p99", _ms(each.first_bytes, 0.99), "ms", samples, "samples", at_most=most
        )
        rate = each.length / statistics.median(each.whole) / 1e6
        yield Figure(NAME, f"{what}: length", each.length / 1e6, "MB", samples, "samples")
        yield Figure(NAME, f"{what}: throughput", rate, "MB/s", samples, "samples")
    for encoding in _ENCODINGS:
        ours, other = (_ms(found[name, encoding].first_bytes, 0.99) for name in (_OURS, _OTHER))
        most = MOST_OF_OTHER if is_target else None
        what = f"{encoding}: p99 of first byte, {_OURS} / {_OTHER}"
        yield Figure(NAME, what, ours / other, "", samples, "samples", at_most=most)


def _publishes(samples: int, rounds: int) -> Iterator[Figure]:
    """CPU time of publishes, each after the change in its name."""
    users = max(samples // SAMPLES_A_USER, 1)
    fleet = Fleet(Watched(user_name(number), user_id(number)) for number in range(users))
    labelling, lines, exposition = Labelling.of(Metrics()), user_lines(), Exposition(CollectorRegistry())

    def publish() -> float:
        began = time.process_time()
        exposition.publish(render([_status(fleet)], labelling, _PROCESS, lines))
        return time.process_time() - began

    def change(step: int, at: int) -> None:
        """Give every ``step``th user a new session, and a lock or none."""
        for number in range(0, users, step):
            member = fleet.members[number]
            session = Session.of(f"{number}-{at}", "Active", f"24.{number % 5}.2", "24.7.0", client_type="Windows")
            fleet.sessions_answered(member, [ListedSession(None, session)], at)
            account = UserDetail(locked=at % 2 == 0, user_expired=False, disabled=False, account_expires=at)
            fleet.account_answered(member, account, at)

    found: dict[str, list[float]] = {"all users changed": [], "1 % of the users changed": [], "nothing changed": []}
    for at in range(1, 2 * rounds, 2):
        for what, step in (("all users changed", 1), ("1 % of the users changed", 100)):
            change(step, at + (step > 1))
            found[what].append(publish())
        found["nothing changed"].append(publish())
    medians = {what: statistics.median(seconds) for what, seconds in found.items()}
    for what, seconds in medians.items():
        yield Figure(NAME, f"publish, {what}", seconds * 1e3, "ms CPU", samples, "samples")
    is_target = samples == SAMPLES_OF_TARGET
    yield Figure(
        NAME,
        "publish, all users changed / nothing changed",
        medians["all users changed"] / medians["nothing changed"],
        "",
        samples,
        "samples",
        at_least=AT_LEAST_OF_UNCHANGED if is_target else None,
    )


def _status(fleet: Fleet) -> ProjectStatus:
    counts = fleet.counts()
    operation = OperationStatus(Cycles(), 60.0, 1, counts.queried)
    return ProjectStatus(
        project="demo",
        taken_at=0.0,
        counts=counts,
        users=fleet.users(),
        attempts=fleet.attempts.copy(),
        account_locks=fleet.account_locks,
        operations={"ListSessionByUserName": operation},
        source=Source("per_user", "few users"),
        up=True,
        ready=True,
        paused=False,
        rate_limit=180.0,
        telemetry=Telemetry(),
        credentials_expire_at=None,
    )


def _ms(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1e3
