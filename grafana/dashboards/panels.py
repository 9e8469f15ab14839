"""The kinds of panels, each set up the same way on every dashboard."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING, TypeVar

from grafana_foundation_sdk.builders import barchart, bargauge, common, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import DashboardLink, FieldColor
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BarGaugeNamePlacement,
    BarGaugeSizing,
    BarGaugeValueMode,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TableAutoCellOptions,
    TableCellHeight,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, DynamicConfigValue, FieldColorModeId

from dashboards import colours
from dashboards.variables import SOURCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
    from grafana_foundation_sdk.builders.prometheus import Dataquery
    from grafana_foundation_sdk.models.dashboard import ValueMapping

Panel = TypeVar(
    "Panel",
    stat.Panel,
    bargauge.Panel,
    timeseries.Panel,
    statetimeline.Panel,
    barchart.Panel,
    table.Panel,
)
Coloured = TypeVar("Coloured", bargauge.Panel, timeseries.Panel)


NARROWEST = 60
"""Minimum width of a table's column in pixels. With Grafana's default of 150, columns are cut off."""


@dataclass(frozen=True, kw_only=True)
class About:
    """The common properties of a panel: its texts, unit, thresholds, and size in 24ths and rows.

    ``empty`` is what it shows without data, ``follow`` the links that open from its values. Tables have no unit: it
    would apply to texts, too. They have units by column. Without thresholds, no number is better than another.
    """

    title: str
    description: str
    unit: str = ""
    empty: str
    thresholds: ThresholdsConfig | None = None
    span: int
    height: int = 8
    follow: tuple[DashboardLink, ...] = ()


def _about(panel: Panel, about: About, queries: Sequence[Dataquery]) -> Panel:
    targets = [query.ref_id(letter) for letter, query in zip(ascii_uppercase, queries, strict=False)]
    panel.title(about.title).description(about.description).no_value(about.empty)
    if about.unit:
        panel.unit(about.unit)
    panel.span(about.span).height(about.height).datasource(SOURCE)
    panel.thresholds(about.thresholds or colours.neutral())
    panel.color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS)).data_links(list(about.follow))
    return panel.targets([target.datasource(SOURCE) for target in targets])


def number(about: About, *queries: Dataquery, unknown: str = "unknown") -> stat.Panel:
    """Return a panel with one big number, or a few.

    Good and bad values fill their field with colour. Others have no background. Unknown values are grey.
    """
    panel = _about(stat.Panel(), about, queries).mappings([colours.absent(unknown)])
    panel.color_mode(BigValueColorMode.BACKGROUND_SOLID if about.thresholds else BigValueColorMode.NONE)
    panel.graph_mode(BigValueGraphMode.NONE).text_mode(BigValueTextMode.AUTO).wide_layout(True)
    return panel.reduce_options(_last())


def moderate(panel: stat.Panel) -> stat.Panel:
    """Limit the size of numbers that are no news."""
    return panel.text(common.VizTextDisplayOptions().title_size(16).value_size(40))


def bars(about: About, *queries: Dataquery) -> bargauge.Panel:
    """Return a panel with a horizontal bar for each series."""
    panel = _about(bargauge.Panel(), about, queries).orientation(VizOrientation.HORIZONTAL)
    panel.mappings([colours.absent()]).display_mode(BarGaugeDisplayMode.BASIC).value_mode(BarGaugeValueMode.COLOR)
    panel.text(common.VizTextDisplayOptions().title_size(14).value_size(20)).name_placement(BarGaugeNamePlacement.TOP)
    panel.sizing(BarGaugeSizing.MANUAL).max_viz_height(44)
    return panel.show_unfilled(True).reduce_options(_last()).min(0)


def lines(about: About, *queries: Dataquery) -> timeseries.Panel:
    """Return a graph with a line for each series."""
    panel = _about(timeseries.Panel(), about, queries).color_scheme(FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC))
    panel.line_width(2).fill_opacity(5).show_points(VisibilityMode.NEVER).axis_soft_min(0)
    panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    return panel.legend(_legend(["lastNotNull", "max"]))


def bounded(panel: timeseries.Panel) -> timeseries.Panel:
    """Draw the graph's thresholds as dashed lines."""
    return panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))


def stacked(about: About, *queries: Dataquery) -> timeseries.Panel:
    """Return a graph with stacked areas."""
    panel = lines(about, *queries).stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    return panel.line_width(1).fill_opacity(60)


def named(panel: timeseries.Panel) -> timeseries.Panel:
    """Show only names below the graph, in the order of the queries. In a small graph, a table would be cut off."""
    return panel.legend(_names())


def by_state(panel: Coloured) -> Coloured:
    """Give each session state its colour."""
    for state, colour in colours.STATES.items():
        panel.override_by_name(state, colours.fixed(colour))
    return panel


def counts(about: About, *queries: Dataquery) -> timeseries.Panel:
    """Return a graph with stacked columns, one for each interval. The legend shows the sums."""
    # With an outline, columns of height 0 would be dashes.
    panel = stacked(about, *queries).draw_style(GraphDrawStyle.BARS).line_width(0)
    return panel.fill_opacity(90).legend(_legend(["sum"])).decimals(0)


def history(about: About, mappings: list[ValueMapping], *queries: Dataquery) -> statetimeline.Panel:
    """Return a timeline with a band for each series, with the mappings' texts and colours.

    Thresholds would replace the texts where equal neighbours are merged.
    """
    panel = _about(statetimeline.Panel(), about, queries).merge_values(True).show_value(VisibilityMode.AUTO)
    panel.color_scheme(FieldColor().mode(FieldColorModeId.FIXED).fixed_color(colours.UNKNOWN)).mappings(mappings)
    panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.SINGLE).sort(SortOrder.NONE))
    return panel.row_height(0.8).fill_opacity(100).legend(_names())


def distribution(about: About, x: str, query: Dataquery) -> barchart.Panel:
    """Return a chart with a column for each value of a field, and the number above it."""
    panel = _about(barchart.Panel(), about, [query]).x_field(x).orientation(VizOrientation.VERTICAL)
    panel.x_tick_label_spacing(25)
    panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.SINGLE).sort(SortOrder.NONE))
    return panel.legend(_hidden_legend()).show_value(VisibilityMode.ALWAYS).fill_opacity(90).decimals(0)


def listing(about: About, *queries: Dataquery) -> table.Panel:
    """Return a table with filters. Columns share its width unless :func:`column` sets their width."""
    panel = _about(table.Panel(), about, queries).cell_options(TableAutoCellOptions()).min_width(NARROWEST)
    return panel.filterable(True).cell_height(TableCellHeight.SM).show_header(True)


def counted(panel: table.Panel) -> table.Panel:
    """Show the number of rows below the table, because some of them may require scrolling."""
    return panel.footer(common.TableFooterOptions().show(True).reducer(["count"]).count_rows(True))


def coloured_by(thresholds: ThresholdsConfig) -> list[DynamicConfigValue]:
    """Return the properties of a value with its own thresholds."""
    return [DynamicConfigValue("thresholds", thresholds.build())]


def column(
    *,
    width: int | None = None,
    unit: str = "",
    decimals: int | None = None,
    thresholds: ThresholdsConfig | None = None,
    mappings: Sequence[ValueMapping] = (),
) -> list[DynamicConfigValue]:
    """Return the properties of a table's column. With thresholds or mappings, its text has their colours."""
    coloured = {"type": "color-text"} if thresholds or mappings else None
    properties = {
        "custom.width": width,
        "unit": unit or None,
        "decimals": decimals,
        "thresholds": thresholds and thresholds.build(),
        "mappings": list(mappings) or None,
        "custom.cellOptions": coloured,
    }
    return [DynamicConfigValue(name, value) for name, value in properties.items() if value is not None]


def transformation(kind: str, **options: object) -> DataTransformerConfig:
    """Return a transformation of the query's result."""
    return DataTransformerConfig(kind, options=options)


def sorted_by(column: str, *, descending: bool = False) -> DataTransformerConfig:
    """Sort rows by a column. Rows with equal values keep their order."""
    return transformation("sortBy", sort=[{"field": column, "desc": descending}])


def columns(**titles: str) -> DataTransformerConfig:
    """Keep only these columns, in this order, with these titles."""
    return transformation(
        "organize",
        renameByName=titles,
        indexByName={name: index for index, name in enumerate(titles)},
        includeByName=dict.fromkeys(titles, True),
    )


def by_number(column: str) -> list[DataTransformerConfig]:
    """Sort rows by a label with numbers, which are text."""
    return [
        _converted(column, "number"),
        transformation("sortBy", sort=[{"field": column}]),
        _converted(column, "string"),
    ]


def _converted(column: str, kind: str) -> DataTransformerConfig:
    return transformation("convertFieldType", conversions=[{"targetField": column, "destinationType": kind}])


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


_TITLES = {"lastNotNull": "Last *", "max": "Max", "mean": "Mean", "sum": "Total"}
"""The titles of calculations in a legend, which `sortBy` refers to."""


def _legend(calculations: list[str]) -> common.VizLegendOptions:
    legend = common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.TABLE)
    return (
        legend.placement(LegendPlacement.BOTTOM).calcs(calculations).sort_by(_TITLES[calculations[0]]).sort_desc(True)
    )


def _names() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
    return legend.placement(LegendPlacement.BOTTOM).calcs([])


def _hidden_legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().show_legend(False).display_mode(LegendDisplayMode.LIST)
    return legend.placement(LegendPlacement.BOTTOM).calcs([])
