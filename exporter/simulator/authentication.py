"""Authentication at the API gateway: tokens, `SDK-HMAC-SHA256` signatures, and the lock on a key that keeps failing.

Sources: "AK/SK Signing and Authentication Algorithm" in the API Request Signing Guide, and "Common Errors Related to
IAM Authentication Information" in the guides of the API Gateway. A signature is verified against path and query in
the client's own encoding: like the real gateway, this one rejects a client that signs other bytes than it sends.
"""

import hashlib
import hmac
import re
from datetime import UTC, datetime
from urllib.parse import unquote

from exporter.simulator.identity import Identity
from exporter.simulator.messages import Request, unauthorized

CLOCK_TOLERANCE = 15 * 60.0  # seconds, in both directions
FAILURES_ALLOWED = 5  # failed signatures in a row; the next one locks the key
LOCK_DURATION = 5 * 60.0  # seconds
ALGORITHM = "SDK-HMAC-SHA256"
DATE_FORMAT = "%Y%m%dT%H%M%SZ"
AUTHORIZATION = re.compile(
    ALGORITHM + r" Access=(?P<key>[^,\s]+), ?SignedHeaders=(?P<headers>[^,\s]+), ?Signature=(?P<signature>\w+)"
)


def canonical_query(raw: str) -> str:
    """Return the parameters as they were sent, sorted by decoded name and value."""
    pairs = [part.partition("=") for part in raw.split("&") if part]
    pairs.sort(key=lambda pair: (unquote(pair[0]), unquote(pair[2])))
    return "&".join(f"{name}={value}" for name, _, value in pairs)


def canonical_request(request: Request, signed_headers: list[str]) -> str:
    """Return the text that a signature covers."""
    path = request.path if request.path.endswith("/") else request.path + "/"
    headers = "".join(f"{name}:{(request.header(name) or '').strip()}\n" for name in signed_headers)
    payload = request.header("X-Sdk-Content-Sha256") or hashlib.sha256(request.body).hexdigest()
    lines = (request.method, path, canonical_query(request.query), headers, ";".join(signed_headers), payload)
    return "\n".join(lines)


def sign(secret_key: str, date: str, canonical: str) -> str:
    """Return the signature of a canonical request."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return hmac.new(secret_key.encode(), f"{ALGORITHM}\n{date}\n{digest}".encode(), hashlib.sha256).hexdigest()


def signature_problem(request: Request, claim: re.Match[str], secret_key: str, now: float) -> str | None:
    """Return why the gateway rejects the signature that a request claims, or None if it is valid."""
    signed_headers = claim["headers"].split(";")
    date = request.header("X-Sdk-Date") or ""
    try:
        signed_at = datetime.strptime(date, DATE_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        signed_at = None
    if signed_at is None or "x-sdk-date" not in signed_headers:
        return "verify aksk signature fail, x-sdk-date is missing, malformed or not signed"
    if abs(now - signed_at) > CLOCK_TOLERANCE:
        server_time = datetime.fromtimestamp(now, UTC).strftime(DATE_FORMAT)
        return f"calc aksk signature fail:signature expired, signature time:{date},server time:{server_time}"
    canonical = canonical_request(request, signed_headers)
    if not hmac.compare_digest(sign(secret_key, date, canonical).encode(), claim["signature"].encode()):
        return "verify aksk signature fail, canonicalRequest:" + canonical.replace("\n", "|")
    return None


class Authenticator:
    """The check of credentials, which locks a key after too many failed signatures in a row."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._failures: dict[str, int] = {}
        self._locked_until: dict[str, float] = {}

    def check(self, request: Request, now: float) -> None:
        """Accept a request with a valid token or signature, or raise a 401."""
        token = request.header("X-Auth-Token")
        if token is None:
            self._check_signature(request, now)
        elif not self._identity.tokens.valid(token, now):
            raise unauthorized("decrypt token fail")

    def _check_signature(self, request: Request, now: float) -> None:
        claim = AUTHORIZATION.fullmatch((request.header("Authorization") or "").strip())
        if claim is None:
            raise unauthorized("no token or signature in the request")
        key = claim["key"]
        if now < self._locked_until.get(key, now):
            raise unauthorized("AK access failed to reach the limit,forbidden.")
        problem = signature_problem(request, claim, self._secret_key(request, key, now), now)
        if problem is None:
            self._failures.pop(key, None)
            return
        self._failures[key] = self._failures.get(key, 0) + 1
        if self._failures[key] > FAILURES_ALLOWED:
            self._locked_until[key] = now + LOCK_DURATION
            del self._failures[key]
        raise unauthorized(problem)

    def _secret_key(self, request: Request, access_key: str, now: float) -> str:
        """Return the secret key of an access key; a temporary one requires its security token, too."""
        if access_key == self._identity.account.access_key:
            return self._identity.account.secret_key
        for key in self._identity.temporary_keys(now):
            if key["access"] == access_key:
                if request.header("X-Security-Token") != key["securitytoken"]:
                    raise unauthorized("Get secretKey failed")
                return key["secret"]
        raise unauthorized(f"ak {access_key} not exist")
