"""An exporter at work on a simulated cloud, both on loopback."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from support.ledger import LEDGER, undisturbed

from exporter import config
from exporter.app import exporting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from exporter.simulator import Simulator

QUICK = {"interval": 0.2, "user_interval": 0.2, "rate_limit": 60_000, "stale_after": 60}
"""As fast as a test wants to be; on a busy machine an answer may come late, and must not be stale by then."""


def project(simulator: Simulator, url: str, **changes: Any) -> dict[str, Any]:
    """A project that watches every simulated user with the simulator's token."""
    account = simulator.options.account
    return {
        "name": "sim",
        "project_id": account.project_id,
        "endpoints": {"sessions": url, "users": url, "iam": url, "metadata": url},
        "auth": {"token": account.token},
        "users": list(simulator.population.names()),
        **changes,
    }


def settings(*projects: dict[str, Any], **sections: Any) -> config.Settings:
    """Quick settings on any free port of loopback."""
    values: dict[str, Any] = {
        "projects": list(projects),
        "poll": QUICK,
        "web": {"listen_address": "127.0.0.1:0"},
        **sections,
    }
    # Tests poll more often than the configuration permits.
    intervals = ("interval", "user_interval", "failures_interval")
    quick = {name: values["poll"][name] for name in intervals if name in values["poll"]}
    permitted = {**values["poll"], **dict.fromkeys(quick, "1m")}
    made = config.build(config.Layer("test", {**values, "poll": permitted}))
    return made.model_copy(update={"poll": made.poll.model_copy(update=quick)})


@asynccontextmanager
async def running(wanted: config.Settings) -> AsyncIterator[str]:
    """The address of a running exporter."""
    async with exporting(wanted) as at_work:
        yield at_work.address


async def get(url: str, **headers: str) -> tuple[int, str, Mapping[str, str]]:
    """Status, text and headers of an answer; a scrape is noted in the ledger."""
    started = undisturbed()
    try:
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
            text = await response.text()
    except Exception:  # not where nobody waits for it any more
        _note(url, None, started)
        raise
    _note(url, response.status, started)
    return response.status, text, response.headers


def _note(url: str, status: int | None, started: float) -> None:
    if url.endswith("/metrics"):
        LEDGER.scraped(status, undisturbed() - started)


async def until(condition: Callable[[str], bool], url: str, seconds: float = 20.0) -> str:
    """The text at an address as soon as it fulfils a condition."""
    text = ""
    try:
        async with asyncio.timeout(seconds):
            while True:
                _, text, _ = await get(url)
                if condition(text):
                    return text
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s; the last answer was:\n{text}") from None
