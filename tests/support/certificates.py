"""Certificates made for tests, and TLS in front of a plain server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from typing import TYPE_CHECKING

from support.loopback import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def certificate(openssl: str, folder: Path, *, name: str = "IP:127.0.0.1", days: int = 30) -> Path:
    """A certificate that signs itself, for a name, ending in so many days; gives the PEM file with its key."""
    key, request, made = folder / "key.pem", folder / "request.pem", folder / "certificate.pem"
    queried = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=test"]
    _run(openssl, *queried, "-addext", f"subjectAltName={name}", "-keyout", str(key), "-out", str(request))
    signed = ["x509", "-req", "-in", str(request), "-signkey", str(key), "-copy_extensions", "copy"]
    _run(openssl, *signed, "-days", str(days), "-out", str(made))
    made.write_text(key.read_text("ascii") + made.read_text("ascii"), "ascii")
    return made


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)  # noqa: S603 - fixed arguments


@contextlib.asynccontextmanager
async def behind_tls(url: str, made: Path) -> AsyncIterator[str]:
    """The https address of a relay to a plain server; it has this certificate."""
    host, _, port = url.removeprefix("http://").partition(":")

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(pass_on(reader, there_writer), pass_on(there_reader, writer))
        finally:
            for each in (writer, there_writer):
                each.close()

    async with listening(relay, serving(made)) as address:
        yield f"https://{address}"


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Write what is read, until the end."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


def serving(certificate: Path) -> ssl.SSLContext:
    """The context of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
