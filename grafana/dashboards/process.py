"""The exporters as processes: up, configured, and their resources. Tiles and a row of the Exporter dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards import colours
from dashboards.panels import About, column, columns, lines, listing, named, number, sorted_by, transformation
from dashboards.queries import gauge, now, over_time, rows
from exporter.metrics.exposition import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Panel

SILENT = "Unknown: is the exporter running?"

_HERE = 'instance=~"$instance"'
_CHOSEN = f'{PREFIX}exporter_build_info{{version=~"$exporter_version", {_HERE}}}'


def _own(metric: str) -> str:
    """Return a metric of the chosen exporters' processes."""
    return f"({metric} and on (job, instance) {_CHOSEN})"


def _each(metric: str) -> str:
    """Return the same, once for each exporter."""
    return f"max by (instance) ({_own(metric)})"


def up() -> Builder[Panel]:
    """Return a tile with the share of exporters that Prometheus reaches."""
    about = About(
        title="Exporters up",
        description="Share of the exporters seen within a day that Prometheus reaches now. The projects of the others "
        "are not watched.",
        unit="percentunit",
        empty="No exporter has been scraped within a day",
        thresholds=colours.below(0.5, 1),
        span=6,
        height=3,
    )
    seen = f"last_over_time({_CHOSEN}[1d])"
    return number(about, now(f"avg (up{{{_HERE}}} and on (job, instance) {seen})")).decimals(0)


def configuration() -> Builder[Panel]:
    """Return a tile with the result of the last reload."""
    about = About(
        title="Last reload",
        description="Whether the last reload of the configuration was applied. If it was rejected, the previous one "
        "stays in effect, and the log shows why.",
        unit="none",
        empty=SILENT,
        thresholds=colours.below(0.5, 1),
        span=6,
        height=3,
    )
    applied = colours.words({"1": ("applied", colours.GOOD), "0": ("rejected", colours.BAD)})
    reload = _own(f"{PREFIX}exporter_config_last_reload_successful")
    return number(about, now(f"min ({reload})")).mappings([colours.absent(), applied])


def panels() -> Iterator[Builder[Panel]]:
    """Yield the panels."""
    yield _exporters()
    yield from _resources()
    yield _labels()


def _exporters() -> Builder[Panel]:
    about = About(
        title="Exporters",
        description="Running exporters. Loaded: time since the configuration was loaded. Scrape: duration of a scrape, "
        "some milliseconds. Samples: about 70 per project, and six per user with metrics.per_user: all. Prometheus "
        "needs 2.3 kB of memory for each. Files: share of the open files that the system allows.",
        empty=SILENT,
        span=24,
        height=6,
    )
    build = f"max by (instance, version, revision) ({_CHOSEN})"
    loaded = _each(f"(time() - {PREFIX}exporter_config_last_reload_success_timestamp_seconds)")
    figures = {
        "Uptime": (_each("(time() - process_start_time_seconds)"), "s", None),
        "Loaded": (loaded, "s", None),
        "Scrape": (_each("scrape_duration_seconds"), "s", None),
        "Samples": (_each("scrape_samples_scraped"), "none", 0),
        "Files": (_each("process_open_fds / process_max_fds"), "percentunit", 0),
    }
    table = listing(about, rows(build), *(rows(query) for query, _, _ in figures.values()))
    titles = {f"Value #{letter}": name for letter, name in zip("BCDEF", figures, strict=True)}
    table.transformations(
        [
            transformation("merge"),
            sorted_by("instance"),
            columns(instance="Exporter", version="Version", revision="Revision", **titles),
        ]
    )
    for name, (_, unit, decimals) in figures.items():
        table.override_by_name(name, column(unit=unit, decimals=decimals))
    return table.override_by_name("Exporter", column(width=140)).filterable(False)


def _resources() -> Iterator[Builder[Panel]]:
    about = About(
        title="CPU",
        description="Share of one core that the exporter uses.",
        unit="percentunit",
        empty=SILENT,
        span=8,
        height=7,
    )
    yield named(lines(about, over_time(_each("rate(process_cpu_seconds_total[$__rate_interval])"), "{{instance}}")))
    about = About(
        title="Memory",
        description="Resident memory. It grows with the number of users, and is level after the first hour.",
        unit="bytes",
        empty=SILENT,
        span=8,
        height=7,
    )
    yield named(lines(about, over_time(_each("process_resident_memory_bytes"), "{{instance}}")))


def _labels() -> Builder[Panel]:
    about = About(
        title="Label values combined or cut",
        description="Label values beyond metrics.max_label_values, combined into `other`, and session texts shortened "
        "since the exporter started.",
        unit="short",
        empty=SILENT,
        span=8,
        height=7,
    )
    combined = over_time(f"max by (label) ({gauge('label_values_folded', _HERE)})", "{{label}} combined")
    cut = over_time(f"sum ({gauge('label_values_cut_total', _HERE)})", "texts cut")
    return named(lines(about, combined, cut)).decimals(0)
