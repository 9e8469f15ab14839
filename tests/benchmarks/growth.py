"""What the other benchmarks find as users, or samples, double: the ratio, where 2 means in proportion."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks import calls, footprint, freshness, scrape
from benchmarks.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.plan import Plan, Tell

NAME = "growth"


def run(plan: Plan, tell: Tell) -> Iterator[Figure]:
    """The mean ratio of a doubling, of each figure that has a size."""
    sizes = replace(plan, users=plan.doubled, samples=plan.doubled)
    for benchmark in (calls, freshness, scrape, footprint):
        found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        for figure in benchmark.run(sizes, lambda text, name=benchmark.NAME: tell(f"{name}: {text}")):
            if figure.size:
                found[figure.of, figure.what].append(figure.value)
        for (of, what), values in found.items():
            if len(values) == len(plan.doubled) > 1 and values[0] > 0:
                ratio = (values[-1] / values[0]) ** (1 / (len(values) - 1))
                span = f"{plan.doubled[0]:,} to {plan.doubled[-1]:,} {of}"
                yield Figure(NAME, f"{benchmark.NAME}, {what}: {span}, a doubling", ratio, "times")
