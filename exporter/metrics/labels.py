"""Label values that stay few, whatever the cloud sends; short they are from the start."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.fleet import OTHER
from exporter.secrets import secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter import config
    from exporter.fleet import FreshUser

_HASH_LENGTH = 16  # hex digits: 64 bits, so that a million users still hardly share one


def commonest(weights: Iterable[tuple[str, int]], most: int) -> Callable[[str], str]:
    """A folding that keeps the ``most`` heaviest values and makes the others ``other``."""
    totals: Counter[str] = Counter()
    for value, weight in weights:
        totals[value] += weight
    ranked = sorted(totals, key=lambda value: (-totals[value], value))
    return keeping(ranked[:most])


def keeping(values: Iterable[str]) -> Callable[[str], str]:
    """A folding that keeps these values and makes all others ``other``."""
    kept = frozenset(values)
    return lambda value: value if value in kept else OTHER


@dataclass(frozen=True)
class Labelling:
    """How users are named and how many values a label may have."""

    per_user: str
    """``all``, ``flagged`` or ``none`` of the users get metrics of their own."""
    user_label: Callable[[FreshUser], str | None]
    """How a user is called; None as long as that cannot be said."""
    max_values: int

    @classmethod
    def of(cls, settings: config.Metrics) -> Labelling:
        """As the configuration says. Raises OSError where the hash key's file cannot be read."""
        return cls(settings.per_user, _user_label(settings), settings.max_label_values)


def _user_label(settings: config.Metrics) -> Callable[[FreshUser], str | None]:
    match settings.user_label:
        case "name":
            return lambda user: user.name
        case "id":
            return lambda user: user.id
        case "hash":
            key = _hash_key(settings)
            return lambda user: hmac.new(key, user.name.encode(), hashlib.sha256).hexdigest()[:_HASH_LENGTH]


def _hash_key(settings: config.Metrics) -> bytes:
    read = secret(settings.hash_key, settings.hash_key_file)
    assert read
    return read().encode()
