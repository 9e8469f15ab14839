"""The command: every project examined, told in the configuration's order while it goes on."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, TextIO

from exporter.cloud.client import LIST_SESSION_BY_USER_NAME, LIST_USER_DETAIL
from exporter.cloud.connect import lockable
from exporter.cloud.transport import tls_context
from exporter.doctor import budget
from exporter.doctor.budget import Demand
from exporter.doctor.examination import Surroundings, Trust, examine
from exporter.doctor.findings import Finding, Verdict, summary

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
    await examine(project, trust, surroundings, queue.put_nowait)
    for finding in _call_budget(project, surroundings.settings):
        queue.put_nowait(finding)
    queue.put_nowait(None)


def _call_budget(project: config.Project, settings: config.Settings) -> list[Finding]:
    """Whether the calls fit; projects with the same credentials are of one account, and share its quota."""
    others = [other for other in settings.projects if other is not project and other.auth == project.auth]
    operations = {
        LIST_SESSION_BY_USER_NAME: ("poll.interval", settings.poll.interval),
        LIST_USER_DETAIL: ("poll.user_interval", settings.poll.user_interval),
    }
    limit = settings.poll.rate_limit
    return [
        budget.judge(
            operation,
            setting,
            Demand(len(project.users), interval, limit),
            sum(Demand(len(other.users), interval, limit).made for other in others),
        )
        for operation, (setting, interval) in operations.items()
    ]


def _write(out: TextIO, line: str) -> None:
    out.write(f"{line}\n")
    out.flush()
