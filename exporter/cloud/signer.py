"""The SDK-HMAC-SHA256 signature by access key and secret key (AK/SK).

Checked against the official SDK's ``Signer``. Sign exactly what is sent: :func:`encoded` is the one encoding of
paths and queries on both sides of the wire.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ALGORITHM = "SDK-HMAC-SHA256"
_HASH_OF_NOTHING = hashlib.sha256(b"").hexdigest()
_needs_encoding = re.compile(r"[^A-Za-z0-9._~-]").search  # most names do not, and quote() costs five times as much
_path_needs_encoding = re.compile(r"[^A-Za-z0-9._~/-]").search


def encoded(text: str) -> str:
    """Percent-encode all but letters, digits and ``-._~``."""
    return quote(text, safe="~") if _needs_encoding(text) else text


def query_string(parameters: Iterable[tuple[str, str]]) -> str:
    """The canonical query: encoded pairs in the order of their names and values."""
    return "&".join(f"{encoded(name)}={encoded(value)}" for name, value in sorted(parameters))


def signature_headers(  # noqa: PLR0913 - these are the parts of a request, and nothing else
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    access_key: str,
    secret_key: str,
    now: float,
) -> dict[str, str]:
    """The headers ``X-Sdk-Date`` and ``Authorization`` for a request.

    ``path`` and ``query`` are as sent, ``query`` made by :func:`query_string`. All ``headers`` are signed, so they
    must hold ``Host`` and reach the cloud unchanged. ``now`` is in seconds since 1970; the cloud refuses a date more
    than 15 minutes off.
    """
    date = _date(int(now))
    signed = sorted([(name.lower(), value.strip()) for name, value in {**headers, "X-Sdk-Date": date}.items()])
    names = ";".join([name for name, _ in signed])
    lines = "".join([f"{name}:{value}\n" for name, value in signed])
    body_hash = hashlib.sha256(body).hexdigest() if body else _HASH_OF_NOTHING
    canonical_request = f"{method}\n{_canonical_path(path)}\n{query}\n{lines}\n{names}\n{body_hash}"
    string_to_sign = f"{_ALGORITHM}\n{date}\n{hashlib.sha256(canonical_request.encode()).hexdigest()}"
    signature = _keyed(secret_key).copy()
    signature.update(string_to_sign.encode())
    return {
        "X-Sdk-Date": date,
        "Authorization": f"{_ALGORITHM} Access={access_key}, SignedHeaders={names}, Signature={signature.hexdigest()}",
    }


@lru_cache(maxsize=1)  # many requests share a second
def _date(now: int) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


@lru_cache(maxsize=16)  # to begin with a key costs more than what follows
def _keyed(secret_key: str) -> hmac.HMAC:
    return hmac.new(secret_key.encode(), digestmod=hashlib.sha256)


def _canonical_path(path: str) -> str:
    canonical = path
    if _path_needs_encoding(path):
        canonical = "/".join(encoded(segment) for segment in unquote(path).split("/"))
    return canonical if canonical.endswith("/") else f"{canonical}/"
