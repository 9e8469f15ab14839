"""`SDK-HMAC-SHA256`: what a request's signature must be, computed from the request as received.

Source: "AK/SK Signing and Authentication Algorithm" of the API Request Signing Guide. Path and query are taken in
the client's own encoding: whoever signs other bytes than it sends is refused, as by the real gateway.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

from exporter.simulator.messages import Request

ALGORITHM = "SDK-HMAC-SHA256"
DATE_FORMAT = "%Y%m%dT%H%M%SZ"
HEADER = re.compile(
    ALGORITHM + r" Access=(?P<access>[^,\s]+), ?SignedHeaders=(?P<signed>[^,\s]+), ?Signature=(?P<hex>\w+)"
)


@dataclass(frozen=True, slots=True)
class Signature:
    """The claim of an `Authorization` header."""

    access_key: str
    signed_headers: tuple[str, ...]
    value: str


def parse_signature(authorization: str) -> Signature | None:
    """The claim, or None where the header is of no such form."""
    found = HEADER.fullmatch(authorization.strip())
    return found and Signature(found["access"], tuple(found["signed"].split(";")), found["hex"])


def signing_time(text: str | None) -> float | None:
    """The time in an X-Sdk-Date header in seconds since the epoch, None where it is missing or malformed."""
    try:
        return datetime.strptime(text or "", DATE_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def canonical_query(raw: str) -> str:
    """The query's parts ordered by decoded name and value, each as it was sent."""
    pairs = [part.partition("=") for part in raw.split("&") if part]
    pairs.sort(key=lambda pair: (unquote(pair[0]), unquote(pair[2])))
    return "&".join(f"{name}={value}" for name, _, value in pairs)


def canonical_request(request: Request, signed_headers: tuple[str, ...]) -> str:
    """The text whose hash is signed."""
    path = request.path if request.path.endswith("/") else request.path + "/"
    headers = "".join(f"{name}:{(request.header(name) or '').strip()}\n" for name in signed_headers)
    payload = request.header("X-Sdk-Content-Sha256") or hashlib.sha256(request.body).hexdigest()
    lines = (request.method, path, canonical_query(request.query), headers, ";".join(signed_headers), payload)
    return "\n".join(lines)


def sign(secret_key: str, date: str, canonical: str) -> str:
    """The signature of a canonical request under a secret key."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return hmac.new(secret_key.encode(), f"{ALGORITHM}\n{date}\n{digest}".encode(), hashlib.sha256).hexdigest()
