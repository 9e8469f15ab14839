"""Prometheus and Alertmanager with the configuration of deploy/, all timings ``speed`` times as short."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from support.deployment import ALERTMANAGER, PROMETHEUS, RULES, document, scaled, write
from support.monitoring import Webhook, free_port, process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@asynccontextmanager
async def alertmanager(tool: Callable[[str], str], directory: Path, hook: Webhook, speed: float) -> AsyncIterator[str]:
    """Alertmanager with our configuration; what it would tell its receivers, it tells the webhook."""
    wanted = scaled(document(ALERTMANAGER / "alertmanager.yml"), speed)
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
    tool: Callable[[str], str], directory: Path, exporter: str, alertmanager: str, speed: float
) -> AsyncIterator[str]:
    """Prometheus with our configuration and rules, which scrapes this exporter and tells this Alertmanager."""
    for path in RULES:
        write(directory / path.name, scaled(document(path), speed))
    wanted = scaled(document(PROMETHEUS / "prometheus.yml"), speed)
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
