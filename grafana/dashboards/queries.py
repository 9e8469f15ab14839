"""PromQL over the exporter's metrics, put together the same way everywhere.

Gauges are taken once a project before anything is added up: while one exporter takes over from another, and where two
watch the same project, both tell the same. Counters are added up over all exporters: each counts what it has seen.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from exporter.metrics.exposition import PREFIX
from exporter.metrics.families import DESCRIPTIONS

MINIMUM_STEP = "1m"
"""Scrapes further apart than this are too rare; Grafana makes ``$__rate_interval`` four times as long."""

_LABELS = {description.name: description.labels for description in DESCRIPTIONS}


def series(name: str, where: str = "") -> str:
    """Select a metric of the chosen projects; ``where`` holds further matchers."""
    matchers = ", ".join(filter(None, ('project=~"$project"', where)))
    return f"{PREFIX}{name}{{{matchers}}}"


def gauge(name: str, where: str = "", of: str = "max") -> str:
    """Each project's gauge, once: of several exporters' the largest, or the smallest with ``of="min"``."""
    return f"{of} by ({', '.join(('project', *_LABELS[name]))}) ({series(name, where)})"


def covered(where: str = "") -> str:
    """Each project's share of users with a fresh answer about sessions, and about accounts.

    Both are told in bulk and one by one: the better covered of the two counts.
    """
    coverage = gauge("poll_coverage_ratio", where, of="min")
    return f'max by (project, kind) (label_replace({coverage}, "kind", "$1", "operation", "List(Session|User).*"))'


def total(name: str, *by: str, where: str = "") -> str:
    """A gauge added up over all labels but these."""
    return f"sum{_by(by)} ({gauge(name, where)})"


def increase(name: str, *by: str, window: str, where: str = "") -> str:
    """How often a counter that is there from the start has counted within the window."""
    return f"sum{_by(by)} (increase({series(name, where)}[{window}]))"


def appearances(name: str, by: str, window: str) -> str:
    """The same for a counter whose series begin with the first event, which increase() alone would not see.

    The counter over all of them is there from the start, and tells a series that begins from one that comes back after
    a gap: it was there before the window as well, or has begun within it.
    """
    counter, all_of_them = series(name), series(f"{name.partition('_by_')[0]}_total")
    born = (
        f"({counter} unless last_over_time({counter}[1h] offset {window}) and on (job, instance, project) "
        f"(last_over_time({all_of_them}[1h] offset {window}) or min_over_time({all_of_them}[{window}]) == 0))"
    )
    return f"sum by ({by}) ({born} or increase({counter}[{window}]))"


def per_minute(name: str, *by: str, where: str = "") -> str:
    """Events a minute."""
    return f"60 * sum{_by(by)} (rate({series(name, where)}[$__rate_interval]))"


def share(part: str, whole: str) -> str:
    """A ratio, without what has nothing to be a share of."""
    return f"{part} / ({whole} > 0)"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def now(expression: str, legend: str = "") -> Dataquery:
    """What is so at the end of the time shown."""
    return Dataquery().expr(expression).instant().legend_format(legend or "__auto")


def over_time(expression: str, legend: str = "", step: str = MINIMUM_STEP) -> Dataquery:
    """What has been so all the time shown."""
    return Dataquery().expr(expression).range().legend_format(legend or "__auto").interval(step)


def rows(expression: str) -> Dataquery:
    """What is so at the end of the time shown, a row a series."""
    return Dataquery().expr(expression).instant().format(PromQueryFormat.TABLE)


def buckets(expression: str) -> Dataquery:
    """A histogram's buckets over time."""
    return over_time(expression, "{{le}}").format(PromQueryFormat.HEATMAP)
