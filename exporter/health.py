"""`python -m exporter.health [address]`: the health check of containers, which have no curl."""

import http.client
import ssl
import sys
from urllib.parse import unquote, urlsplit

ADDRESS = "http://127.0.0.1:10099"
TIMEOUT = 3.0  # seconds


def healthy(address: str = ADDRESS) -> bool:
    """Return whether an exporter is alive at a URL or a listen address.

    One that requires a password or a certificate is alive.
    """
    url = urlsplit(address if "://" in address else f"http://{address}")
    host = unquote(url.hostname or "127.0.0.1")  # a link-local address ends with its interface: fe80::1%25eth0
    # Not urllib.request, which would use the proxy for the cloud.
    connection = http.client.HTTPConnection(host, url.port or 80, timeout=TIMEOUT)
    if url.scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # the certificate's name is for other clients, and no secret is sent
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, url.port or 443, timeout=TIMEOUT, context=context)
    try:
        connection.request("GET", "/-/healthy")
        return connection.getresponse().status in {200, 401}
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
        return url.scheme == "https"  # a live server that requires a client certificate may end it this way
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if healthy(*sys.argv[1:]) else 1)
