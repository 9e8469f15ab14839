"""Who is calling: tokens and signatures, and the lock on a key that keeps failing.

The messages are those of "Common Errors Related to IAM Authentication Information" in the gateway's guides.
"""

import hmac
from datetime import UTC, datetime

from exporter.simulator.credentials import Account, TemporaryKey, Tokens, living_temporary_keys
from exporter.simulator.errors import unauthorized
from exporter.simulator.messages import Request
from exporter.simulator.signature import (
    DATE_FORMAT,
    Signature,
    canonical_request,
    parse_signature,
    sign,
    signing_time,
)

CLOCK_TOLERANCE = 15 * 60.0
"""How far a client's clock may be off, in seconds."""
FAILURES_ALLOWED = 5
"""So many failed signatures in a row are forgiven; the next one locks the key."""
LOCKED_FOR = 5 * 60.0
"""How long a locked key stays locked, in seconds."""


class Locks:
    """The failures in a row of each key."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def locked(self, access_key: str, now: float) -> bool:
        """Whether the key is refused unread."""
        return now < self._until.get(access_key, now)

    def failed(self, access_key: str, now: float) -> None:
        """Note a failure; one too many locks the key."""
        self._failures[access_key] = self._failures.get(access_key, 0) + 1
        if self._failures[access_key] > FAILURES_ALLOWED:
            self._until[access_key] = now + LOCKED_FOR
            del self._failures[access_key]

    def succeeded(self, access_key: str) -> None:
        """Forgive the failures so far."""
        self._failures.pop(access_key, None)


class Authenticator:
    """Refuses requests without valid credentials."""

    def __init__(self, account: Account, tokens: Tokens, seed: int) -> None:
        self._account = account
        self._tokens = tokens
        self._seed = seed
        self._locks = Locks()

    def check(self, request: Request, now: float) -> None:
        """Let a request pass that carries a valid token or signature.

        Raises:
            GatewayError: 401, it does not, or its key is locked.
        """
        token = request.header("X-Auth-Token")
        if token is not None:
            if not self._tokens.valid(token, now):
                raise unauthorized("decrypt token fail")
            return
        signature = parse_signature(request.header("Authorization") or "")
        if signature is None:
            raise unauthorized("no token or signature in the request")
        self._check_signature(request, signature, now)

    def _check_signature(self, request: Request, signature: Signature, now: float) -> None:
        key = signature.access_key
        if self._locks.locked(key, now):
            raise unauthorized("AK access failed to reach the limit,forbidden.")
        problem = signature_problem(request, signature, self._secret(request, key, now), now)
        if problem is not None:
            self._locks.failed(key, now)
            raise unauthorized(problem)
        self._locks.succeeded(key)

    def _secret(self, request: Request, access_key: str, now: float) -> str:
        """The secret to an access key; a temporary one needs its security token, too."""
        if access_key == self._account.access_key:
            return self._account.secret_key
        for key in living_temporary_keys(self._seed, now):
            if key.access == access_key:
                return secret_of(key, request.header("X-Security-Token"))
        raise unauthorized(f"ak {access_key} not exist")


def secret_of(key: TemporaryKey, security_token: str | None) -> str:
    """The secret of a temporary key.

    Raises:
        GatewayError: 401, the security token is not the key's.
    """
    if not hmac.compare_digest((security_token or "").encode(), key.security_token.encode()):
        raise unauthorized("Get secretKey failed")
    return key.secret


def signature_problem(request: Request, signature: Signature, secret_key: str, now: float) -> str | None:
    """Why a signature is refused, None where it is right."""
    date = request.header("X-Sdk-Date")
    signed_at = signing_time(date)
    if date is None or signed_at is None or "x-sdk-date" not in signature.signed_headers:
        return "verify aksk signature fail, x-sdk-date is missing, malformed or not signed"
    if abs(now - signed_at) > CLOCK_TOLERANCE:
        server_time = datetime.fromtimestamp(now, UTC).strftime(DATE_FORMAT)
        return f"calc aksk signature fail:signature expired, signature time:{date},server time:{server_time}"
    canonical = canonical_request(request, signature.signed_headers)
    if not hmac.compare_digest(sign(secret_key, date, canonical).encode(), signature.value.encode()):
        return "verify aksk signature fail, canonicalRequest:" + canonical.replace("\n", "|")
    return None
