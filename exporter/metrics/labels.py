"""Label values: few, whatever the cloud sends, and users named as configured."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.config import Metrics
from exporter.files import secret
from exporter.fleet import INIT_FAIL, OTHER, FreshUser

Samples = Mapping[Any, float | None]  # values by label values, a tuple of texts. A value of None leaves the sample out.
SomeSamples = Iterable[tuple[Any, float | None]]
KeptValues = Mapping[
    str, frozenset[str]
]  # the values of each label that keep their names, where other values become `other`
KeptAt = Mapping[int, frozenset[str]]  # the same by the position of the label
Fold = Callable[[SomeSamples, KeptAt, dict[Any, float]], None]  # adds samples to others, with rare values combined
EXPIRING_SOON = 30 * 86400  # seconds before an account expires in which its user is flagged
_YEAR_10000 = 253402300800  # directories write "never" as a later time
_HASH_LENGTH = 16  # hex digits, or 64 bits: a collision is unlikely even among a million users


def add_up(samples: SomeSamples, kept: KeptAt, into: dict[Any, float]) -> None:
    """Add samples up by their label values. Values that are not kept at their position become ``other``."""
    for values, value in samples:
        if value is not None:
            key = _folded(values, kept)
            into[key] = into.get(key, 0) + value


def merge(samples: SomeSamples, kept: KeptAt, into: dict[Any, float]) -> None:
    """Give each combination of label values once, where values that are not kept become ``other``."""
    into.update((_folded(values, kept), value) for values, value in samples if value is not None)


def drop(samples: SomeSamples, kept: KeptAt, into: dict[Any, float]) -> None:
    """Leave out samples with a value that is not kept."""
    into.update((values, value) for values, value in samples if value is not None and _folded(values, kept) == values)


def _folded(values: Iterable[str], kept: KeptAt) -> tuple[str, ...]:
    return tuple([OTHER if i in kept and text not in kept[i] else text for i, text in enumerate(values)])


@dataclass(frozen=True)
class Labelling:
    """How users are named, and how many values a label may have."""

    per_user: str  # `all`, `flagged` or `none` of the users get metrics of their own
    user_label: str  # `name`, `id` or `hash`
    hash_key: bytes = field(repr=False)
    max_values: int

    @classmethod
    def of(cls, settings: Metrics) -> Labelling:
        """Return the configured labelling. Raises OSError if the hash key's file cannot be read."""
        key = b""
        if settings.user_label == "hash":
            read = secret(settings.hash_key, settings.hash_key_file)
            assert read
            key = read().encode()
        return cls(settings.per_user, settings.user_label, key, settings.max_label_values)

    def label(self, user: FreshUser, now: float) -> str | None:
        """Return a user's label, or None if the user has no metrics of its own or the label is unknown yet."""
        if self.per_user == "none" or (self.per_user == "flagged" and not _flagged(user, now)):
            return None
        if self.user_label == "hash":
            return hmac.digest(self.hash_key, user.name.encode(), "sha256").hex()[:_HASH_LENGTH]
        return user.id if self.user_label == "id" else user.name


def _flagged(user: FreshUser, now: float) -> bool:
    """Return whether a user is missing, has a flag, failed session starts or an account that expires soon."""
    account = user.account
    expiry = expiry_of(user)
    return (
        user.missing
        or (account is not None and bool(account.locked or account.user_expired or account.disabled))
        or (expiry is not None and expiry < now + EXPIRING_SOON)
        or user.init_failures > 0
        or any(session.session_state == INIT_FAIL for session in user.listed)
    )


def expiry_of(user: FreshUser) -> float | None:
    """Return when the account expires in seconds since 1970, or None if never."""
    milliseconds = (user.account.account_expires if user.account else None) or 0
    return milliseconds / 1000 if 0 < milliseconds < _YEAR_10000 * 1000 else None
