"""What the exporter answers: metrics, a page for a person, and health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from exporter.metrics.exposition import Exposition, negotiated
from exporter.web import page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiohttp.typedefs import Handler

    from exporter import config
    from exporter.status import ProjectStatus

_PIECE = 64 * 1024  # bytes


def application(
    settings: Callable[[], config.Web], exposition: Exposition, statuses: Callable[[], Sequence[ProjectStatus]]
) -> web.Application:
    """The web application. ``settings`` gives those in force, ``statuses`` the projects as they stand."""
    app = web.Application()
    app.router.add_get("/", _landing_page(settings, statuses))
    app.router.add_get("/-/healthy", _healthy)
    app.router.add_get("/-/ready", _ready(statuses))
    app.router.add_get("/{path:(?!-/).+}", _metrics(settings, exposition))
    app.on_response_prepare.append(_as_it_says)
    return app


def _metrics(settings: Callable[[], config.Web], exposition: Exposition) -> Handler:
    async def metrics(request: web.Request) -> web.StreamResponse:
        if request.path != settings().telemetry_path:  # which a reload may change
            raise web.HTTPNotFound
        wanted = negotiated(",".join(request.headers.getall(hdrs.ACCEPT, ())))
        rendered = exposition.get(wanted)
        headers: dict[str, str] = {hdrs.CONTENT_TYPE: wanted.content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        if _accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")):
            headers[hdrs.CONTENT_ENCODING] = "gzip"
            return await _in_pieces(request, rendered.compressed, headers)
        return await _in_pieces(request, rendered.body, headers)

    return metrics


async def _in_pieces(request: web.Request, body: bytes, headers: Mapping[str, str]) -> web.StreamResponse:
    """Answer with no more in memory for a slow reader than a piece: what is written at once, asyncio copies whole."""
    response = web.StreamResponse(headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    if request.method != hdrs.METH_HEAD:
        for start in range(0, len(body), _PIECE):
            await response.write(body[start : start + _PIECE])
    await response.write_eof()
    return response


def _accepts_gzip(accept_encoding: str) -> bool:
    offers = (offer.replace(" ", "").lower().partition(";") for offer in accept_encoding.split(","))
    return any(coding == "gzip" and not _is_zero(parameter) for coding, _, parameter in offers)


def _is_zero(quality: str) -> bool:
    return quality.startswith("q=") and not quality.strip("q=0.")


def _landing_page(settings: Callable[[], config.Web], statuses: Callable[[], Sequence[ProjectStatus]]) -> Handler:
    async def landing_page(_: web.Request) -> web.Response:
        return web.Response(
            text=page.render(settings().telemetry_path, statuses()),
            content_type="text/html",
            headers={"Content-Security-Policy": page.CONTENT_SECURITY_POLICY},
        )

    return landing_page


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="Healthy.\n")


def _ready(statuses: Callable[[], Sequence[ProjectStatus]]) -> Handler:
    async def ready(_: web.Request) -> web.Response:
        waiting = [status.project for status in statuses() if not status.ready]
        if waiting:
            return web.Response(status=503, text=f"Waiting for the first round of: {', '.join(waiting)}.\n")
        return web.Response(text="Ready.\n")

    return ready


async def _as_it_says(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["X-Content-Type-Options"] = "nosniff"
