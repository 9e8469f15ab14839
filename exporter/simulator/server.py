"""The simulator on a socket: the only place that knows aiohttp."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from exporter.simulator.messages import Delivery, Request, Response

SHUTDOWN_TIMEOUT = 0.5
"""Seconds that calls under way have to end when the server stops."""
RESET_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER so that closing sends a TCP reset."""


@asynccontextmanager
async def serve(handle: Callable[[Request], Response], host: str, port: int) -> AsyncIterator[str]:
    """Serve `handle` on a TCP port (0: any free one) while the context lasts; it is entered with the base URL.

    Raises:
        OSError: the address cannot be had.
    """
    stopping = asyncio.Event()

    async def answer(received: web.BaseRequest) -> web.StreamResponse:
        request = Request(received.method, received.raw_path, received.headers, await received.read())
        return await deliver(received, handle(request), stopping)

    runner = web.ServerRunner(
        web.Server(answer, access_log=None, handler_cancellation=True), shutdown_timeout=SHUTDOWN_TIMEOUT
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield f"http://{authority(host, runner.addresses[0][1])}"
    finally:
        stopping.set()
        await runner.cleanup()


def authority(host: str, port: int) -> str:
    """Host and port as a URL has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def deliver(received: web.BaseRequest, response: Response, stopping: asyncio.Event) -> web.StreamResponse:
    """Hand a response over as it says: late, whole, half, or not before the server stops."""
    await asyncio.sleep(response.delay)
    if response.delivery is Delivery.HANG:
        await stopping.wait()
        reset(received)
    if response.delivery is Delivery.RESET:
        return await break_off(received, response)
    return web.Response(status=response.status, headers=response.headers, body=response.body)


async def break_off(received: web.BaseRequest, response: Response) -> web.StreamResponse:
    """Send half of a response, then reset the connection."""
    half = web.StreamResponse(status=response.status, headers=response.headers)
    half.content_length = len(response.body)
    await half.prepare(received)
    await half.write(response.body[: len(response.body) // 2])
    reset(received)
    return half


def reset(received: web.BaseRequest) -> None:
    """Reset the connection of a request, if it still stands."""
    if received.transport is not None:
        received.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
        received.transport.abort()
