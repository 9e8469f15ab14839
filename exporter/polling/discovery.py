"""Discovery: which users its listings find, whether they are believed, and who is watched in the end."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter

from exporter.cloud.models import Login, User
from exporter.fleet import Watched, best, folded

Filters = tuple[tuple[str, str], ...]  # parameters of ListUsers. All have to match; none means all users.

SUSPICIOUS_FROM = 10  # users. Fewer than half of so many are accepted when a third complete listing finds no more.
_ACCEPTED_AT = 3


class ImplausibleError(Exception):
    """A listing that lacks too many users to be believed."""


class Discovery:
    """The users found by the last listing that was complete and plausible."""

    def __init__(self) -> None:
        self.entries: tuple[Filters, ...] = ()  # users whom one of these finds are watched
        self.found: tuple[User, ...] = ()
        self._others = False  # whether users are watched besides
        self._believed = 0  # users in the last plausible listing by these entries
        self._suspicious = 0  # suspiciously short listings since then

    def apply(self, entries: tuple[Filters, ...], *, others: bool) -> None:
        """Use these entries from now on. The users found so far stay until the next listing."""
        if entries != self.entries:
            self._believed = self._suspicious = 0
        self.entries, self._others = entries, others
        if not entries:
            self.found = ()

    @property
    def listings(self) -> tuple[Filters, ...]:
        """The listings to read: one for each entry, and one of everybody if that is an entry or others are watched."""
        if not self.entries or () in self.entries:
            return ((),)
        return ((), *self.entries) if self._others else self.entries

    def listed(self, found: tuple[User, ...]) -> bool:
        """Take in the users of complete listings. Return whether these are others than before, or in another order.

        Raises:
            ImplausibleError: the listings are not believed. Nothing changes.
        """
        empty = self._believed > 0 and not found
        short = not empty and self._believed >= SUSPICIOUS_FROM and 2 * len(found) < self._believed
        self._suspicious = self._suspicious + 1 if short else 0
        if empty or (short and self._suspicious < _ACCEPTED_AT):
            raise ImplausibleError(f"discovery finds {len(found)} users after {self._believed}")
        self._believed, self._suspicious = len(found), 0
        same = len(found) == len(self.found) and all(map(_same, found, self.found))
        if not same:
            self.found = found
        return not same


def _same(one: User, other: User) -> bool:
    return one.user_name == other.user_name and one.domain == other.domain


def to_watch(
    configured: Iterable[Watched], found: Sequence[User], excluded: Callable[[str, str | None], bool]
) -> Iterator[tuple[Watched, bool]]:
    """Yield the users to watch, each with whether discovery found it: the configured ones, and others it found.

    A configured name without a domain means the only user found with it. If it is found in several domains, all these
    users are watched instead.
    """
    by_name: defaultdict[str, list[User]] = defaultdict(list)
    by_id: dict[str | None, User] = {}
    for user in found:
        by_name[folded(user.user_name or "")].append(user)
        by_id[user.id] = user
    among_configured: set[int] = set()
    for watched in configured:
        if excluded(watched.name, watched.domain):
            continue
        name, domain = (watched.name, watched.domain) if watched.domain else Login.of(watched.name)
        group = by_name.get(folded(name), ())
        meant = by_id.get(watched.id) if watched.id else best(group, name, domain, attrgetter("domain"))
        among_configured.add(id(meant))
        several = meant is None and not domain and len({user.domain for user in group if user.user_name == name}) > 1
        if watched.id or not several:
            yield watched, meant is not None
    for user in found:
        if id(user) not in among_configured and user.user_name and not excluded(user.user_name, user.domain):
            yield Watched(user.user_name, None, user.domain or None), True
