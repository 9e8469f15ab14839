"""Discovery: which users its listings find, whether they are believed, and who is watched in the end."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter

from exporter.cloud.models import User
from exporter.config import User as ConfiguredUser
from exporter.config.names import folded
from exporter.fleet import Watched, best
from exporter.wording import counted

Filters = tuple[tuple[str, str], ...]  # parameters of ListUsers. All have to match; none means all users.

SUSPICIOUS_FROM = 10  # users. Fewer than half of so many are accepted when a third complete listing finds no more.
_ACCEPTED_AT = 3


class ImplausibleError(Exception):
    """A listing that lacks too many users to be believed."""


class Discovery:
    """The users found by the last listing that was complete and plausible."""

    def __init__(self) -> None:
        self.entries: tuple[Filters, ...] = ()  # users that one of these finds are watched
        self.found: tuple[User, ...] | None = None  # None before the first listing that was believed
        self.successful = False  # whether the last listing was complete and plausible
        self._others = False  # whether users are watched besides
        self._believed = 0  # users in the last plausible listing by these entries
        self._suspicious = 0  # suspiciously short listings since then

    def apply(self, entries: tuple[Filters, ...], *, others: bool) -> None:
        """Use these entries from now on. The users found so far stay until the next listing."""
        if entries != self.entries:
            self._believed, self._suspicious = min(self._believed, 1), 0  # other entries may find fewer, but not nobody
        self.entries, self._others = entries, others
        if not entries:
            self.found, self.successful, self._believed = None, False, 0

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
            raise ImplausibleError(f"discovery finds {counted(len(found), 'user')} after {self._believed}")
        self._believed, self._suspicious, self.successful = len(found), 0, True
        same = self.found is not None and len(found) == len(self.found) and all(map(_same, found, self.found))
        if not same:
            self.found = found
        return not same


def _same(one: User, other: User) -> bool:
    return one.user_name == other.user_name and one.domain == other.domain and one.id == other.id


def to_watch(
    configured: Sequence[ConfiguredUser], found: Sequence[User], excluded: Callable[[str, str | None], bool]
) -> Iterator[tuple[Watched, bool]]:
    """Yield the users to watch, each with whether discovery found it: the configured ones, and others it found.

    A configured name without a domain means the only user found with it. If it is found in several domains, all these
    users are watched instead. A user found without a domain is one of those configured with the name.
    """
    among_configured: set[int] = set()
    unclear: set[str] = set()  # folded names of configured users who may be any of those found with the name
    by_name, by_id = _found_by(configured, found)
    for user in configured:
        if excluded(user.name, user.domain):
            continue
        name, domain = user.login
        group = by_name.get(folded(name), ())
        meant = by_id.get(user.id) if user.id else best(group, name, domain, attrgetter("domain"))
        if meant:
            among_configured.add(id(meant))
        elif not user.id:
            unclear.add(folded(name))
        several = meant is None and not domain and len({each.domain for each in group if each.user_name == name}) > 1
        if user.id or not several:
            yield Watched(user.name, user.id, user.domain), meant is not None
    for each in found:
        if id(each) in among_configured or not each.user_name or excluded(each.user_name, each.domain):
            continue
        if each.domain or folded(each.user_name) not in unclear:
            yield Watched(each.user_name, each.id, each.domain or None, discovered=True), True


def _found_by(
    configured: Sequence[ConfiguredUser], found: Sequence[User]
) -> tuple[Mapping[str, list[User]], Mapping[str | None, User]]:
    """Return those of the users found that the configuration may mean: by folded name, and by id."""
    names = {folded(user.login[0]) for user in configured}
    ids = {user.id for user in configured if user.id}
    by_name: dict[str, list[User]] = {}
    by_id: dict[str | None, User] = {}
    for user in found if configured else ():
        if (name := folded(user.user_name or "")) in names:
            by_name.setdefault(name, []).append(user)
        if user.id in ids:
            by_id[user.id] = user
    return by_name, by_id
