"""Label values: few, whatever the cloud sends, and users named as configured."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import islice
from operator import attrgetter
from typing import Any

from exporter.config import Metrics
from exporter.files import secret
from exporter.fleet import DOCUMENTED_STATES, INIT_FAIL, OTHER, FreshUser
from exporter.status import ProjectStatus

Samples = Mapping[Any, float | None]  # values by label values, a tuple of texts. A value of None leaves the sample out.
MAX_NEW_STATES = 20  # undocumented session states that keep their names
FOLDED_LABELS = ("session_state", "client_version", "agent_version", "failed_code", "app_server_group_id")
"""Labels with values from the cloud. A metric that has one gets at most ``metrics.max_label_values`` of its values."""

Kept = Mapping[str, frozenset[str]]  # the values of each label that keep their names, where other values become `other`
EXPIRING_SOON = 30 * 86400  # seconds before an account expires in which its user is flagged
USERS_A_PART = 100  # users rendered in one step, which takes a millisecond at most
_SAMPLES_A_STEP = 2000
_YEAR_10000 = 253402300800  # directories write "never" as a later time
_HASH_LENGTH = 16  # hex digits, or 64 bits: a collision is unlikely even among a million users


class Folding:
    """The samples of one project's metrics with rare label values combined into ``other``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.samples: dict[str, Samples] = {}  # by name of the metric
        self.kept: dict[str, frozenset[str]] = {}  # by label, for the gauges that were folded
        self.beyond = dict.fromkeys(FOLDED_LABELS, 0)  # how many values of each label became `other`

    def add(self, name: str, kind: str, labels: Sequence[str], samples: Samples) -> Iterator[None]:
        """Fold the samples of a metric, in steps that stay short however many values the cloud sends.

        A gauge keeps the values with the highest totals. A counter keeps those seen first: a series must not vanish.
        """
        kept: dict[int, frozenset[str]] = {}
        for position, label in enumerate(labels):
            if label not in self.beyond:
                continue
            totals: dict[str, float] = {}
            for values, value in samples.items():
                totals[values[position]] = totals.get(values[position], 0) + (value or 0)
            yield
            keep = self._keep(label, kind, totals)
            if beyond := len(totals.keys() - keep):
                self.beyond[label] = max(beyond, self.beyond[label])
                kept[position] = keep
                if kind == "gauge":
                    self.kept[label] = keep
            yield
        if not kept:
            self.samples[name] = samples
            return
        folded: dict[tuple[str, ...], float] = {}
        rest = iter(samples.items())
        while some := list(islice(rest, _SAMPLES_A_STEP)):
            fold(some, kept, folded)
            yield
        self.samples[name] = folded

    def _keep(self, label: str, kind: str, totals: Mapping[str, float]) -> frozenset[str]:
        if label == "session_state":
            return frozenset((*DOCUMENTED_STATES, *nsmallest(MAX_NEW_STATES, totals.keys() - set(DOCUMENTED_STATES))))
        if kind == "counter" or len(totals) <= self._most:
            return frozenset(islice(totals, self._most))
        return frozenset(nsmallest(self._most, totals, key=lambda value: (-totals[value], value)))


def fold(
    samples: Iterable[tuple[Any, float | None]], kept: Mapping[int, frozenset[str]], into: dict[Any, float]
) -> None:
    """Add samples up by their label values. Values not kept at their position become ``other``."""
    for values, value in samples:
        if value is not None:
            key = tuple([OTHER if i in kept and text not in kept[i] else text for i, text in enumerate(values)])
            into[key] = into.get(key, 0) + value


@dataclass(frozen=True)
class Labelling:
    """How users are named, and how many values a label may have."""

    per_user: str  # `all`, `flagged` or `none` of the users get metrics of their own
    user_label: Callable[[FreshUser], str | None]  # returns a user's label, or None while it is unknown
    max_values: int

    @classmethod
    def of(cls, settings: Metrics) -> Labelling:
        """Return the configured labelling. Raises OSError if the hash key's file cannot be read."""
        return cls(settings.per_user, _user_label(settings), settings.max_label_values)


def _user_label(settings: Metrics) -> Callable[[FreshUser], str | None]:
    if settings.user_label != "hash":
        return attrgetter(settings.user_label)  # `name` or `id`
    read = secret(settings.hash_key, settings.hash_key_file)
    assert read
    key = read().encode()
    return lambda user: hmac.new(key, user.name.encode(), hashlib.sha256).hexdigest()[:_HASH_LENGTH]


def labelled(status: ProjectStatus, labelling: Labelling) -> Iterator[Sequence[tuple[str, FreshUser]]]:
    """Yield the users with metrics of their own by label, some at a time. No label comes twice."""
    if labelling.per_user == "none":
        return
    labels: set[str] = set()
    for start in range(0, len(status.users), USERS_A_PART):
        part = []
        for user in status.users[start : start + USERS_A_PART]:
            wanted = labelling.per_user == "all" or _flagged(user, status.taken_at)
            if wanted and (label := labelling.user_label(user)) is not None and label not in labels:
                labels.add(label)
                part.append((label, user))
        yield part


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
