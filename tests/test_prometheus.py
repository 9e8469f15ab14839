"""Debian's Prometheus scrapes the exporter, and its query API gives back the simulated cloud's truth."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from support.exporters import get, project, running, settings, until
from support.prometheus import prometheus

from exporter.simulator import Account, Simulator, SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENT = (Path(__file__).parent.parent / "CONFIGURATION.md").read_text("utf-8")
CONFIGURATION = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: workspace
    static_configs: [{{targets: ["{target}"]}}]
"""


async def query(prometheus: str, expression: str, *labels: str) -> dict[tuple[str, ...], float]:
    _, text, _ = await get(f"{prometheus}/api/v1/query?query={quote(expression)}")
    result = json.loads(text)["data"]["result"]
    return {tuple(each["metric"].get(label, "") for label in labels): float(each["value"][1]) for each in result}


async def test_prometheus_knows_what_the_simulated_cloud_knows(tool: Callable[[str], str], tmp_path: Path) -> None:
    simulator = Simulator(SimulatorOptions(users=80, speed=0, quota=0))
    async with simulator.serve() as url, running(settings(project(simulator, url))) as exporter:
        await until(lambda text: text == "Ready.\n", f"{exporter}/-/ready")
        configuration = CONFIGURATION.format(target=urlsplit(exporter).netloc)
        async with prometheus(tool("prometheus"), tmp_path, configuration) as server:
            await until(lambda text: '"value"' in text, f"{server}/api/v1/query?query=huaweicloud_workspace_sessions")
            states = await query(server, "huaweicloud_workspace_sessions", "session_state")
            versions = await query(
                server, "sum by (client_version) (huaweicloud_workspace_sessions_by_version)", "client_version"
            )
            locked = await query(server, "huaweicloud_workspace_user_locked == 1", "user_name")
            scrape_up = await query(server, 'up{job="workspace"}')
            types = json.loads((await get(f"{server}/api/v1/metadata"))[1])["data"]
    sessions = simulator.sessions()
    truth = Counter(str(session.session_state) for session in sessions)
    assert {state: n for (state,), n in states.items()} == {state: truth[state] for (state,) in states}
    assert len(states) == 5
    assert {version: n for (version,), n in versions.items()} == Counter(
        s.client_version or "unknown" for s in sessions
    )
    assert {name for (name,) in locked} == {user.user_name for user in simulator.users() if user.locked}
    assert scrape_up == {(): 1}
    assert types["huaweicloud_workspace_sessions"][0]["type"] == "gauge"
    assert types["huaweicloud_workspace_api_requests"][0]["type"] == "counter"


async def test_three_shards_are_to_prometheus_what_one_process_is(tool: Callable[[str], str], tmp_path: Path) -> None:
    """Every series about a cloud is there once, with the same value, whichever exporter it comes from."""
    projects = [f"{number:032x}" for number in range(6)]
    async with AsyncExitStack() as stack:
        clouds = []
        for number, project_id in enumerate(projects):
            options = SimulatorOptions(
                seed=number, users=5 + number, speed=0, quota=0, account=Account(project_id=project_id)
            )
            simulator = Simulator(options)
            url = await stack.enter_async_context(simulator.serve())
            clouds.append(project(simulator, url, name=f"project-{number}"))
        calmly = {"interval": 5, "user_interval": 5, "rate_limit": 60_000}
        alone = await stack.enter_async_context(running(settings(*clouds, poll=calmly)))
        shards = [
            await stack.enter_async_context(running(settings(*clouds, poll=calmly, shard={"index": index, "total": 3})))
            for index in range(3)
        ]
        for address in (alone, *shards):
            await until(lambda text: text == "Ready.\n", f"{address}/-/ready")
        targets = ", ".join(f'"{urlsplit(shard).netloc}"' for shard in shards)
        configuration = f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - {{job_name: alone, static_configs: [{{targets: ["{urlsplit(alone).netloc}"]}}]}}
  - {{job_name: shards, static_configs: [{{targets: [{targets}]}}]}}
"""
        async with prometheus(tool("prometheus"), tmp_path, configuration) as server:
            users = "count by (job) (huaweicloud_workspace_users)"
            await until(
                lambda text: text.count(f'"{len(projects)}"]') == 2, f"{server}/api/v1/query?query={quote(users)}"
            )
            about_clouds = '{__name__=~"huaweicloud_workspace_(sessions|user).*",job="%s"}'
            labels = ("__name__", "project", "session_state", "client_version", "agent_version", "user_name")
            together = await query(server, about_clouds % "alone", *labels)
            apart = await query(server, about_clouds % "shards", *labels)
            all_of = 'count({__name__=~"huaweicloud_workspace_(sessions|user).*",job="%s"})'
            series = [await query(server, all_of % job) for job in ("shards", "alone")]
            used = await query(server, 'count by (instance) (huaweicloud_workspace_up{job="shards"})', "instance")
    assert together == apart
    assert series[0] == series[1], "none is there twice"
    assert len(apart) > 200
    assert len(used) > 1


async def test_the_documented_way_to_tls_and_passwords_works(tool: Callable[[str], str], tmp_path: Path) -> None:
    """Its commands have no prompts, and create what its scrape configuration needs. Only one's own may read secrets."""
    tool("openssl")
    program = tool("prometheus")
    section = DOCUMENT.partition("## TLS and passwords")[2].partition("\n## ")[0]
    commands, *_ = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    scraping, *_ = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    await asyncio.to_thread(
        subprocess.run,
        ["sh", "-ec", commands.replace("/opt/workspace-exporter/bin/python", sys.executable)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        start_new_session=True,  # so that no prompt can use a terminal
    )
    secrets = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("exporter.key", "exporter.password")}
    assert secrets == {"exporter.key": 0o600, "exporter.password": 0o600}
    assert len((tmp_path / "exporter.password").read_bytes()) == 48, "no newline that would count as part of it"
    simulator = Simulator(SimulatorOptions(users=3, speed=0, quota=0))
    async with simulator.serve() as url:
        web = {"listen_address": "localhost:0", "config_file": tmp_path / "web.yml"}
        async with running(settings(project(simulator, url), web=web)) as exporter:
            assert exporter.startswith("https://")
            target = f"localhost:{urlsplit(exporter).port}"
            configuration = "global: {scrape_interval: 1s}\n" + scraping.replace("localhost:10099", target)
            async with prometheus(program, tmp_path, configuration) as server:
                await until(lambda text: '"value"' in text, f"{server}/api/v1/query?query=huaweicloud_workspace_users")
                assert await query(server, "huaweicloud_workspace_users") == {(): 3}
