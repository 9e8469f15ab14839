"""Writes the tables that follow from the code and the rules into the documents.

`python tests/support/readme.py CONFIGURATION.md METRICS.md deploy/RUNBOOK.md deploy/prometheus/tests/SCENES.md`
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from support.deployment import alerts_table, tried_table
from support.questions import QUESTIONS, query

from exporter.config.catalog import all_settings
from exporter.metrics.families import DESCRIPTIONS, PROJECT_DESCRIPTIONS


def settings_table() -> str:
    """Return the Markdown table of every setting, its default and its meaning."""
    table = "| setting | default | meaning |\n|---|---|---|\n"
    for setting in all_settings():
        default = f"`{setting.default}`" if setting.default else "required" if setting.field.is_required() else ""
        cells = [each.replace("|", "\\|") for each in (f"`{setting.path}`", default, setting.meaning)]
        table += f"| {' | '.join(cells)} |\n"
    return table


def metrics_table() -> str:
    """Return the Markdown table of every metric that is the exporter's own."""
    of_projects = {description.name for description in PROJECT_DESCRIPTIONS}
    rows = (
        f"| `{d.name}` | {d.kind} | {', '.join(f'`{name}`' for name in _labels(d.name in of_projects, d.labels))} "
        f"| {d.help} |\n"
        for d in DESCRIPTIONS
    )
    return "| metric | type | labels | meaning |\n|---|---|---|---|\n" + "".join(rows)


def questions_table() -> str:
    """Return the Markdown table of the question that each metric answers, and of the query for it."""
    rows = (
        f"| `{d.name}` | {QUESTIONS[d.name][0]} | `{query(d.name).replace('|', chr(92) + '|')}` |\n"
        for d in DESCRIPTIONS
    )
    return "| metric | question | query |\n|---|---|---|\n" + "".join(rows)


def _labels(of_projects: bool, labels: tuple[str, ...]) -> tuple[str, ...]:
    return ("project", *labels) if of_projects else labels


TABLES = {
    "CONFIGURATION.md": {"settings": settings_table},
    "METRICS.md": {"metrics": metrics_table, "questions": questions_table},
    "RUNBOOK.md": {"alerts": alerts_table},
    "SCENES.md": {"tried": tried_table},
}


def with_tables(text: str, file: str) -> str:
    """Return the text with new tables between the markers `<!-- name -->` and `<!-- /name -->`."""
    for name, table in TABLES[file].items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"{file} has no {begin.strip()} … {end}")
        text = pattern.sub(f"{begin}\n{table()}\n{end}".replace("\\", r"\\"), text)
    return text


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(with_tables(path.read_text("utf-8"), path.name), "utf-8")
