"""The command: every project examined, told in the configuration's order while it goes on."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, TextIO

from exporter.cloud.connect import lockable
from exporter.cloud.transport import tls_context
from exporter.doctor.examination import Surroundings, Trust, examine
from exporter.doctor.findings import Finding, Verdict, summary
from exporter.doctor.rounds import call_budget

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter import config

_Queue = asyncio.Queue[Finding | None]


async def run(settings: config.Settings, out: TextIO | None = None, now: Callable[[], float] = time.time) -> bool:
    """Examine all projects at once, and write what comes of it; whether nothing failed.

    Raises:
        OSError: http.ca_file cannot be used.
    """
    out = out or sys.stdout
    counts: Counter[Verdict] = Counter()
    trusts = {lockable(project.auth): Trust() for project in settings.watched}
    tls = tls_context(settings.http.ca_file)
    async with asyncio.TaskGroup() as tasks:
        surroundings = Surroundings(settings, tls, now, tasks)
        queues = []
        for project in settings.watched:
            queues.append(queue := _Queue())
            tasks.create_task(_examined(project, trusts[lockable(project.auth)], surroundings, queue))
        for project, queue in zip(settings.watched, queues, strict=True):
            _write(out, f"project {project.name}")
            while finding := await queue.get():
                counts[finding.verdict] += 1
                _write(out, str(finding))
    _write(out, summary(counts))
    return not counts[Verdict.FAIL]


async def _examined(project: config.Project, trust: Trust, surroundings: Surroundings, queue: _Queue) -> None:
    totals = await examine(project, trust, surroundings, queue.put_nowait)
    for finding in call_budget(project, surroundings.settings, totals):
        queue.put_nowait(finding)
    queue.put_nowait(None)


def _write(out: TextIO, line: str) -> None:
    out.write(f"{line}\n")
    out.flush()
