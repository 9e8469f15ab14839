"""The exporter as a process: scrapes, configuration, labels, CPU and memory: a row of its dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards import colours
from dashboards.panels import About, column, columns, lines, listing, number, transformation
from dashboards.queries import gauge, now, over_time, rows
from exporter.metrics.exposition import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Panel

SILENT = "The exporter says nothing: is it running, and scraped?"

_CHOSEN = f'{PREFIX}exporter_build_info{{version=~"$exporter_version", instance=~"$instance"}}'
_HERE = 'instance=~"$instance"'


def _own(metric: str) -> str:
    """A metric that every process has, of the chosen exporters only."""
    return f"{metric} and on (job, instance) {_CHOSEN}"


def scraped() -> Iterator[Builder[Panel]]:
    """Whether Prometheus reaches the exporters, and whether they run by the configuration that they were given."""
    about = About(
        title="Exporters that answer",
        description="Share of the exporters seen within a day that Prometheus still reaches. What a dead one watched "
        "is not known.",
        unit="percentunit",
        empty="No exporter has been scraped within a day",
        thresholds=colours.below(0.5, 1),
        span=5,
        height=5,
    )
    seen = f"last_over_time({_CHOSEN}[1d])"
    yield number(about, now(f"avg (up{{{_HERE}}} and on (job, instance) {seen})")).decimals(0)
    about = About(
        title="Configuration",
        description="Whether the last reload was accepted. A refused one is told in the exporter's log, and the "
        "configuration before stays in force.",
        unit="none",
        empty=SILENT,
        thresholds=colours.below(0.5, 1),
        span=4,
        height=5,
    )
    accepted = colours.words({"1": ("in force", colours.GOOD), "0": ("refused", colours.BAD)})
    reload = _own(f"{PREFIX}exporter_config_last_reload_successful")
    yield number(about, now(f"min ({reload})")).mappings([colours.absent(), accepted])


def panels() -> Iterator[Builder[Panel]]:
    """The panels."""
    yield from _which()
    yield from _labels()
    yield from _scrapes()
    yield from _resources()


def _which() -> Iterator[Builder[Panel]]:
    about = About(
        title="Exporters",
        description="Which exporters run, since when, and when the configuration in force was loaded.",
        empty=SILENT,
        span=16,
        height=6,
    )
    started = _own("1000 * process_start_time_seconds")
    loaded = _own(f"1000 * {PREFIX}exporter_config_last_reload_success_timestamp_seconds")
    titles = {"Value #B": "Started", "Value #C": "Configuration loaded"}
    table = listing(about, rows(_CHOSEN), rows(started), rows(loaded)).transformations(
        [
            transformation("merge"),
            columns(instance="Exporter", version="Version", revision="Revision", python_version="Python", **titles),
        ]
    )
    for name in ("Started", "Configuration loaded"):
        table.override_by_name(name, column(unit="dateTimeFromNow"))
    yield table


def _labels() -> Iterator[Builder[Panel]]:
    about = About(
        title="Label values folded or cut",
        description="Values of a label beyond metrics.max_label_values that are counted together as `other`, and "
        "texts of sessions that were too long and have been cut, since the exporter's start.",
        unit="short",
        empty=SILENT,
        thresholds=colours.above(1, 100),
        span=8,
        height=6,
    )
    folded = over_time(f"max by (label) ({gauge('label_values_folded', _HERE)})", "{{label}} folded")
    cut = over_time(f"sum ({gauge('label_values_cut_total', _HERE)})", "texts cut")
    yield lines(about, folded, cut)


def _scrapes() -> Iterator[Builder[Panel]]:
    about = About(
        title="Time of a scrape",
        description="How long Prometheus waits for the exporter: milliseconds, whatever the cloud does.",
        unit="s",
        empty=SILENT,
        thresholds=colours.above(0.5, 5),
        span=12,
    )
    yield lines(about, over_time(_own("scrape_duration_seconds"), "{{instance}}"))
    about = About(
        title="Samples of a scrape",
        description="How many series the exporter has: about 70 a project, and six for each user with "
        "metrics.per_user: all. Prometheus needs some 2.3 kB of memory for each.",
        unit="short",
        empty=SILENT,
        thresholds=colours.above(50_000, 200_000),
        span=12,
    )
    yield lines(about, over_time(_own("scrape_samples_scraped"), "{{instance}}"))


def _resources() -> Iterator[Builder[Panel]]:
    about = About(
        title="CPU",
        description="Share of one core that the exporter uses.",
        unit="percentunit",
        empty=SILENT,
        thresholds=colours.above(0.5, 0.9),
        span=8,
    )
    yield lines(about, over_time(_own("rate(process_cpu_seconds_total[$__rate_interval])"), "{{instance}}"))
    about = About(
        title="Memory",
        description="Resident memory. It grows with the users and stays level after the first hour.",
        unit="bytes",
        empty=SILENT,
        thresholds=colours.above(500_000_000, 1_000_000_000),
        span=8,
    )
    yield lines(about, over_time(_own("process_resident_memory_bytes"), "{{instance}}"))
    about = About(
        title="Open files",
        description="Files and connections that the exporter has open, as a share of what it may.",
        unit="percentunit",
        empty=SILENT,
        thresholds=colours.above(0.5, 0.8),
        span=8,
    )
    yield lines(about, over_time(_own("process_open_fds / process_max_fds"), "{{instance}}"))
