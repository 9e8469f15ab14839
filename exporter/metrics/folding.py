"""Labels with few values, whatever the cloud sends."""

from collections.abc import Iterator, Mapping
from heapq import nsmallest
from itertools import islice
from typing import Any

from exporter.fleet import DOCUMENTED_STATES, SERVER_STATUSES
from exporter.metrics.family import Family
from exporter.metrics.labels import Samples

_DOCUMENTED = {"session_state": DOCUMENTED_STATES, "status": SERVER_STATUSES}
"""Labels with values that the API reference lists. These values keep their names, and MAX_NEW_VALUES others."""

MAX_NEW_VALUES = 20
FOLDED_LABELS = (
    *("session_state", "client_version", "agent_version", "client_type", "failed_code"),
    *("app_server_group_id", "app_server_group_name", "status"),
)
"""Labels with values from the cloud. A metric has at most ``metrics.max_label_values`` values of the others."""

_SAMPLES_A_STEP = 2000


class Folding:
    """The samples of one project's metrics with rare label values combined into ``other``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.samples: dict[str, Samples] = {}  # by name of the metric
        self.kept: dict[str, frozenset[str]] = {}  # by label, for the gauges that were folded
        self.beyond = dict.fromkeys(FOLDED_LABELS, 0)  # how many values of each label became `other`

    def add(self, family: Family[Any], samples: Samples) -> Iterator[None]:
        """Fold the samples of a metric, in steps that stay short however many values the cloud sends.

        A gauge keeps the values with the highest totals. A counter keeps those seen first: a series must not vanish.
        """
        for position, label in enumerate(family.labels):
            if label not in self.beyond:
                continue
            totals: dict[str, float] = {}
            for values, value in samples.items():
                totals[values[position]] = totals.get(values[position], 0) + (value or 0)
            yield
            keep = self._keep(label, family.kind, totals)
            if beyond := len(totals.keys() - keep):
                self.beyond[label] = max(beyond, self.beyond[label])
                if family.kind == "gauge":
                    self.kept[label] = keep
                folded: dict[tuple[str, ...], float] = {}
                rest = iter(samples.items())
                while some := list(islice(rest, _SAMPLES_A_STEP)):
                    family.fold(some, {position: keep}, folded)
                    yield
                samples = folded
            yield
        self.samples[family.name] = samples

    def _keep(self, label: str, kind: str, totals: Mapping[str, float]) -> frozenset[str]:
        if documented := _DOCUMENTED.get(label):
            return frozenset((*documented, *nsmallest(MAX_NEW_VALUES, totals.keys() - set(documented))))
        if kind == "counter" or len(totals) <= self._most:
            return frozenset(islice(totals, self._most))
        return frozenset(nsmallest(self._most, totals, key=lambda value: (-totals[value], value)))
