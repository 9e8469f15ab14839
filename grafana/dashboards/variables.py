"""The variables at the top of a dashboard."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable, TextBoxVariable
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from exporter.metrics.exposition import PREFIX

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""The chosen data source, which all queries use."""

_LABEL_VALUES = 1  # what Grafana's editor calls such a query


def datasource() -> DatasourceVariable:
    """Return the variable for the data source."""
    return DatasourceVariable("datasource").label("Data source").type("prometheus")


def project() -> QueryVariable:
    """Return the variable for projects. `up` exists even while nothing else about a project is known."""
    return _choice("project", "Project", f"label_values({PREFIX}up, project)").all_value(".*")


def client_version() -> QueryVariable:
    """Return the variable for client versions."""
    return _session_version("client_version", "Client version")


def agent_version() -> QueryVariable:
    """Return the variable for agent versions."""
    return _session_version("agent_version", "Agent version")


def exporter_version() -> QueryVariable:
    """Return the variable for exporter versions, which limits :func:`instance`."""
    choice = _choice("exporter_version", "Exporter version", f"label_values({PREFIX}exporter_build_info, version)")
    return choice.all_value(".*")


def instance() -> QueryVariable:
    """Return the variable for exporters. It has no wildcard: all are those of the chosen versions."""
    known = f'{PREFIX}exporter_build_info{{version=~"$exporter_version"}}'
    return _choice("instance", "Exporter", f"label_values({known}, instance)")


def user() -> TextBoxVariable:
    """Return the variable for a part of a user's name."""
    return TextBoxVariable("user").label("User name contains").default_value("").current(VariableOption(False, "", ""))


def carried(variable: QueryVariable) -> QueryVariable:
    """Hide a variable of another dashboard, so that links back to it keep its value."""
    return variable.hide(VariableHide.HIDE_VARIABLE)


def _session_version(label: str, title: str) -> QueryVariable:
    known = f'{PREFIX}sessions_by_version{{project=~"$project"}}'
    return _choice(label, title, f"label_values({known}, {label})").all_value(".*")


def _choice(name: str, title: str, query: str) -> QueryVariable:
    """Return a variable for one, several or all values of a label, at first all."""
    variable = QueryVariable(name).label(title).datasource(SOURCE)
    variable.query({"qryType": _LABEL_VALUES, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"})
    variable.multi(True).include_all(True).current(VariableOption(True, ["All"], ["$__all"]))
    return variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.NATURAL_DESC)
