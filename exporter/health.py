"""``python -m exporter.health [address]``: whether the exporter answers; for containers, which have no curl."""

from __future__ import annotations

import http.client
import ssl
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

ADDRESS = "http://127.0.0.1:10099"
TIMEOUT = 3.0  # seconds


def healthy(address: str = ADDRESS) -> bool:
    """Whether an exporter lives at the address.

    Asking for a password, or for a certificate that a health check has not got, is a sign of life as well.
    """
    url = urlsplit(address)
    # Not urllib.request: the proxy of the environment is for the cloud, and leads nowhere from here.
    connection = (
        http.client.HTTPSConnection(url.netloc, timeout=TIMEOUT, context=_anyone())
        if url.scheme == "https"
        else http.client.HTTPConnection(url.netloc, timeout=TIMEOUT)
    )
    try:
        connection.request("GET", "/-/healthy")
        return connection.getresponse().status in {200, 401}
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
        return url.scheme == "https"  # where our having no certificate can end it
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _anyone() -> ssl.SSLContext:
    """Trust whoever is there: the certificate is for the name that others call, and nothing is told."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def main(arguments: Sequence[str]) -> int:
    """Return the exit code: 0 where the exporter at the address lives, else 1."""
    return 0 if healthy(*arguments) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
