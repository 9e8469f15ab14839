"""What can be chosen at the top of a dashboard."""

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
"""Every query asks the chosen data source."""

_LABEL_VALUES = 1  # what Grafana's editor calls such a query


def datasource() -> DatasourceVariable:
    """Which Prometheus."""
    return DatasourceVariable("datasource").label("Data source").type("prometheus")


def project() -> QueryVariable:
    """Which projects; `up` is there even while nothing else is known of a project."""
    return _choice("project", "Project", f"label_values({PREFIX}up, project)").all_value(".*")


def client_version() -> QueryVariable:
    """Which versions of the client."""
    return _session_version("client_version", "Client version")


def agent_version() -> QueryVariable:
    """Which versions of the agent."""
    return _session_version("agent_version", "Agent version")


def exporter_version() -> QueryVariable:
    """Which versions of the exporter; narrows :func:`instance`."""
    choice = _choice("exporter_version", "Exporter version", f"label_values({PREFIX}exporter_build_info, version)")
    return choice.all_value(".*")


def instance() -> QueryVariable:
    """Which exporters. All of them are those of the chosen versions, so that there is no wildcard."""
    known = f'{PREFIX}exporter_build_info{{version=~"$exporter_version"}}'
    return _choice("instance", "Exporter", f"label_values({known}, instance)")


def user() -> TextBoxVariable:
    """A part of a user's name."""
    return TextBoxVariable("user").label("User name contains").default_value("").current(VariableOption(False, "", ""))


def carried(variable: QueryVariable) -> QueryVariable:
    """Unseen and unused here, so that the way back to the dashboard that has it keeps what was chosen there."""
    return variable.hide(VariableHide.HIDE_VARIABLE)


def _session_version(label: str, title: str) -> QueryVariable:
    known = f'{PREFIX}sessions_by_version{{project=~"$project"}}'
    return _choice(label, title, f"label_values({known}, {label})").all_value(".*")


def _choice(name: str, title: str, query: str) -> QueryVariable:
    """One, several or all values of a label in the time shown; all at first."""
    variable = QueryVariable(name).label(title).datasource(SOURCE)
    variable.query({"qryType": _LABEL_VALUES, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"})
    variable.multi(True).include_all(True).current(VariableOption(True, ["All"], ["$__all"]))
    return variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.NATURAL_DESC)
