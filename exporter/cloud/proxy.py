"""The proxy of a request, from the configuration or the environment, and how it learns its own user and password.

The rules for NO_PROXY are those of Go's ``httpproxy``, except that addresses of the machine itself are no exception.
As in curl, blanks separate entries, too, trailing dots are ignored, and ALL_PROXY serves every scheme.
"""

import ipaddress
import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypedDict
from urllib.parse import unquote_to_bytes, urlsplit

from exporter.config.values import ascii_host, split_proxy

_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST_AND_PORT = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^:]*))(?::(?P<port>[0-9]{0,5}))?")


class UnusableProxyError(ValueError):
    """The environment names a proxy that cannot be used. The text names the variable and quotes nothing."""


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy. As text it is host and port; its user and password are only in the header."""

    url: str  # without user and password
    authorization: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return urlsplit(self.url).netloc

    @classmethod
    def of(cls, url: str) -> "Proxy":
        """Return the proxy of a URL with or without user and password. Raises ValueError, which does not quote it."""
        address, login = split_proxy(url)
        if not login:
            return cls(address)
        # Bytes, because an escape need not be UTF-8. What is no valid escape is sent as written.
        user, _, password = login.partition(":")
        encoded = b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password))
        return cls(address, f"Basic {encoded.decode('ascii')}")


class ProxyArguments(TypedDict):
    """Arguments of aiohttp's ``request`` about headers and proxy."""

    headers: dict[str, str]
    proxy: str | None
    proxy_headers: dict[str, str] | None


def proxy_arguments(endpoint: str, proxy: Proxy | None, headers: Mapping[str, str]) -> ProxyArguments:
    """Return how to send a request with these headers to an endpoint through a proxy, if there is one.

    Within TLS the proxy only sees CONNECT. Without, it reads the request itself.
    """
    login = {"Proxy-Authorization": proxy.authorization} if proxy and proxy.authorization else {}
    tunnelled = endpoint.startswith("https:")
    return {
        "headers": {**headers, **({} if tunnelled else login)},
        "proxy": proxy.url if proxy else None,
        "proxy_headers": login if tunnelled and login else None,
    }


def proxy_from_environment(endpoint: str, environ: Mapping[str, str] = os.environ) -> Proxy | None:
    """Return the proxy that the environment names for an endpoint; None if it names none, or NO_PROXY the host.

    Raises:
        UnusableProxyError: the proxy cannot be used.
    """
    parts = urlsplit(endpoint)
    variables = (f"{parts.scheme}_proxy", f"{parts.scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    name = next((each for each in variables if environ.get(each, "").strip()), None)  # empty ones count as unset
    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if name is None or bypasses(no_proxy, parts.hostname or "", parts.port or _PORTS[parts.scheme]):
        return None
    url = environ[name].strip()
    try:
        return Proxy.of(url if _SCHEME.match(url) else f"http://{url}")
    except ValueError as error:
        raise UnusableProxyError(f"{name} {error}") from None


def socks_variables(environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Yield a text about each variable that names a SOCKS proxy, whether an endpoint would be reached by it or not."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        if environ.get(name, "").strip().lower().startswith("socks"):
            yield f"{name} names a SOCKS proxy, which is not supported and not used"


def bypasses(no_proxy: str, host: str, port: int) -> bool:
    """Return whether NO_PROXY lists a host.

    An entry is ``*`` for all hosts, an IP address or network, a name (which includes its subdomains), or ``.name`` or
    ``*.name`` (subdomains alone). An address or name may have a port. Entries of another form are ignored.
    """
    address, name = _address(host), _ascii(host)
    return any(
        entry == "*" or (_lists_address(entry, address, port) if address else _lists_name(entry, name, port))
        for entry in re.split(r"[\s,]+", no_proxy.lower())
    )


def _lists_address(entry: str, address: Address, port: int) -> bool:
    listed, port_matches = (entry, True) if _address(entry) else _without_port(entry, port)
    if single := _address(listed):
        return port_matches and single == address
    try:
        return address in ipaddress.ip_network(re.sub(r"[\[\]]", "", entry), strict=False)
    except ValueError:
        return False


def _lists_name(entry: str, name: str, port: int) -> bool:
    listed, port_matches = _without_port(entry, port)
    domain = _ascii(listed.removeprefix("*.").removeprefix("."))
    exact = not listed.startswith((".", "*.")) and name == domain
    return bool(domain) and port_matches and (exact or name.endswith(f".{domain}"))


def _without_port(entry: str, port: int) -> tuple[str, bool]:
    """Return the host of an entry, and whether its port is this one or missing."""
    match = _HOST_AND_PORT.fullmatch(entry)
    return (match["v6"] or match["name"] or "", int(match["port"] or port) == port) if match else ("", False)


def _address(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _ascii(name: str) -> str:
    bare = name.lower().rstrip(".")
    try:
        return ascii_host(bare)
    except ValueError:
        return bare
