"""The user accounts: which of them are locked, expired or disabled at a time.

Times are in simulated seconds, as in `timeline`.
"""

from dataclasses import dataclass
from functools import lru_cache

from exporter.simulator.chance import stream
from exporter.simulator.timeline import DAY, MINUTE, START

LOCK_EVERY = 120 * MINUTE
LOCK_FOR = 40 * MINUTE

KINDS = 25
"""Of so many users by rank, one is each of the following; the others only expire some day, or never."""
LOCKED, EXPIRED, DISABLED, EXPIRING = 5, 6, 7, 8


@dataclass(frozen=True, slots=True)
class Account:
    """What is settled about an account: `expires` is None for one that never does."""

    disabled: bool
    expires: float | None
    first_lock: float | None

    def locked(self, at: float) -> bool:
        """Whether the account is locked: after wrong passwords, until somebody unlocks it."""
        return self.first_lock is not None and (at - self.first_lock) % LOCK_EVERY < LOCK_FOR

    def expired(self, at: float) -> bool:
        """Whether the account's validity is over."""
        return self.expires is not None and at >= self.expires


@lru_cache(200_000)
def account(seed: int, name: str, rank: int) -> Account:
    """The account of a user."""
    dice = stream(seed, "account", name)
    kind = rank % KINDS
    expiry = {EXPIRED: START - 2 * DAY, EXPIRING: START + 45 * MINUTE}
    someday = None if dice.random() < 0.2 else START + round(dice.uniform(5, 300)) * DAY  # noqa: PLR2004 - one in five never
    return Account(
        disabled=kind == DISABLED,
        expires=expiry.get(kind, someday),
        first_lock=START - dice.uniform(0, LOCK_FOR) if kind == LOCKED else None,
    )
