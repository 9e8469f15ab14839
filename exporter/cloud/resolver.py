"""Name resolution that cannot delay the end of the process."""

import socket
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

from exporter.threads import in_a_thread

_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


class Resolver(AbstractResolver):
    """The system's resolver, in threads that are not joined at exit. The connector caches the results."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses, the preferred one first. Raises OSError."""
        return await in_a_thread(partial(_resolved, host, port, family))

    async def close(self) -> None:
        """Do nothing, because nothing is open."""


def _resolved(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=socket.getnameinfo(address, _NUMERIC)[0],  # includes the interface if an address needs one
            port=port,
            family=kind,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, proto, _, address in found
    ]
