"""The whole chain: a cloud in which session starts fail, the exporter, Prometheus, Alertmanager, and a receiver.

Prometheus and Alertmanager are Debian's, with the configuration of deploy/, in which every timing is shortened by one
factor; the cloud's time and the exporter's polling are as much faster.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from support.chain import alertmanager, prometheus
from support.exporters import project, running, settings, until
from support.monitoring import webhook

from exporter import runner
from exporter.simulator import Script, Simulator, SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.simulator.schema import SessionInfo

SPEED = 30.0
INCIDENT = Script(at=120.0, duration=300.0)
POLL = {"interval": 60 / SPEED, "user_interval": 300 / SPEED, "rate_limit": 180 * SPEED, "stale_after": 60}
"""The default polling, so much faster. On a busy machine an answer may come late, and must not be stale by then."""

INIT_FAIL_SPIKE, BUDGET_BURN = "WorkspaceInitFailSpike", "WorkspaceSessionStartBudgetBurn"
BUSY = {"WorkspaceExporterDown", "WorkspaceExporterFlapping"}
"""What fires where the machine is too busy to answer scrapes in half a second."""


class HeldClock:
    """A clock that stands still until it is let go."""

    def __init__(self) -> None:
        self._held_at = time.time()
        self.let_go_at: float | None = None

    def __call__(self) -> float:
        return self._held_at if self.let_go_at is None else self._held_at + time.time() - self.let_go_at

    def let_go(self) -> None:
        self.let_go_at = time.time()

    def wall(self, shown: float) -> float:
        """When, in seconds since 1970, it shows a time."""
        assert self.let_go_at is not None
        return self.let_go_at + shown - self._held_at


def failed_after(simulator: Simulator, clock: HeldClock, begin: float) -> list[float]:
    """When, in seconds since 1970, each session that the incident hit reached InitFail; to a 50th of a second."""
    moments: dict[str, float] = {}
    population, step = simulator.population, 0.02

    def failed(shown: float) -> set[str]:
        listed = (session for name in population.names() for session in population.sessions_of(name, shown))
        return {_id(session) for session in listed if session.session_state == "InitFail"}

    stood_before = failed(begin)
    for number in range(round(INCIDENT.duration / SPEED * 1.2 / step)):
        shown = begin + number * step
        for session in failed(shown) - stood_before:
            moments.setdefault(session, clock.wall(shown))
    return sorted(moments.values())


def _id(session: SessionInfo) -> str:
    return str(session.id)


@pytest.mark.timeout(360)
async def test_an_incident_is_reported_once_and_once_that_it_is_over(
    tool: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    monkeypatch.setattr(runner, "PUBLISH_INTERVAL", runner.PUBLISH_INTERVAL / SPEED)
    clock = HeldClock()
    simulator = Simulator(SimulatorOptions(users=60, speed=SPEED, incident=INCIDENT, quota=0), clock=clock)
    begin = clock() + INCIDENT.at / SPEED
    async with (
        simulator.serve() as cloud,
        running(settings(project(simulator, cloud), poll=POLL)) as exporter,
        webhook() as hook,
        alertmanager(tool, tmp_path, hook, SPEED) as receiver,
        prometheus(tool, tmp_path, urlsplit(exporter).netloc, receiver, SPEED) as server,
    ):
        recorded = "project:huaweicloud_workspace_session_start_objective:ratio"
        await until(lambda text: '"value"' in text, f"{server}/api/v1/query?query={recorded}")
        clock.let_go()
        await hook.told("on-call", "firing", 90)
        await hook.told("on-call", "resolved", 160)
        await until(lambda text: INIT_FAIL_SPIKE not in text, f"{server}/api/v1/alerts")
        await until(lambda text: INIT_FAIL_SPIKE not in text, f"http://{receiver}/api/v2/alerts")
    told = [each for each in hook.to("on-call") if not each.names <= BUSY]
    assert [(each.status, each.names) for each in told] == [
        ("firing", {INIT_FAIL_SPIKE}),
        ("resolved", {INIT_FAIL_SPIKE}),
    ]
    firing, _ = told
    assert {name for each in hook.to("team") for name in each.names} <= {*BUSY, BUDGET_BURN}
    assert {name for each in hook.to("help-desk") for name in each.names} <= {"WorkspaceAccountsExpiring"}
    (alert,) = firing.alerts
    assert alert["annotations"]["runbook_url"].endswith("/deploy/RUNBOOK.md#workspaceinitfailspike")
    assert "/d/huaweicloud-workspace-sessions?var-project=" in alert["annotations"]["dashboard_url"]
    hit = re.search(r"Users affected: (\d+)", alert["annotations"]["description"])
    assert hit, alert["annotations"]["description"]
    assert int(hit[1]) >= 3
    assert alert["labels"].keys() == {"alertname", "severity", "area", "project"}

    failures = failed_after(simulator, clock, begin)
    assert firing.at > failures[2], "told before there were three"
    for since, failure in (("first", failures[0]), ("third", failures[2])):
        seconds = firing.at - failure
        # Multiplied with the timings is what this machine took besides, so that the second figure is an upper bound.
        measured = f"{seconds:.1f}, with all timings a {SPEED:g}th; {seconds * SPEED:.0f} at most at the real ones"
        record_property(f"seconds from the {since} InitFail to the notification", measured)
