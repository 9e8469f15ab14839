"""Draws the dashboards as they look on the simulated day: `python tests/support/pictures.py VIEWER FOLDER`.

It records the day, serves it by a Prometheus of its own, and has the viewer draw each dashboard at its moment.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from support import simulated_day
from support.dashboards import FOLDER
from support.prometheus import prometheus

MOMENTS = {"wall": "incident", "sessions": "incident", "users": "afternoon", "exporter": "afternoon"}
"""The time of each dashboard with the most to see."""

THEME, WIDTH = "dark", 1600


def main(viewer: Path, target: Path) -> None:
    """Write a picture of each dashboard into the target folder."""
    target.mkdir(exist_ok=True)
    with TemporaryDirectory() as name:
        directory = Path(name)
        simulated_day.record(directory / "day.txt")
        _run("promtool", "tsdb", "create-blocks-from", "openmetrics", f"{name}/day.txt", f"{name}/data")
        asyncio.run(_draw(viewer, directory))
        for dashboard in MOMENTS:
            shutil.copy(directory / f"{dashboard}-{THEME}-{WIDTH}.png", target / f"{dashboard}.png")


async def _draw(viewer: Path, directory: Path) -> None:
    look = "--theme", THEME, "--width", str(WIDTH), "--timezone", "UTC"
    scrape = "--scrape", f"{simulated_day.SCRAPE_INTERVAL:.0f}"
    async with prometheus("prometheus", directory, "", "--storage.tsdb.retention.time=100y") as server:
        for dashboard, moment in MOMENTS.items():
            to = f"{simulated_day.MOMENTS[moment]:.0f}"
            flags = "--prometheus", server, "--to", to, *look, *scrape, "--out", str(directory)
            await asyncio.to_thread(_run, "node", str(viewer / "view.mjs"), *flags, f"{FOLDER}/{dashboard}.json")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the caller's own programs


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
