"""``python -m benchmarks``: runs benchmarks, says how far they are, and prints and writes what they find."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, table
from benchmarks.machine import load, machine
from benchmarks.plan import QUICK, Plan, Tell

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = ("calls", "freshness", "client", "scrape", "footprint", "start", "growth", "starts", "detection", "chain")
Benchmark = Callable[[Plan, Tell], Iterator[Figure]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments name; always 0, since benchmarks report and judge nobody."""
    wanted = _parser().parse_args(arguments)
    plan = QUICK if wanted.quick else Plan()
    plan = replace(
        plan,
        **{
            name: value
            for name in ("users", "fleets", "samples", "rounds", "doubled")
            if (value := getattr(wanted, name))
        },
    )
    facts = machine() | {"load before": load()}
    _say("\n".join(f"{name}: {value}" for name, value in facts.items()))
    figures: list[Figure] = []
    try:
        for name in wanted.benchmarks or NAMES:
            for figure in measured(name, plan):
                figures.append(figure)
                _say(f"{'':>10} {table([figure]).splitlines()[-1]}")
    except KeyboardInterrupt:
        _say("\ninterrupted: this is what was found before")
    _say(f"\n{table(figures)}")
    if wanted.json:
        report = {"machine": facts | {"load after": load()}, "figures": [figure.as_json() for figure in figures]}
        wanted.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
        _say(f"\nwritten to {wanted.json}")
    return 0


def measured(name: str, plan: Plan) -> Iterator[Figure]:
    """What a benchmark finds, until it fails."""
    began = time.monotonic()

    def tell(text: str) -> None:
        _say(f"[{time.monotonic() - began:6.1f} s] {name}: {text}")

    tell("begins")
    benchmark: Benchmark = import_module(f"benchmarks.{name}").run
    try:
        yield from benchmark(plan, tell)
    except Exception as error:  # noqa: BLE001 - the other benchmarks are still worth running
        tell(f"FAILED: {type(error).__name__}: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measures the exporter; judges nobody.")
    add = parser.add_argument
    add("benchmarks", nargs="*", choices=[*NAMES, []], metavar="BENCHMARK", help=f"of {', '.join(NAMES)}; default: all")
    add("--quick", action="store_true", help="small sizes and few rounds, in a few minutes")
    add("--users", type=_numbers, help="sizes of fleets, as in 200,1000")
    add("--fleets", type=_numbers, help="sizes of fleets for starts and detection, as in 150,10000")
    add("--samples", type=_numbers, help="sizes of expositions, as in 1000,10000")
    add("--doubled", type=_numbers, help="sizes for growth, each twice the one before, as in 500,1000,2000")
    add("--rounds", type=int, help="of alternatives that are measured in turns")
    add("--json", type=Path, help="file for all figures")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.replace("_", "").split(","))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
