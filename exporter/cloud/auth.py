"""Authentication headers: a token, or the SDK-HMAC-SHA256 signature by access key and secret key (AK/SK).

The signature is checked against the official SDK's ``Signer``. It covers exactly what is sent: :func:`encoded` is the
only encoding of paths and queries.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, unquote

from exporter.cloud.transport import Request

_ALGORITHM = "SDK-HMAC-SHA256"
_EMPTY = hashlib.sha256()  # a copy costs less than a new one
_needs_encoding = re.compile(r"[^A-Za-z0-9._~-]").search  # most names do not, and quote() costs five times as much
_path_needs_encoding = re.compile(r"[^A-Za-z0-9._~/-]").search


@dataclass(frozen=True, slots=True)
class Token:
    """A token of IAM."""

    value: str = field(repr=False)

    def headers(self, request: Request, now: float) -> dict[str, str]:  # noqa: ARG002 - same shape as AccessKey's
        """Return the signed headers to send with ``request``."""
        return {**request.headers, "X-Auth-Token": self.value}


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key with its secret key. Temporary keys also have a security token."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)

    def headers(self, request: Request, now: float) -> dict[str, str]:
        """Return the headers to send with ``request``.

        ``now`` is in seconds since 1970. The cloud rejects a date that is more than 15 minutes off.
        """
        date = _date(int(now))
        headers = {**request.headers, "Host": request.host, "X-Sdk-Date": date}
        if self.security_token:
            headers["X-Security-Token"] = self.security_token
        order, names = _in_order(tuple(headers))
        lines = "".join([f"{lower}:{headers[name].strip()}\n" for lower, name in order])
        path = _canonical_path(request.full_path)
        canonical_request = f"{request.method}\n{path}\n{request.query}\n{lines}\n{names}\n{_hash(request.body).hex()}"
        text = f"{_ALGORITHM}\n{date}\n{_hash(canonical_request.encode()).hex()}"
        inner, outer = _hmac_hashes(self.secret_key)
        signature = _hash(_hash(text.encode(), inner), outer).hex()
        headers["Authorization"] = (
            f"{_ALGORITHM} Access={self.access_key}, SignedHeaders={names}, Signature={signature}"
        )
        return headers


Auth = Token | AccessKey


def encoded(text: str) -> str:
    """Percent-encode all but letters, digits and ``-._~``."""
    return quote(text, safe="~") if _needs_encoding(text) else text


def query_string(parameters: Iterable[tuple[str, str]]) -> str:
    """Return the canonical query: encoded pairs in the order of their names and values."""
    return "&".join(f"{encoded(name)}={encoded(value)}" for name, value in sorted(parameters))


@lru_cache(maxsize=1)  # many requests share a second
def _date(now: int) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


@lru_cache(maxsize=16)  # most requests have the same headers
def _in_order(names: tuple[str, ...]) -> tuple[list[tuple[str, str]], str]:
    """Return the names of headers in the order of the signature, each after its lower case, and the list of these."""
    order = sorted((name.lower(), name) for name in names)
    return order, ";".join(lower for lower, _ in order)


def _hash(data: bytes, begun: "hashlib._Hash" = _EMPTY) -> bytes:
    digest = begun.copy()
    digest.update(data)
    return digest.digest()


@lru_cache(maxsize=16)
def _hmac_hashes(secret_key: str) -> "tuple[hashlib._Hash, hashlib._Hash]":
    """Return the inner and the outer hash of HMAC (RFC 2104), begun with the key.

    OpenSSL's own HMAC, on which the module hmac builds, takes 10 µs longer for each request.
    """
    key = secret_key.encode()
    block = (_hash(key) if len(key) > _EMPTY.block_size else key).ljust(_EMPTY.block_size, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))
    return inner, outer


def _canonical_path(path: str) -> str:
    canonical = path
    if _path_needs_encoding(path):
        canonical = "/".join(encoded(segment) for segment in unquote(path).split("/"))
    return canonical if canonical.endswith("/") else f"{canonical}/"
