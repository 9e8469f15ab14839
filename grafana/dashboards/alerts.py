"""Firing alerts of the shipped rules: a table, tiles, and annotations. Without rules, none are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery
from grafana_foundation_sdk.models.common import BigValueTextMode

from dashboards import colours, variables
from dashboards.panels import About, coloured_by, column, columns, listing, number, sorted_by
from dashboards.queries import alerts, now, rows
from exporter.metrics.exposition import PREFIX

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Panel

NONE_KNOWN = "None known: no alert fires, or Prometheus does not have the shipped rules."


def firing(span: int, height: int) -> Builder[Panel]:
    """Return a table of the firing alerts, the most severe first."""
    about = About(
        title="Firing alerts",
        description="Alerts that fire now. They require the shipped rules in Prometheus.",
        empty=NONE_KNOWN,
        span=span,
        height=height,
    )
    # The value is the severity's rank: as texts, info would come before warning.
    ranked = (_ranked(rank, severity) for rank, severity in enumerate(colours.SEVERITIES))
    table = listing(about, rows(" or ".join(ranked)))
    table.transformations(
        [
            sorted_by("Value"),
            columns(severity="Severity", alertname="Alert", project="Project", instance="Exporter"),
        ]
    )
    severities = colours.words({name: (name, colour) for name, colour in colours.SEVERITIES.items()})
    return table.override_by_name("Severity", column(width=80, mappings=[severities])).filterable(False)


def tiles(span: int, height: int) -> stat.Panel:
    """Return a tile for each firing alert of severity critical or warning."""
    about = About(
        title="Firing alerts",
        description="Alerts that fire now. They require the shipped rules in Prometheus.",
        unit="string",
        empty=NONE_KNOWN,
        thresholds=colours.only(colours.GOOD),
        span=span,
        height=height,
    )
    critical, warning = (
        f"count by (alertname, project, instance) ({alerts(f'severity={quoted}')})"
        for quoted in ('"critical"', '"warning"')
    )
    rules = f'max(project:{PREFIX}session_start_objective:ratio{{project=~"$project"}})'
    legend = "{{alertname}} {{project}} {{instance}}"
    panel = number(
        about,
        now(critical, legend),
        now(warning, legend),
        now(f"{rules} unless on () ({critical} or {warning})", "none"),
        now(f"vector(1) unless on () ({critical} or {warning} or {rules})", "none known"),
    )
    panel.override_by_query("A", coloured_by(colours.only(colours.BAD)))
    panel.override_by_query("B", coloured_by(colours.only(colours.WARNING)))
    panel.override_by_query("D", coloured_by(colours.only(colours.UNKNOWN)))
    return panel.text_mode(BigValueTextMode.NAME)


def _ranked(rank: int, severity: str) -> str:
    where = f'severity="{severity}"'
    return f"{rank} * count by (severity, alertname, project, instance) ({alerts(where)}) ^ 0"


def marked() -> AnnotationQuery:
    """Return annotations of critical alerts. Another one marks incidents, and works without rules."""
    critical = 'severity="critical", alertname!="WorkspaceInitFailSpike"'
    found = f"count by (alertname, project) ({alerts(critical)})"
    query = AnnotationQuery().name("Critical alerts").datasource(variables.SOURCE).expr(found)
    return query.enable(True).icon_color(colours.PLUM)
