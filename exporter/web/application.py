"""The HTTP paths: metrics, the page for people, health, configuration, reload and quit."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from aiohttp import hdrs, web

from exporter.config import ConfigError
from exporter.config import Web as WebSettings
from exporter.metrics.exposition import Exposition, negotiated
from exporter.status import Published
from exporter.web.connections import Limits
from exporter.web.page import CONTENT_SECURITY_POLICY, render

_CHUNK = 64 * 1024  # bytes written at once; asyncio copies what the client does not take
_TURN = 0.001  # seconds that rendering a page takes before other tasks run


def application(
    settings: Callable[[], WebSettings],
    exposition: Exposition,
    published: Callable[[], Published],
    limits: Limits | None = None,
    configuration: Callable[[], tuple[bytes, ...]] = tuple,
) -> web.Application:
    """Return the web application.

    ``settings`` and ``configuration`` (as YAML) return those in effect.
    """
    handlers = _Handlers(settings, exposition, published, configuration, _Transfers((limits or Limits()).pages))
    app = web.Application()
    app.router.add_get("/", handlers.landing_page)
    app.router.add_get("/-/healthy", handlers.healthy)
    app.router.add_get("/-/ready", handlers.ready)
    app.router.add_get("/-/config", handlers.configured)
    app.router.add_get("/{path:(?!-/).+}", handlers.metrics)
    return app


def add_lifecycle(
    app: web.Application,
    settings: Callable[[], WebSettings],
    reload: Callable[[], Awaitable[None]],
    quit_: Callable[[], None],
) -> None:
    """Add the paths that reload the configuration and end the process. ``reload`` may raise ConfigError."""

    def check_enabled() -> None:
        if not settings().enable_lifecycle:
            raise web.HTTPForbidden(text="The lifecycle API is off. Set web.enable_lifecycle to turn it on.\n")

    async def answer_reload(_: web.Request) -> web.Response:
        check_enabled()
        try:
            await reload()
        except ConfigError as error:
            text = f"The new configuration is rejected. The previous one stays in effect.\n{error}\n"
            return web.Response(status=400, text=text)
        return web.Response(text="The new configuration is in effect.\n")

    async def answer_quit(_: web.Request) -> web.Response:
        check_enabled()
        quit_()
        return web.Response(text="Bye.\n")

    app.router.add_post("/-/reload", answer_reload)
    app.router.add_post("/-/quit", answer_quit)


@dataclass
class _Handlers:
    settings: Callable[[], WebSettings]
    exposition: Exposition
    published: Callable[[], Published]
    configuration: Callable[[], tuple[bytes, ...]]
    transfers: _Transfers
    rendered_from: tuple[object, object] = (None, None)  # what `landing` was rendered from
    landing: tuple[bytes, ...] = ()  # the page at `/`, rendered at most once per publish
    one_rendering: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        telemetry_path = self.settings().telemetry_path
        if request.path != telemetry_path:
            if telemetry_path in {f"{request.path}/", request.path.removesuffix("/")}:
                raise web.HTTPPermanentRedirect(_relative(telemetry_path, request.path))
            raise web.HTTPNotFound
        wanted = negotiated(",".join(request.headers.getall(hdrs.ACCEPT, ())))
        headers: dict[str, str] = {hdrs.CONTENT_TYPE: wanted.content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        if _accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")):
            headers[hdrs.CONTENT_ENCODING] = "gzip"
            return await self.transfers.send(request, headers, self.exposition.get(wanted).compressed_pieces)
        return await self.transfers.send(request, headers, self.exposition.get(wanted).pieces)

    async def landing_page(self, request: web.Request) -> web.StreamResponse:
        async with self.one_rendering:
            settings, published = self.settings(), self.published()
            if self.rendered_from[0] is not settings or self.rendered_from[1] is not published:
                parts = render(settings.telemetry_path, published, settings.refresh_interval)
                self.landing = await _rendered(parts)
                self.rendered_from = settings, published
        headers: dict[str, str] = {
            hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
            hdrs.CACHE_CONTROL: "no-store",  # a browser that goes back shows no numbers of an hour ago
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        }
        return await self.transfers.send(request, headers, self.landing)

    async def configured(self, request: web.Request) -> web.StreamResponse:
        if not self.settings().enable_config:
            raise web.HTTPForbidden(text="The configuration is not shown. Set web.enable_config to show it.\n")
        headers: dict[str, str] = {hdrs.CONTENT_TYPE: "text/plain; charset=utf-8", hdrs.CACHE_CONTROL: "no-store"}
        return await self.transfers.send(request, headers, self.configuration())

    async def healthy(self, _: web.Request) -> web.Response:
        return web.Response(text="Healthy.\n")

    async def ready(self, _: web.Request) -> web.Response:
        waiting = [status.project for status in self.published().projects if not status.ready]
        if waiting:
            return web.Response(status=503, text=f"Waiting for the first cycle of: {', '.join(waiting)}.\n")
        return web.Response(text="Ready.\n")


class _Transfers:
    """The pages being sent.

    Slow clients keep old pages in memory. Beyond ``most`` bytes of pages, the clients of the oldest are disconnected.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._clients: dict[int, tuple[int, set[asyncio.Transport | None]]] = {}
        """Size and clients of each page, by its identity; the page requested longest ago comes first."""

    async def send(
        self, request: web.Request, headers: Mapping[str, str], pieces: tuple[bytes, ...]
    ) -> web.StreamResponse:
        """Answer with a page in chunks, each after the client has taken the one before."""
        ident, size, chunks = id(pieces), sum(map(len, pieces)), _chunks(pieces)
        del pieces  # the traceback of a lost connection keeps this frame alive for a while
        response = web.StreamResponse(headers=headers)
        response.content_length = size
        with closing(chunks), self._sending(ident, size, request.transport):
            await response.prepare(request)
            if request.method != hdrs.METH_HEAD:
                for chunk in chunks:
                    await response.write(chunk)
            await response.write_eof()
        return response

    @contextmanager
    def _sending(self, ident: int, size: int, client: asyncio.Transport | None) -> Iterator[None]:
        _, clients = self._clients.pop(ident, (size, set()))
        clients.add(client)
        self._clients[ident] = size, clients
        total = sum(size for size, _ in self._clients.values())
        for old, (old_size, old_clients) in list(self._clients.items())[:-1]:
            if total <= self._most:
                break
            total -= old_size
            del self._clients[old]
            for each in old_clients:
                if each:
                    each.abort()
        try:
            yield
        finally:
            clients.discard(client)
            if not clients and self._clients.get(ident) == (size, clients):
                del self._clients[ident]


def _chunks(pieces: Sequence[bytes]) -> Generator[bytes]:
    """Cut and join pieces to chunks of one to two times ``_CHUNK`` bytes."""
    waiting: list[bytes] = []
    length = 0
    for piece in pieces:
        for start in range(0, len(piece), _CHUNK):
            waiting.append(piece[start : start + _CHUNK])
            length += len(waiting[-1])
            if length >= _CHUNK:
                yield b"".join(waiting)
                waiting, length = [], 0
    if waiting:
        yield b"".join(waiting)


async def _rendered(parts: Iterable[str]) -> tuple[bytes, ...]:
    """Render a page. Other tasks run meanwhile."""
    pieces, turn = [], time.perf_counter()
    for each in parts:
        pieces.append(each.encode())
        if time.perf_counter() - turn >= _TURN:
            await asyncio.sleep(0)
            turn = time.perf_counter()
    return tuple(pieces)


def _relative(target: str, path: str) -> str:
    """Return a link to a path from another one, which works below the prefix of a proxy, too."""
    return f"{'../' * (path.count('/') - 1) or './'}{target.removeprefix('/')}"


def _accepts_gzip(accept_encoding: str) -> bool:
    offers = (offer.replace(" ", "").lower().partition(";") for offer in accept_encoding.split(","))
    return any(coding == "gzip" and not re.fullmatch(r"q=[0.]*", quality) for coding, _, quality in offers)
