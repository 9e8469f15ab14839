"""The credentials that the simulated account has, and those it hands out."""

import math
from dataclasses import dataclass, field

from exporter.simulator.chance import stream

HOUR = 3600.0
TOKEN_LIFETIME = 24 * HOUR
"""How long a token lives, in seconds, by IAM's API reference."""
KEY_ROTATION = 12 * HOUR
"""The metadata service has a new temporary key so often; each lives for two rotations."""

DEMO_PROJECT_ID = "0123456789abcdef0123456789abcdef"
DEMO_REGION = "eu-west-101"
DEMO_ACCESS_KEY = "SIMULATEDACCESSKEY01"
DEMO_SECRET_KEY = "simulated-secret-key-of-no-account-at-all"  # noqa: S105 - opens the simulator only
DEMO_TOKEN = "simulated-token-that-never-ends"  # noqa: S105 - opens the simulator only
DEMO_USERNAME = "monitor"
DEMO_DOMAIN = "demo-account"
DEMO_PASSWORD = "simulated-password"  # noqa: S105 - opens the simulator only


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who may call: one permanent key, one IAM user, one token that never ends."""

    project_id: str = DEMO_PROJECT_ID
    access_key: str = DEMO_ACCESS_KEY
    secret_key: str = field(default=DEMO_SECRET_KEY, repr=False)
    token: str = field(default=DEMO_TOKEN, repr=False)
    username: str = DEMO_USERNAME
    domain: str = DEMO_DOMAIN
    password: str = field(default=DEMO_PASSWORD, repr=False)


@dataclass(frozen=True, slots=True)
class TemporaryKey:
    """A key pair of an agency; `expires` in seconds of the clock."""

    access: str
    secret: str = field(repr=False)
    security_token: str = field(repr=False)
    expires: float


def temporary_key(seed: int, rotation: int) -> TemporaryKey:
    """The key of a rotation, counted from the epoch."""
    dice = stream(seed, "temporary", rotation)
    return TemporaryKey(
        access=f"SIMTMP{dice.getrandbits(56):014X}",
        secret=f"{dice.getrandbits(160):040x}",
        security_token=f"simulated-security-token-{dice.getrandbits(256):064x}",
        expires=(rotation + 2) * KEY_ROTATION,
    )


def living_temporary_keys(seed: int, now: float) -> tuple[TemporaryKey, ...]:
    """The temporary keys that work at a time, the newest first: that one the metadata service hands out."""
    rotation = math.floor(now / KEY_ROTATION)
    return temporary_key(seed, rotation), temporary_key(seed, rotation - 1)


class Tokens:
    """The tokens that were issued or configured, and until when each works."""

    def __init__(self, seed: int, permanent: str) -> None:
        self._seed = seed
        self._expiry: dict[str, float] = {permanent: math.inf}
        self._issued = 0

    def issue(self, now: float) -> tuple[str, float]:
        """A new token and its end, in seconds of the clock; the old ones go on."""
        self._issued += 1
        token = f"MIIsimulated{stream(self._seed, 'token', self._issued).getrandbits(512):0128x}"
        self._expiry[token] = now + TOKEN_LIFETIME
        return token, self._expiry[token]

    def valid(self, token: str, now: float) -> bool:
        """Whether a token works at a time."""
        return now < self._expiry.get(token, -math.inf)

    def revoke_all(self) -> None:
        """End every token at once, as a changed password does."""
        self._expiry.clear()

    def revoke(self, token: str) -> None:
        """End one token."""
        self._expiry.pop(token, None)
