"""The credentials of the simulated account, IAM's tokens and the temporary keys of the ECS metadata service."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec

from exporter.simulator.messages import IamError, Request, Response, json_response
from exporter.simulator.schema import utc
from exporter.simulator.simulation import HOUR, stream

TOKEN_LIFETIME = 24 * HOUR  # source: API reference of IAM
KEY_ROTATION = 12 * HOUR  # from one temporary key to the next; each is valid for two rotations
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"

DEMO_PROJECT_ID = "0123456789abcdef0123456789abcdef"
DEMO_REGION = "eu-west-101"
DEMO_ACCESS_KEY = "SIMULATEDACCESSKEY01"
DEMO_SECRET_KEY = "simulated-secret-key-of-no-account-at-all"  # noqa: S105 - valid for the simulator only
DEMO_TOKEN = "simulated-token-that-never-ends"  # noqa: S105 - valid for the simulator only
DEMO_USERNAME = "monitor"
DEMO_DOMAIN = "demo-account"
DEMO_PASSWORD = "simulated-password"  # noqa: S105 - valid for the simulator only


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account that may query the cloud: a permanent key, an IAM user and a token that never expires."""

    project_id: str = DEMO_PROJECT_ID
    access_key: str = DEMO_ACCESS_KEY
    secret_key: str = field(default=DEMO_SECRET_KEY, repr=False)
    token: str = field(default=DEMO_TOKEN, repr=False)
    username: str = DEMO_USERNAME
    domain: str = DEMO_DOMAIN
    password: str = field(default=DEMO_PASSWORD, repr=False)


class Tokens:
    """The valid tokens and when each expires, in wall-clock seconds."""

    def __init__(self, seed: int, permanent: str) -> None:
        self._seed = seed
        self._expiry: dict[str, float] = {permanent: math.inf}
        self._issued = 0

    def issue(self, now: float) -> tuple[str, float]:
        """Return a new token and when it expires; earlier tokens stay valid."""
        self._issued += 1
        token = f"MIIsimulated{stream(self._seed, 'token', self._issued).getrandbits(512):0128x}"
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


@dataclass(frozen=True, slots=True)
class Identity:
    """IAM and the ECS metadata service of one account."""

    account: Account
    tokens: Tokens
    seed: int

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

    def temporary_keys(self, now: float) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return the two valid temporary keys as the metadata service formats them, the newer one first."""
        rotation = math.floor(now / KEY_ROTATION)
        return self._temporary_key(rotation), self._temporary_key(rotation - 1)

    def _temporary_key(self, rotation: int) -> Mapping[str, str]:
        rng = stream(self.seed, "temporary", rotation)
        return {
            "access": f"SIMTMP{rng.getrandbits(56):014X}",
            "secret": f"{rng.getrandbits(160):040x}",
            "securitytoken": f"simulated-security-token-{rng.getrandbits(256):064x}",
            "expires_at": utc((rotation + 2) * KEY_ROTATION, TIME),
        }
