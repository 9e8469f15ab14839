"""Take the picture of the page in the README: the demo during its first incident, after two minutes.

PYTHONPATH=.:tests .venv/bin/python tests/support/page_picture.py deploy/page.png
"""

from __future__ import annotations

import asyncio
import io
import sys
from contextlib import suppress
from pathlib import Path

from playwright.async_api import Page, async_playwright

from exporter import demo

ADDRESS = "127.0.0.1:10197"
PATIENCE = 5 * 60.0  # seconds


async def main(file: Path) -> None:
    """Run the demo until its picture is taken."""
    running = asyncio.create_task(demo.run({"web.listen_address": ADDRESS}, io.StringIO()))
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            view = await browser.new_page(viewport={"width": 1000, "height": 890}, color_scheme="light")
            async with asyncio.timeout(PATIENCE):
                await _incident(view)
            await view.screenshot(path=file)
            await browser.close()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _incident(view: Page) -> None:
    """Load the page until it reports an incident in a server group that has lost its servers."""
    while True:
        await asyncio.sleep(1)
        await view.goto(f"http://{ADDRESS}/")
        title = await view.title()
        if title.startswith("Critical") and "servers: 0 of" in title:
            return


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
