"""The SDK-HMAC-SHA256 signature by access key and secret key (AK/SK).

Checked against the official SDK's ``Signer``. Sign exactly what is sent: :func:`encoded` is the one encoding of
paths and queries on both sides of the wire.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ALGORITHM = "SDK-HMAC-SHA256"


def encoded(text: str) -> str:
    """Percent-encode all but letters, digits and ``-._~``."""
    return quote(text, safe="~")


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
    date = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    signed = sorted((name.lower(), value.strip()) for name, value in {**headers, "X-Sdk-Date": date}.items())
    names = ";".join(name for name, _ in signed)
    canonical_request = "\n".join(
        (
            method,
            _canonical_path(path),
            query,
            *(f"{name}:{value}" for name, value in signed),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    string_to_sign = f"{_ALGORITHM}\n{date}\n{hashlib.sha256(canonical_request.encode()).hexdigest()}"
    signature = hmac.new(secret_key.encode(), string_to_sign.encode(), hashlib.sha256).hexdigest()
    return {
        "X-Sdk-Date": date,
        "Authorization": f"{_ALGORITHM} Access={access_key}, SignedHeaders={names}, Signature={signature}",
    }


def _canonical_path(path: str) -> str:
    canonical = "/".join(encoded(segment) for segment in unquote(path).split("/"))
    return canonical if canonical.endswith("/") else f"{canonical}/"
