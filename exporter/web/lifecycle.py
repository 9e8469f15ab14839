"""What operators may do over HTTP, where the configuration allows it: reload and quit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from exporter.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from exporter import config


def add_lifecycle(
    app: web.Application,
    settings: Callable[[], config.Web],
    reload: Callable[[], Awaitable[None]],
    quit_: Callable[[], None],
) -> None:
    """Add the two paths.

    ``settings`` gives those in force, ``reload`` raises ConfigError, ``quit_`` ends the process.
    """

    async def answer_reload(_: web.Request) -> web.Response:
        _check_enabled(settings())
        try:
            await reload()
        except ConfigError as error:
            return web.Response(
                status=400, text=f"The configuration is refused, and the one before goes on:\n{error}\n"
            )
        return web.Response(text="The new configuration is in force.\n")

    async def answer_quit(_: web.Request) -> web.Response:
        _check_enabled(settings())
        quit_()
        return web.Response(text="Bye.\n")

    app.router.add_post("/-/reload", answer_reload)
    app.router.add_post("/-/quit", answer_quit)


def _check_enabled(settings: config.Web) -> None:
    if not settings.enable_lifecycle:
        raise web.HTTPForbidden(text="The lifecycle API is off; web.enable_lifecycle turns it on.\n")
