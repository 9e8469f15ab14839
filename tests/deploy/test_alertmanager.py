"""Alertmanager accepts the configuration, notifies the right receivers, and reports a cause instead of its effects."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from support.commands import said
from support.deployment import ALERTMANAGER, document, rules
from support.monitoring import free_port, process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIGURATION = ALERTMANAGER / "alertmanager.yml"
ALERTS = list(rules("alert"))
BY_SEVERITY = {"critical": "on-call", "warning": "team", "info": "help-desk"}

ON_BERLIN = {"job": "workspace", "instance": "a:10099", "project": "berlin"}
SESSIONS = {"operation": "ListSessionByUserName"}
GROUP = {"app_server_group_id": "5f1d"}
ENDED = {"startsAt": "2026-01-02T03:04:05Z", "endsAt": "2026-01-02T03:05:05Z"}


def alert(name: str, **labels: str) -> dict[str, str]:
    """Labels of an alert as the rules give them."""
    (own, *_) = [each["labels"] for each in ALERTS if each["alert"] == name]
    where = ON_BERLIN if own["area"] == "exporter" else {"project": "berlin"}
    return {"alertname": name, **own, **where, **labels}


async def test_alertmanager_takes_the_configuration(tool: Callable[[str], str]) -> None:
    code, text = await said(tool("amtool"), "check-config", str(CONFIGURATION))
    assert (code, "1 templates" in text) == (0, True), text


async def test_the_examples_of_receivers_are_right_once_the_hash_is_taken_away(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    filled = re.sub(r"^    # (?=[ a-z-])", "    ", CONFIGURATION.read_text("utf-8"), flags=re.MULTILINE)
    assert filled.count("_configs:") == len(BY_SEVERITY)
    (tmp_path / "alertmanager.yml").write_text(filled)
    (tmp_path / "templates").symlink_to(ALERTMANAGER / "templates")
    code, text = await said(tool("amtool"), "check-config", str(tmp_path / "alertmanager.yml"))
    assert code == 0, text


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
async def test_each_alert_reaches_the_receivers_of_its_severity(
    tool: Callable[[str], str], rule: dict[str, Any]
) -> None:
    labels = [f"{name}={value}" for name, value in {"alertname": rule["alert"], **rule["labels"]}.items()]
    receiver = BY_SEVERITY[rule["labels"]["severity"]]
    command = ["config", "routes", "test", f"--config.file={CONFIGURATION}", f"--verify.receivers={receiver}"]
    code, text = await said(tool("amtool"), *command, *labels)
    assert code == 0, text


def test_every_matcher_of_an_inhibition_is_about_an_alert_that_there_is() -> None:
    names = {rule["alert"] for rule in ALERTS}
    matchers = [
        matcher
        for inhibition in document(CONFIGURATION)["inhibit_rules"]
        for matcher in (*inhibition["source_matchers"], *inhibition["target_matchers"])
    ]
    about = [found for matcher in matchers if (found := re.fullmatch(r'alertname(?:!=|=~?)"(.+)"', matcher))]
    assert about
    for matcher in about:
        alternatives = re.fullmatch(r"Workspace\((.+)\)", matcher[1])
        wanted = [f"Workspace{each}" for each in alternatives[1].split("|")] if alternatives else [matcher[1]]
        assert all(any(re.fullmatch(each, name) for name in names) for each in wanted), matcher[0]


HELD_BACK = [
    (alert("WorkspaceExporterDown"), alert("WorkspaceCloudNotAnswering")),
    (alert("WorkspaceExporterDown"), alert("WorkspaceDiscoveryFailing")),
    (alert("WorkspaceExporterAbsent"), alert("WorkspaceExporterDown")),
    (alert("WorkspaceExporterDown"), alert("WorkspaceExporterFlapping")),
    (alert("WorkspaceExporterFlapping", severity="critical"), alert("WorkspaceExporterFlapping", severity="warning")),
    (alert("WorkspaceExporterDown"), alert("WorkspaceProjectLost")),
    (alert("WorkspaceExporterAbsent"), alert("WorkspaceProjectLost")),
    (alert("WorkspaceProjectLost"), alert("WorkspaceThrottled", **SESSIONS)),
    (alert("WorkspaceClockSkew", severity="critical"), alert("WorkspaceCredentialsRefused")),
    (alert("WorkspaceClockSkew", severity="critical"), alert("WorkspaceClockSkew", severity="warning")),
    (alert("WorkspaceCredentialsRefused"), alert("WorkspaceCloudNotAnswering")),
    (alert("WorkspaceCredentialsRefused"), alert("WorkspaceCredentialsExpiring")),
    (alert("WorkspaceCloudNotAnswering"), alert("WorkspaceNumbersStale", **SESSIONS)),
    (alert("WorkspaceCloudNotAnswering"), alert("WorkspaceCoverageLow", **SESSIONS)),
    (alert("WorkspaceCloudNotAnswering"), alert("WorkspaceThrottled", **SESSIONS)),
    (alert("WorkspaceThrottled", **SESSIONS), alert("WorkspaceCoverageLow", **SESSIONS)),
    (alert("WorkspaceCoverageLow", **SESSIONS), alert("WorkspaceNumbersStale", **SESSIONS)),
    (alert("WorkspaceCredentialsRefused"), alert("WorkspaceDiscoveryFailing")),
    (alert("WorkspaceCloudNotAnswering"), alert("WorkspaceDiscoveryFailing")),
    (alert("WorkspaceInitFailSpike"), alert("WorkspaceSessionStartBudgetBurn", severity="critical")),
    (alert("WorkspaceInitFailSpike"), alert("WorkspaceSessionStartBudgetBurn", severity="warning")),
    (alert("WorkspaceInitFailSpike"), alert("WorkspaceSessionsStuck")),
    (alert("WorkspaceInitFailSpike"), alert("WorkspaceSessionStartsSlow")),
    (alert("WorkspaceInitFailSpike"), alert("WorkspaceServerGroupDown", **GROUP)),
    (alert("WorkspaceInitFailSpike"), alert("WorkspaceServerCapacityLow", **GROUP)),
    (alert("WorkspaceInitFailSpike"), alert("WorkspaceDisconnectedUnusual")),
    (alert("WorkspaceInitFailSpike"), alert("WorkspaceVersionRegressing", version="1")),
    (alert("WorkspaceSessionStartBudgetBurn", severity="critical"), alert("WorkspaceVersionRegressing", version="1")),
    (
        alert("WorkspaceSessionStartBudgetBurn", severity="critical"),
        alert("WorkspaceSessionStartBudgetBurn", severity="warning"),
    ),
    (
        alert("WorkspaceServerCapacityLow", severity="critical", **GROUP),
        alert("WorkspaceServerCapacityLow", severity="warning", **GROUP),
    ),
]
TOLD_BOTH = [
    (alert("WorkspaceExporterDown"), alert("WorkspaceInitFailSpike")),
    (alert("WorkspaceExporterDown"), alert("WorkspaceCloudNotAnswering", instance="b:10099")),
    (alert("WorkspaceExporterFlapping"), alert("WorkspaceInitFailSpike")),
    (alert("WorkspaceProjectLost"), alert("WorkspaceProjectLost", project="paris")),
    (alert("WorkspaceProjectLost"), alert("WorkspaceThrottled", instance="b:10099", **SESSIONS)),
    (alert("WorkspaceCloudNotAnswering"), alert("WorkspaceNumbersStale", project="paris", **SESSIONS)),
    (alert("WorkspaceClockSkew", severity="warning"), alert("WorkspaceCredentialsRefused")),
    (alert("WorkspaceCoverageLow", **SESSIONS), alert("WorkspaceNumbersStale", operation="ListUserDetail")),
    (alert("WorkspaceInitFailSpike"), alert("WorkspaceUsersLocked")),
    (alert("WorkspaceInitFailSpike"), alert("WorkspaceSessionsAbandoned")),
    (alert("WorkspaceInitFailSpike"), alert("WorkspaceDisconnectedUnusual", project="paris")),
    (
        alert("WorkspaceServerCapacityLow", severity="critical", **GROUP),
        alert("WorkspaceServerCapacityLow", severity="warning", app_server_group_id="7c22"),
    ),
]


async def test_the_cause_is_reported_and_its_effects_are_inhibited(tool: Callable[[str], str], tmp_path: Path) -> None:
    """Each pair is handed to a real Alertmanager, and has ended before the next one comes."""
    port = free_port()
    command = [
        tool("prometheus-alertmanager"),
        f"--config.file={CONFIGURATION}",
        f"--storage.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    pairs = [*HELD_BACK, *TOLD_BOTH]
    async with (
        process(tool("setpriv"), tmp_path / "log", *command, port=port) as address,
        aiohttp.ClientSession(f"http://{address}") as session,
    ):
        for cause, effect in pairs:
            assert await _held_back(session, cause, effect) is ((cause, effect) in HELD_BACK), (cause, effect)


async def _held_back(session: aiohttp.ClientSession, cause: dict[str, str], effect: dict[str, str]) -> bool:
    """Return whether the effect is inhibited while both alerts fire. Both have ended afterwards.

    Alertmanager accepts alerts before its inhibitor has seen them, so this looks for a fifth of a second.
    """
    await _tell(session, [cause, effect], {})
    inhibited = False
    for _ in range(10):
        inhibited = await _inhibited(session, effect)
        if inhibited:
            break
        await asyncio.sleep(0.02)
    await _tell(session, [cause, effect], ENDED)
    return inhibited


async def _inhibited(session: aiohttp.ClientSession, effect: dict[str, str]) -> bool:
    async with session.get("/api/v2/alerts") as response:
        alerts = json.loads(await response.text())
    (status,) = [each["status"] for each in alerts if each["labels"] == effect]
    return bool(status["inhibitedBy"])


async def _tell(session: aiohttp.ClientSession, alerts: list[dict[str, str]], times: dict[str, str]) -> None:
    async with session.post("/api/v2/alerts", json=[{"labels": each, **times} for each in alerts]) as response:
        assert response.status == 200, await response.text()


async def test_a_message_says_what_happens_and_where_to_read_on(tool: Callable[[str], str], tmp_path: Path) -> None:
    common = {"summary": "Sessions fail to start in project berlin"}
    firing = {
        "status": "firing",
        "labels": alert("WorkspaceInitFailSpike"),
        "annotations": {
            **common,
            "description": "6 sessions.",
            "runbook_url": "https://git.example.org/RUNBOOK.md#workspaceinitfailspike",
            "dashboard_url": "https://grafana.example.org/d/sessions",
        },
        "startsAt": "2026-01-02T03:04:05Z",
        "endsAt": "0001-01-01T00:00:00Z",
    }
    over = {**firing, "status": "resolved", "endsAt": "2026-01-02T03:34:05Z"}
    data = {"commonLabels": firing["labels"], "commonAnnotations": common, "groupLabels": {}}
    assert await _rendered(tool, tmp_path, {**data, "status": "firing", "alerts": [firing]}) == (
        "CRITICAL: Sessions fail to start in project berlin|"
        "Sessions fail to start in project berlin\n6 sessions.\n"
        "Since 2026-01-02 03:04 UTC. What to do: https://git.example.org/RUNBOOK.md#workspaceinitfailspike\n"
        "Dashboard: https://grafana.example.org/d/sessions"
    )
    assert await _rendered(tool, tmp_path, {**data, "status": "resolved", "alerts": [over]}) == (
        "OVER: Sessions fail to start in project berlin|"
        "Over since 2026-01-02 03:34 UTC: Sessions fail to start in project berlin"
    )


async def test_the_subject_of_many_counts_those_that_fire(tool: Callable[[str], str], tmp_path: Path) -> None:
    def told(status: str, project: str) -> dict[str, Any]:
        summary = f"Sessions fail to start in project {project}"
        times = {"startsAt": "2026-01-02T03:04:05Z", "endsAt": "2026-01-02T03:34:05Z"}
        return {"status": status, "labels": {}, "annotations": {"summary": summary}, **times}

    async def subject(status: str, *alerts: dict[str, Any]) -> str:
        common = {"commonLabels": {"severity": "critical"}, "commonAnnotations": {}}
        data = {**common, "groupLabels": {"alertname": "Spike"}, "status": status, "alerts": alerts}
        return (await _rendered(tool, tmp_path, data)).partition("|")[0]

    firing, other, over = told("firing", "berlin"), told("firing", "rome"), told("resolved", "paris")
    assert await subject("firing", firing, over) == "CRITICAL: Sessions fail to start in project berlin"
    assert await subject("firing", firing, other, over) == "CRITICAL: Spike, 2 times"
    assert await subject("resolved", over, told("resolved", "rome")) == "OVER: Spike, 2 times"


async def _rendered(tool: Callable[[str], str], tmp_path: Path, data: dict[str, Any]) -> str:
    (tmp_path / "data.json").write_text(json.dumps({"receiver": "on-call", "externalURL": "", **data}))
    code, text = await said(
        tool("amtool"),
        "template",
        "render",
        f"--template.glob={ALERTMANAGER}/templates/*.tmpl",
        f"--template.data={tmp_path}/data.json",
        '--template.text={{ template "workspace.subject" . }}|{{ template "workspace.text" . }}',
    )
    assert code == 0, text
    return text.strip()
