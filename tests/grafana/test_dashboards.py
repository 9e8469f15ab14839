"""The dashboards as files: up to date, valid, complete, and leading to each other."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dashboards import bounds
from dashboards.colours import BAD, NEUTRAL, PALETTE, STATES, UNKNOWN, WARNING
from dashboards.files import files
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match
from support.dashboards import FOLDER, NAMES, Json, everything, load, panels, queries, used, variables
from support.deployment import rules

from exporter.fleet import DOCUMENTED_STATES
from exporter.fleet.spike import SHARE, WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMA: Json = json.loads((Path(__file__).parent / "schema" / "grafana.json").read_text("utf-8"))

EVERY = pytest.mark.parametrize("name", NAMES)


def problems(dashboard: Json) -> list[str]:
    """What Grafana's schema has against a dashboard; options and styles are checked by the kind of panel."""
    return [text for part, schema, where in _parts(dashboard) if (text := _problem(part, schema, where))]


def _parts(dashboard: Json) -> Iterator[tuple[object, Json, str]]:
    # An annotation's `expr` belongs to the data source, which this schema does not describe.
    annotations = [{k: v for k, v in each.items() if k != "expr"} for each in dashboard["annotations"]["list"]]
    yield {**dashboard, "annotations": {"list": annotations}}, SCHEMA["dashboard"], "dashboard"
    definitions = SCHEMA["dashboard"]["definitions"]
    for panel in panels(dashboard):
        title, kind = panel["title"], SCHEMA["panels"][panel["type"]]
        yield panel, {**definitions["Panel"], "definitions": definitions}, title
        yield panel["options"], kind["options"], f"{title}: options"
        yield panel["fieldConfig"]["defaults"].get("custom", {}), kind["custom"], f"{title}: custom"


def _problem(part: object, schema: Json, where: str) -> str | None:
    error = best_match(Draft7Validator(schema).iter_errors(part))
    return f"{where}: {error.json_path}: {error.message}" if error else None


def test_the_files_are_what_the_builder_makes() -> None:
    """Run `make dashboards` where this fails."""
    assert {name: (FOLDER / name).read_text("utf-8") for name in NAMES} == files()
    assert sorted(file.name for file in FOLDER.glob("*.json")) == list(NAMES)


def test_the_schema_is_that_of_the_grafana_that_the_builder_is_for() -> None:
    project = (FOLDER.parent / "pyproject.toml").read_text("utf-8")
    (built_for,) = re.findall(r"grafana-foundation-sdk==\d+!(\d+\.\d+)", project)
    assert SCHEMA["derivedFrom"].startswith(f"@grafana/schema {built_for}.")


@EVERY
def test_they_are_valid_by_grafana_s_schema(name: str) -> None:
    assert problems(load(name)) == []


def _misspell_option(dashboard: Json) -> None:
    panels(dashboard)[0]["options"]["colourMode"] = "value"


def _wrong_option(dashboard: Json) -> None:
    panels(dashboard)[0]["options"]["colorMode"] = "loud"


def _misspell_style(dashboard: Json) -> None:
    timeseries = next(panel for panel in panels(dashboard) if panel["type"] == "timeseries")
    timeseries["fieldConfig"]["defaults"]["custom"]["lineWith"] = 2


def _threshold_as_text(dashboard: Json) -> None:
    panels(dashboard)[1]["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"] = "3"


def _misspell_panel(dashboard: Json) -> None:
    panels(dashboard)[0]["descripton"] = "?"


def _no_schema_version(dashboard: Json) -> None:
    del dashboard["schemaVersion"]


def _wrong_variable(dashboard: Json) -> None:
    dashboard["templating"]["list"][0]["type"] = "database"


@pytest.mark.parametrize(
    "spoil",
    [
        _misspell_option,
        _wrong_option,
        _misspell_style,
        _threshold_as_text,
        _misspell_panel,
        _no_schema_version,
        _wrong_variable,
    ],
)
def test_the_schema_finds_what_is_wrong(spoil: Callable[[Json], None]) -> None:
    dashboard = copy.deepcopy(load("sessions.json"))
    spoil(dashboard)
    assert problems(dashboard)


@EVERY
def test_they_are_for_grafana_11_6(name: str) -> None:
    dashboard = load(name)
    assert dashboard["schemaVersion"] == 41
    assert dashboard["refresh"] == "1m"
    assert dashboard["graphTooltip"] == 1, "the crosshair is shared"
    assert "huaweicloud-workspace" in dashboard["tags"]
    assert "id" not in dashboard, "an id is the database's, and would overwrite another dashboard"


def test_their_addresses_never_change() -> None:
    """People keep bookmarks, and runbooks have links."""
    assert {name: load(name)["uid"] for name in NAMES} == {
        "exporter.json": "huaweicloud-workspace-exporter",
        "sessions.json": "huaweicloud-workspace-sessions",
        "users.json": "huaweicloud-workspace-users",
        "wall.json": "huaweicloud-workspace-wall",
    }


@EVERY
def test_every_panel_says_what_it_is(name: str) -> None:
    for panel in panels(load(name)):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert defaults.get("unit") or panel["type"] in ("table", "state-timeline"), panel["title"]
        assert defaults["noValue"], panel["title"]
        assert defaults["thresholds"]["steps"], panel["title"]
        assert panel["targets"], panel["title"]


@EVERY
def test_ids_and_titles_are_unique(name: str) -> None:
    for key in ("id", "title"):
        assert [value for value, n in Counter(part[key] for part in everything(load(name))).items() if n > 1] == []


@EVERY
def test_panels_fill_the_grid_and_do_not_overlap(name: str) -> None:
    cells = Counter[tuple[int, int]]()
    for panel in everything(load(name)):
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells.update(
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        )
    assert max(cells.values()) == 1
    assert len(cells) == 24 * (1 + max(y for _, y in cells))


@EVERY
def test_only_what_comes_with_grafana_is_needed(name: str) -> None:
    assert {panel["type"] for panel in panels(load(name))} <= SCHEMA["panels"].keys()


def _sources(part: object) -> Iterator[Any]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "datasource":
                yield value
            yield from _sources(value)
    elif isinstance(part, list):
        for value in part:
            yield from _sources(value)


@EVERY
def test_every_query_uses_the_chosen_data_source(name: str) -> None:
    dashboard = load(name)
    found = list(_sources(dashboard))
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in found)
    askers = [*panels(dashboard), *(target for panel in panels(dashboard) for target in panel["targets"])]
    assert len(found) >= len(askers)
    assert all("datasource" in asker for asker in askers)


@EVERY
def test_projects_and_versions_can_be_chosen(name: str) -> None:
    choices = variables(load(name))
    assert list(choices)[:2] == ["datasource", "project"]
    assert {"client_version", "agent_version"} <= choices.keys()
    assert choices["project"]["multi"]
    assert choices["project"]["includeAll"]


@EVERY
def test_every_variable_exists_and_is_used(name: str) -> None:
    dashboard = load(name)
    choices = variables(dashboard)
    shown = {each for each, variable in choices.items() if variable.get("hide") != 2}
    referred = used(json.dumps([dashboard["panels"], dashboard.get("annotations"), dashboard["templating"]]))
    assert referred <= choices.keys()
    assert shown <= referred
    assert all("project" in used(query.expression) for query in queries(name) if '"$project"' in query.expression)


@EVERY
def test_links_lead_to_dashboards_and_keep_what_is_chosen(name: str) -> None:
    dashboard = load(name)
    uids = {load(other)["uid"] for other in NAMES}
    links = dashboard["links"]
    assert {link["url"].removeprefix("/d/") for link in links} == uids - {dashboard["uid"]}
    assert all(link["keepTime"] and link["includeVars"] for link in links)
    for panel in panels(dashboard):
        for link in panel["fieldConfig"]["defaults"]["links"]:
            address, _, parameters = link["url"].partition("?")
            assert address.removeprefix("/d/") in uids
            assert used(parameters) <= variables(dashboard).keys()


def test_an_incident_is_the_first_thing_to_see() -> None:
    first, second, *_ = panels(load("sessions.json"))
    assert "session_init_failures_total" in first["targets"][0]["expr"]
    assert first["options"]["colorMode"] == "background_solid"
    assert first["gridPos"]["y"] == second["gridPos"]["y"] == 1


def test_the_wall_fits_on_one_screen() -> None:
    """Of 900 pixels; a row of the grid takes 38, and Grafana's head and the choices 120."""
    lowest = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels(load("wall.json")))
    assert lowest * 38 + 120 <= 900
    assert {panel["type"] for panel in panels(load("wall.json"))} == {"stat"}


def test_each_state_has_a_colour_of_its_own_in_the_same_order_in_every_panel() -> None:
    assert STATES.keys() == set(DOCUMENTED_STATES)
    assert len(set(STATES.values())) == len(STATES)
    now, over_time = (panel for panel in panels(load("sessions.json")) if panel["title"].startswith("Sessions "))
    for panel in (now, over_time):
        assert [target["legendFormat"] for target in panel["targets"]] == list(STATES)
        overrides = panel["fieldConfig"]["overrides"]
        assert {o["matcher"]["options"]: o["properties"][0]["value"]["fixedColor"] for o in overrides} == STATES


@EVERY
def test_units_in_tables_belong_to_columns(name: str) -> None:
    """A default unit applies to texts as well: "24.10" becomes "24.1", and a name as a date becomes NaN."""
    for panel in panels(load(name)):
        if panel["type"] == "table":
            defaults = panel["fieldConfig"]["defaults"]
            assert "unit" not in defaults, panel["title"]
            assert defaults["custom"]["minWidth"] == 60, panel["title"]


@EVERY
def test_legends_are_sorted_by_the_title_of_a_calculation_that_they_show(name: str) -> None:
    """Grafana ignores the calculation's id."""
    titles = {"lastNotNull": "Last *", "max": "Max", "mean": "Mean", "min": "Min", "sum": "Total"}
    for panel in panels(load(name)):
        legend = panel["options"].get("legend", {})
        if "sortBy" in legend:
            assert legend["sortBy"] in [titles[each] for each in legend["calcs"]], panel["title"]


@EVERY
def test_every_tile_shows_grey_what_is_not_known(name: str) -> None:
    for panel in panels(load(name)):
        if panel["type"] in ("stat", "bargauge"):
            found = [m["options"] for m in panel["fieldConfig"]["defaults"]["mappings"] if m["type"] == "special"]
            assert [each["match"] for each in found] == ["null+nan"], panel["title"]
            assert found[0]["result"]["color"] == UNKNOWN, panel["title"]


@EVERY
def test_a_tile_has_a_background_only_if_its_colour_means_something(name: str) -> None:
    for panel in panels(load(name)):
        if panel["type"] == "stat":
            colours = {step["color"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]}
            assert (panel["options"]["colorMode"] == "none") == (colours == {NEUTRAL}), panel["title"]


@EVERY
def test_timelines_take_their_texts_from_mappings(name: str) -> None:
    """With colours by thresholds, Grafana shows the thresholds where it merges equal neighbours."""
    for panel in panels(load(name)):
        if panel["type"] == "state-timeline":
            assert panel["fieldConfig"]["defaults"]["color"]["mode"] != "thresholds", panel["title"]
            assert panel["fieldConfig"]["defaults"]["mappings"], panel["title"]
            assert panel["options"]["legend"]["showLegend"], "a short band has no room for its text"


@EVERY
def test_columns_without_a_count_leave_no_dash(name: str) -> None:
    for panel in panels(load(name)):
        custom = panel["fieldConfig"]["defaults"].get("custom", {})
        if custom.get("drawStyle") == "bars":
            assert custom["lineWidth"] == 0, panel["title"]


@EVERY
def test_titles_fit_their_panel_in_a_window_of_800_pixels(name: str) -> None:
    """A 24th has 32 pixels; a letter some 7.2, and the icon of the description with the margins 40."""
    for panel in panels(load(name)):
        assert len(panel["title"]) * 7.2 + 40 <= panel["gridPos"]["w"] * 32 - 8, panel["title"]


@EVERY
def test_a_table_s_fixed_columns_leave_room_for_the_others_in_a_window_of_800_pixels(name: str) -> None:
    for panel in panels(load(name)):
        if panel["type"] == "table":
            properties = [each for o in panel["fieldConfig"]["overrides"] for each in o["properties"]]
            widths = [each["value"] for each in properties if each["id"] == "custom.width"]
            (organize,) = (each for each in panel["transformations"] if each["id"] == "organize")
            flexible = len(organize["options"]["includeByName"]) - len(widths)
            assert sum(widths) + flexible * 80 <= panel["gridPos"]["w"] * 32 - 24, panel["title"]


def _terms(dashboard: Json) -> Iterator[tuple[str, str]]:
    """The terms and colours of overrides by name, and of mapped texts."""
    for panel in panels(dashboard):
        config = panel["fieldConfig"]
        mappings = list(config["defaults"].get("mappings", ()))
        for override in config["overrides"]:
            for each in override["properties"]:
                if each["id"] == "color" and override["matcher"]["id"] == "byName":
                    yield override["matcher"]["options"], each["value"]["fixedColor"]
                if each["id"] == "mappings":
                    mappings += each["value"]
        for mapping in mappings:
            results = mapping["options"].values() if mapping["type"] == "value" else [mapping["options"]["result"]]
            yield from ((result["text"], result["color"]) for result in results if "color" in result)


def test_a_term_has_the_same_colour_everywhere() -> None:
    found: dict[str, set[str]] = {}
    for name in NAMES:
        for term, colour in _terms(load(name)):
            found.setdefault(term.lower(), set()).add(colour)
    assert {term: colours for term, colours in found.items() if len(colours) > 1} == {}
    assert {"initfail", "unknown", "critical"} <= found.keys()


def _luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    parts = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", sorted(PALETTE))
def test_texts_can_be_read_in_every_colour_and_on_it(colour: str) -> None:
    white, dark = "#ffffff", "#181b1f"  # also Grafana's panels in its two themes
    assert contrast(colour, white) >= 3
    assert contrast(colour, dark) >= 3


def test_bad_is_clearly_darker_than_a_warning() -> None:
    assert contrast(BAD, WARNING) > 1.85
    assert _luminance(BAD) < _luminance(WARNING)


@EVERY
def test_every_colour_belongs_to_the_palette(name: str) -> None:
    found = set(re.findall(r"#[0-9A-Fa-f]{6}\b", (FOLDER / name).read_text("utf-8")))
    assert found <= PALETTE


def test_the_dashboard_of_sessions_has_the_bounds_of_the_alert() -> None:
    succeed, *_ = panels(load("sessions.json"))
    (override,) = succeed["fieldConfig"]["overrides"]
    bad, warning, *_ = override["properties"][0]["value"]["steps"]
    assert (bad["color"], warning["color"], warning["value"]) == (BAD, WARNING, 1 - SHARE)
    assert f"[{WINDOW / 60:g}m]" in succeed["targets"][0]["expr"]


@pytest.mark.parametrize(
    ("alert", "severity", "pattern", "bound"),
    [
        ("WorkspaceInitFailSpike", "critical", r"1e-6\) >= ([\d.]+)", bounds.SPIKE_SHARE),
        ("WorkspaceSessionStartsSlow", "warning", r"\[30m\]\)\)\) > (\d+)", bounds.SLOW[0]),
        ("WorkspaceServerCapacityLow", "warning", r">= ([\d.]+)$", bounds.CAPACITY[0]),
        ("WorkspaceServerCapacityLow", "critical", r">= ([\d.]+)$", bounds.CAPACITY[1]),
        ("WorkspaceVersionRegressing", "warning", r"> (\d+) \* \(sum", bounds.REGRESSING[1]),
        ("WorkspaceVersionRegressing", "warning", r"failures:1h >= (\d+)", bounds.REGRESSING_FAILURES),
        ("WorkspaceUsersLocked", "critical", r">= (\d+) \* project", bounds.LOCKS),
        ("WorkspaceUsersLocked", "critical", r"<= (\d+) \* max_over_time", bounds.USUAL_LOCKS),
        ("WorkspaceAccountsExpiring", "info", r"< (\d+) \* 86400", bounds.SOON),
        ("WorkspaceCoverageLow", "warning", r"ratio < ([\d.]+)", bounds.COVERAGE[0]),
        ("WorkspaceNumbersStale", "warning", r"(\d+) \* huaweicloud_workspace_poll_interval", bounds.BEHIND[1]),
        ("WorkspaceCredentialsExpiring", "warning", r"< time\(\) \+ (\d+) \* 60", bounds.CREDENTIALS[0] / 60),
        ("WorkspaceClockSkew", "warning", r"> (\d+)$", bounds.SKEW[0]),
        ("WorkspaceClockSkew", "critical", r"> (\d+)$", bounds.SKEW[1]),
        ("WorkspaceThrottled", "warning", r"> ([\d.]+)$", bounds.THROTTLED[0]),
    ],
)
def test_a_bound_is_that_of_the_alert_about_the_same(alert: str, severity: str, pattern: str, bound: float) -> None:
    (found,) = (rule for rule in rules("alert") if (rule["alert"], rule["labels"]["severity"]) == (alert, severity))
    assert {float(number) for number in re.findall(pattern, found["expr"].strip())} == {bound}


@pytest.mark.parametrize(
    ("alert", "matchers"),
    [("WorkspaceSessionsStuck", bounds.STUCK), ("WorkspaceSessionsAbandoned", bounds.ABANDONED)],
)
def test_sessions_are_counted_as_by_the_alert(alert: str, matchers: str) -> None:
    (found,) = (rule for rule in rules("alert") if rule["alert"] == alert)
    assert f"sessions_by_age{{{matchers}}}" in found["expr"]


def test_graphs_of_failures_are_not_hidden_by_marks_of_failures() -> None:
    dashboard = load("sessions.json")
    titles = {panel["id"]: panel["title"] for panel in panels(dashboard)}
    graphs = {"When and where starts failed", "Session starts"}
    for annotation in dashboard["annotations"]["list"]:
        assert annotation["filter"]["exclude"]
        assert {titles[each] for each in annotation["filter"]["ids"]} == graphs


def test_every_dashboard_has_a_picture_and_all_of_them_are_small() -> None:
    pictures = {path.stem: path.stat().st_size for path in (FOLDER / "pictures").iterdir()}
    assert {f"{name}.json" for name in pictures} == set(NAMES)
    assert sum(pictures.values()) < 1_000_000
    shown = re.findall(r"\]\(pictures/(\w+)\.png\)", (FOLDER / "README.md").read_text("utf-8"))
    assert set(shown) == pictures.keys()
