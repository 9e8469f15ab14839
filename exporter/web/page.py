"""The page for a person who opens the exporter's address in a browser. Pure: status in, HTML out."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from exporter import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.status import OperationStatus, ProjectStatus

_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid #8884 }
"""


def render(telemetry_path: str, statuses: Sequence[ProjectStatus]) -> str:
    """The whole page."""
    rows = "\n".join(row for status in statuses for row in _rows(status))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Huawei Cloud Workspace exporter</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Huawei Cloud Workspace exporter</h1>
<p>Version {escape(__version__)}. <a href="{escape(telemetry_path)}">Metrics</a>,
<a href="/-/healthy">health</a>, <a href="/-/ready">readiness</a>.</p>
<table>
<thead>
<tr><th>Project</th><th>Operation</th><th>Users answered</th><th>Round under way</th><th>Last round</th></tr>
</thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""


def _rows(status: ProjectStatus) -> Iterator[str]:
    for name, operation in status.operations.items():
        cells = (
            status.project,
            name,
            f"{operation.fresh} of {status.configured}",
            _current(operation),
            _last(operation),
        )
        yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _current(operation: OperationStatus) -> str:
    current = operation.rounds.current
    return f"{current.asked} of {current.users} asked" if current else "none"


def _last(operation: OperationStatus) -> str:
    last, duration = operation.rounds.last, operation.rounds.last_duration
    if last is None or duration is None:
        return "none yet"
    failures = ", ".join(f"{outcome}: {users}" for outcome, users in last.failed.most_common())
    return f"{duration:.1f} s, {f'failed ({failures})' if failures else 'all answered'}"
