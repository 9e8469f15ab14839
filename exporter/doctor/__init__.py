"""`workspace-exporter doctor`: queries the real endpoints once, and reports what works and how to fix what does not.

:mod:`.examination` and :mod:`.endpoints` send the requests; the other modules turn the answers into findings.
"""

import asyncio
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import TextIO

from exporter.cloud.transport import tls_context
from exporter.config import Settings
from exporter.doctor.budget import Budget
from exporter.doctor.examination import Context, Examination, SharedCredentials
from exporter.doctor.findings import Finding, Verdict, summary

__all__ = ["run"]


async def run(settings: Settings, out: TextIO | None = None, now: Callable[[], float] = time.time) -> bool:
    """Examine all projects at once, and write the findings in the configuration's order. Return whether none failed.

    Raises:
        OSError: http.ca_file cannot be used.
    """
    out = out or sys.stdout
    counts: Counter[Verdict] = Counter()

    def report(finding: Finding) -> None:
        counts[finding.verdict] += 1
        print(finding, file=out, flush=True)

    tls, budget = tls_context(settings.http.ca_file), Budget(settings)
    shared: dict[object, SharedCredentials] = defaultdict(SharedCredentials)
    async with asyncio.TaskGroup() as tasks:
        context = Context(settings, tls, now, tasks, budget)
        examinations = {
            project.name: Examination(project, shared[budget.keys[project.name]], context)
            for project in settings.watched
        }
        for project in settings.watched:
            print(f"project {project.name}", file=out, flush=True)
            while finding := await examinations[project.name].findings.get():
                report(finding)
            for other in budget.sharing(project):
                await examinations[other.name].task
            for finding in budget.findings(project):
                report(finding)
    print(summary(counts), file=out, flush=True)
    return not counts[Verdict.FAIL]
