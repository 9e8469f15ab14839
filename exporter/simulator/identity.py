"""IAM, the ECS metadata service and the API gateway's authentication: tokens, `SDK-HMAC-SHA256` signatures, key locks.

Sources: "AK/SK Signing and Authentication Algorithm" in the API Request Signing Guide, and "Common Errors Related to
IAM Authentication Information" in the guides of the API Gateway. A signature must match the bytes that a client sends.
"""

import hashlib
import hmac
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from exporter.simulator.schema import IamError, Request, Response, json_response, unauthorized, utc
from exporter.simulator.simulation import HOUR, stream

CLOCK_TOLERANCE = 15 * 60.0  # seconds, in both directions
FAILURES_ALLOWED = 5  # failed signatures in a row; the next one locks the key
LOCK_DURATION = 5 * 60.0  # seconds
ALGORITHM = "SDK-HMAC-SHA256"
DATE_FORMAT = "%Y%m%dT%H%M%SZ"
AUTHORIZATION = re.compile(
    ALGORITHM + r" Access=(?P<key>[^,\s]+), ?SignedHeaders=(?P<headers>[^,\s]+), ?Signature=(?P<signature>\w+)"
)
TOKEN_LIFETIME = 24 * HOUR  # source: API reference of IAM
KEY_ROTATION = 12 * HOUR  # from one temporary key to the next; each is valid for two rotations
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"

DEMO_PROJECT_ID = "0123456789abcdef0123456789abcdef"
DEMO_REGION = "ap-southeast-3"
DEMO_ACCESS_KEY = "SIMULATEDACCESSKEY01"
DEMO_SECRET_KEY = "simulated-secret-key-of-no-account-at-all"  # noqa: S105 - valid for the simulator only
DEMO_TOKEN = "simulated-token-that-never-ends"  # noqa: S105 - valid for the simulator only
DEMO_USERNAME = "monitor"
DEMO_DOMAIN = "demo-account"
DEMO_PASSWORD = "simulated-password"  # noqa: S105 - valid for the simulator only
DEMO_ID_TOKEN = "simulated-id-token"  # noqa: S105 - valid for the simulator only
DEMO_POD_TOKEN = "simulated-service-account-token"  # noqa: S105 - valid for the simulator only
DEMO_IDP_ID = "demo-idp"
DEMO_PROVIDER_URN = "iam::0123456789:oidcProvider:demo"
DEMO_AGENCY_URN = "iam::0123456789:agency:workspace-exporter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account that may query the cloud: a permanent key, an IAM user and a token that never expires.

    Its agency is granted to an ID token of its OIDC provider, and to a pod with its service account's token.
    """

    project_id: str = DEMO_PROJECT_ID
    access_key: str = DEMO_ACCESS_KEY
    secret_key: str = field(default=DEMO_SECRET_KEY, repr=False)
    token: str = field(default=DEMO_TOKEN, repr=False)
    username: str = DEMO_USERNAME
    domain: str = DEMO_DOMAIN
    password: str = field(default=DEMO_PASSWORD, repr=False)
    id_token: str = field(default=DEMO_ID_TOKEN, repr=False)
    idp_id: str = DEMO_IDP_ID
    provider_urn: str = DEMO_PROVIDER_URN
    agency_urn: str = DEMO_AGENCY_URN
    pod_token: str = field(default=DEMO_POD_TOKEN, repr=False)


class Tokens:
    """The valid tokens of a kind and when each expires, in wall-clock seconds."""

    def __init__(self, seed: int, permanent: str | None = None, kind: str = "token") -> None:
        self._seed = seed
        self._kind = kind
        self._expiry: dict[str, float] = {permanent: math.inf} if permanent else {}
        self._issued = 0

    def issue(self, now: float) -> tuple[str, float]:
        """Return a new token and when it expires; earlier tokens stay valid."""
        self._issued += 1
        token = f"MIIsimulated{stream(self._seed, self._kind, self._issued).getrandbits(512):0128x}"
        self._expiry[token] = now + TOKEN_LIFETIME
        return token, self._expiry[token]

    def valid(self, token: str, now: float) -> bool:
        """Return whether a token is valid."""
        return now < self._expiry.get(token, -math.inf)

    def revoke_all(self) -> None:
        """Revoke every token, as a changed password does."""
        self._expiry.clear()

    def revoke(self, token: str) -> None:
        """Revoke one token."""
        self._expiry.pop(token, None)


class TemporaryKey(NamedTuple):
    """A key that works only with its security token; `expires` is in wall-clock seconds."""

    access: str
    secret: str
    security_token: str
    expires: float


def _temporary_key(expires: float, *key: str | int) -> TemporaryKey:
    rng = stream(*key)
    access, secret = f"SIMTMP{rng.getrandbits(56):014X}", f"{rng.getrandbits(160):040x}"
    return TemporaryKey(access, secret, f"simulated-security-token-{rng.getrandbits(256):064x}", expires)


def canonical_request(request: Request, signed_headers: list[str]) -> str:
    """Return the text that a signature covers."""
    path = request.path.removesuffix("/") + "/"
    parameters = [part.partition("=") for part in request.query.split("&") if part]
    parameters.sort(key=lambda pair: (unquote(pair[0]), unquote(pair[2])))
    query = "&".join(f"{name}={value}" for name, _, value in parameters)
    headers = "".join(f"{name}:{(request.header(name) or '').strip()}\n" for name in signed_headers)
    payload = request.header("X-Sdk-Content-Sha256") or hashlib.sha256(request.body).hexdigest()
    lines = (request.method, path, query, headers, ";".join(signed_headers), payload)
    return "\n".join(lines)


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
        return f"calc aksk signature fail:signature expired, signature time:{date},server time:{utc(now, DATE_FORMAT)}"
    canonical = canonical_request(request, signed_headers)
    text = f"{ALGORITHM}\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    if claim["signature"] != hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).hexdigest():
        return "verify aksk signature fail, canonicalRequest:" + canonical.replace("\n", "|")
    return None


class Identity:
    """IAM, metadata service and gateway for one account. The gateway locks a key after too many failed signatures."""

    def __init__(self, account: Account, tokens: Tokens, seed: int) -> None:
        self.account = account
        self.tokens = tokens
        self._seed = seed
        self._failures: Counter[str] = Counter()  # failed signatures in a row, by access key
        self._locked_until: dict[str, float] = {}
        self._issued: dict[str, TemporaryKey] = {}

    def create_token(self, request: Request, now: float) -> Response:
        """Return a new token; raise a 400 for a malformed body, a 401 for a wrong user, password or project."""
        account = self.account
        try:
            auth = msgspec.json.decode(request.body)["auth"]
            user, project = auth["identity"]["password"]["user"], auth["scope"]["project"]
            given = (user["name"], user["domain"].get("name"), user["password"])
            project_id, project_name = project.get("id"), project.get("name")
        except (msgspec.DecodeError, AttributeError, LookupError, TypeError) as error:
            raise IamError(HTTPStatus.BAD_REQUEST, "Request body is invalid.") from error
        if given != (account.username, account.domain, account.password):
            raise IamError(HTTPStatus.UNAUTHORIZED, "The username or password is wrong.")
        if project_id not in (None, account.project_id):
            raise IamError(HTTPStatus.UNAUTHORIZED, "The user has no role in the project.")
        token, expires = self.tokens.issue(now)
        domain = {"domain": {"name": account.domain}}
        described = {
            "expires_at": utc(expires, TIME),
            "issued_at": utc(now, TIME),
            "methods": ["password"],
            "catalog": [],
            "roles": [{"id": "0", "name": "Workspace ReadOnlyAccess"}],
            "project": {"id": account.project_id, "name": project_name or DEMO_REGION, **domain},
            "user": {"name": account.username, **domain},
        }
        return json_response({"token": described}, HTTPStatus.CREATED, **{"X-Subject-Token": token})

    def rotating_key(self, now: float) -> TemporaryKey:
        """Return the newest key of the metadata service."""
        rotation = math.floor(now / KEY_ROTATION)
        return _temporary_key((rotation + 2) * KEY_ROTATION, self._seed, "temporary", rotation)

    def issue_key(self, now: float, lifetime: float) -> TemporaryKey:
        """Return a new temporary key; earlier ones stay valid until they expire."""
        key = _temporary_key(now + lifetime, self._seed, "issued", len(self._issued))
        self._issued[key.access] = key
        return key

    def check(self, request: Request, now: float) -> None:
        """Accept a request with a valid token or signature, or raise a 401."""
        token = request.header("X-Auth-Token")
        if token is None:
            self._check_signature(request, now)
        elif not self.tokens.valid(token, now):
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
            del self._failures[key]
            return
        self._failures[key] += 1
        if self._failures[key] > FAILURES_ALLOWED:
            self._locked_until[key] = now + LOCK_DURATION
            del self._failures[key]
        raise unauthorized(problem)

    def _secret_key(self, request: Request, access_key: str, now: float) -> str:
        """Return the secret key of an access key; a temporary one requires its security token, too."""
        if access_key == self.account.access_key:
            return self.account.secret_key
        rotating = (self.rotating_key(now), self.rotating_key(now - KEY_ROTATION))
        key = self._issued.get(access_key) or next((key for key in rotating if key.access == access_key), None)
        if key is None:
            raise unauthorized(f"ak {access_key} not exist")
        if request.header("X-Security-Token") != key.security_token:
            raise unauthorized("Get secretKey failed")
        if now >= key.expires:
            raise unauthorized("the temporary access key has expired")
        return key.secret
