"""The whole chain: a cloud where log-ins fail, the exporter, Prometheus, Alertmanager, and whoever is told.

Prometheus and Alertmanager are Debian's, with the configuration of deploy/, in which every timing is shortened by one
factor; the cloud's time and the exporter's polling are as much faster.
"""

from __future__ import annotations

import re
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from support.deployment import ALERTMANAGER, PROMETHEUS, RULES, document, scaled, write
from support.exporters import project, running, settings, until
from support.monitoring import Webhook, free_port, process, webhook

from exporter import runner
from exporter.simulator import Script, Simulator, SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from exporter.simulator.schema import SessionInfo

SPEED = 40.0
INCIDENT = Script(at=120.0, duration=300.0)
POLL = {"interval": 60 / SPEED, "user_interval": 300 / SPEED, "rate_limit": 180 * SPEED}
"""The default polling, so much faster."""

INIT_FAIL_SPIKE = "WorkspaceInitFailSpike"


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


@asynccontextmanager
async def alertmanager(tool: Callable[[str], str], directory: Path, hook: Webhook) -> AsyncIterator[str]:
    """Alertmanager with our configuration; what it would tell its receivers, it tells the webhook."""
    wanted = scaled(document(ALERTMANAGER / "alertmanager.yml"), SPEED)
    wanted["templates"] = [str(ALERTMANAGER / "templates" / "*.tmpl")]
    for receiver in wanted["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{hook.url}/{receiver['name']}", "send_resolved": True}]
    write(directory / "alertmanager.yml", wanted)
    port = free_port()
    command = [
        tool("prometheus-alertmanager"),
        f"--config.file={directory}/alertmanager.yml",
        f"--storage.path={directory}/alertmanager",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    async with process(tool("setpriv"), directory / "alertmanager.log", *command, port=port) as address:
        yield address


@asynccontextmanager
async def prometheus(
    tool: Callable[[str], str], directory: Path, exporter: str, alertmanager: str
) -> AsyncIterator[str]:
    """Prometheus with our configuration and rules, which scrapes this exporter and tells this Alertmanager."""
    for path in RULES:
        write(directory / path.name, scaled(document(path), SPEED))
    wanted = scaled(document(PROMETHEUS / "prometheus.yml"), SPEED)
    wanted["global"]["scrape_timeout"] = wanted["global"]["scrape_interval"]  # the machine may be busy
    wanted["rule_files"] = [str(directory / path.name) for path in RULES]
    wanted["scrape_configs"][0]["static_configs"] = [{"targets": [exporter]}]
    wanted["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    write(directory / "prometheus.yml", wanted)
    port = free_port()
    command = [
        tool("prometheus"),
        f"--config.file={directory}/prometheus.yml",
        f"--storage.tsdb.path={directory}/prometheus",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    async with process(tool("setpriv"), directory / "prometheus.log", *command, port=port) as address:
        yield f"http://{address}"


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


@pytest.mark.timeout(240)
async def test_an_incident_is_told_once_and_once_that_it_is_over(
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
        alertmanager(tool, tmp_path, hook) as receiver,
        prometheus(tool, tmp_path, urlsplit(exporter).netloc, receiver) as server,
    ):
        recorded = "instance_project:huaweicloud_workspace_session_init_failures:increase10m"
        await until(lambda text: '"value"' in text, f"{server}/api/v1/query?query={recorded}")
        clock.let_go()
        await hook.told("on-call", "firing", 60)
        await hook.told("on-call", "resolved", 120)
        await until(lambda text: "InitFail" not in text, f"{server}/api/v1/alerts")
        await until(lambda text: "InitFail" not in text, f"http://{receiver}/api/v2/alerts")
    firing, over = hook.to("on-call")
    assert (firing.status, firing.names) == ("firing", {INIT_FAIL_SPIKE})
    assert (over.status, over.names) == ("resolved", {INIT_FAIL_SPIKE})
    assert hook.to("team") == []
    assert {name for each in hook.to("help-desk") for name in each.names} <= {"WorkspaceAccountsExpiring"}
    (alert,) = firing.alerts
    assert alert["annotations"]["runbook_url"] == "deploy/RUNBOOK.md#workspaceinitfailspike"
    hit = re.search(r"Users hit: (\d+)", alert["annotations"]["description"])
    assert hit, alert["annotations"]["description"]
    assert int(hit[1]) >= 3
    assert alert["labels"].keys() == {"alertname", "severity", "area", "job", "instance", "project"}

    failures = failed_after(simulator, clock, begin)
    assert firing.at > failures[4], "told before there were five"
    for since, failure in (("first", failures[0]), ("fifth", failures[4])):
        seconds = firing.at - failure
        # Multiplied with the timings is what this machine took besides, so that the second figure is an upper bound.
        measured = f"{seconds:.1f}, with all timings a {SPEED:g}th; {seconds * SPEED:.0f} at most at the real ones"
        record_property(f"seconds from the {since} InitFail to the notification", measured)
