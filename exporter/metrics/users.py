"""The metrics of single users as text, kept from one publish to the next. Only what changes is rendered again."""

import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from operator import is_
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from exporter.fleet import FreshUser
from exporter.metrics.family import UserFamily, project_labels
from exporter.metrics.labels import EXPIRING_SOON, KeptValues, Labelling, expiry_of
from exporter.metrics.segments import Deflater, Run, Segment, run_of
from exporter.status import ProjectStatus

USERS_A_PART = 100  # users of a part as a rule, whose lines of one metric take a millisecond at most
FLAGGED_A_PART = 500  # the same where few of them have metrics of their own


class _Part(msgspec.Struct, frozen=True, gc=False):
    """Some successive users of a project, and their lines of each metric."""

    users: tuple[FreshUser, ...]
    labels: tuple[str | None, ...] = ()  # the value of `user_name` of each; None for users without metrics of their own
    labels_until: float = math.inf  # when a user gets metrics merely because time passes
    repeated: frozenset[str | None] = frozenset()  # labels that other users before have
    segments: tuple[Segment, ...] = ()

    def shown(self) -> Iterator[tuple[str, FreshUser]]:
        """Yield the users with metrics by label. No label comes twice, since Prometheus would reject the scrape."""
        seen = set(self.repeated)
        for label, user in zip(self.labels, self.users, strict=True):
            if label is not None and label not in seen:
                seen.add(label)
                yield label, user


class _Kept(NamedTuple):
    """All lines of a project's users."""

    values: KeptValues
    parts: Mapping[str, _Part]  # by the name of the first user
    runs: tuple[Run, ...]  # one per metric


_NOTHING = _Kept({}, {}, ())


class UserLines:
    """The lines of all users as of the last publish."""

    def __init__(self, families: Sequence[UserFamily]) -> None:
        self._families = families
        self._deflater = Deflater()
        self._labelling: Labelling | None = None
        self.projects: Mapping[str, _Kept] = {}  # by `project_labels`

    def update(self, projects: Iterable[tuple[ProjectStatus, KeptValues]], labelling: Labelling) -> Iterator[None]:
        """Render what has changed, in steps. Each project comes with the label values that keep their names."""
        if labelling != self._labelling:
            self.projects, self._labelling = {}, labelling
        kept = {}
        for status, values in projects:
            project = project_labels(status)
            kept[project] = yield from self._update(project, status, values, labelling)
        self.projects = kept

    def of(self, family: UserFamily) -> Iterator[Run]:
        """Yield the lines of a metric, project by project."""
        index = self._families.index(family)
        return (kept.runs[index] for kept in self.projects.values())

    def _update(
        self, project: str, status: ProjectStatus, values: KeptValues, labelling: Labelling
    ) -> Generator[None, None, _Kept]:
        before = self.projects.get(project, _NOTHING)
        valid = [all(values.get(label) == before.values.get(label) for label in each.labels) for each in self._families]
        parts = []
        for part, old in _labelled(status, before.parts, labelling):
            yield
            if part is old and all(valid):
                parts.append(part)
                continue
            changed, shown = _changed(old, part), list(part.shown())
            segments = []
            for index, family in enumerate(self._families):
                if old and changed is not None and valid[index] and not _any_differs(family, changed):
                    segments.append(old.segments[index])
                else:
                    segments.append(self._deflater.segment(family.lines(project, shown, values)))
                    yield
            parts.append(replace(part, segments=tuple(segments)))
        runs = []
        for index in range(len(self._families)):
            lines = tuple([part.segments[index] for part in parts if part.segments[index].text])
            kept = before.runs[index] if before.runs else None
            runs.append(kept if kept and kept.segments == lines else (yield from run_of(lines)))
            yield
        return _Kept(values, {part.users[0].name: part for part in parts}, tuple(runs))


def _labelled(
    status: ProjectStatus, before: Mapping[str, _Part], labelling: Labelling
) -> Iterator[tuple[_Part, _Part | None]]:
    """Yield a project's users in parts with their labels, each with the part that it replaces."""
    if labelling.per_user == "none":
        return
    seen: set[str | None] = set()
    size = FLAGGED_A_PART if labelling.per_user == "flagged" else USERS_A_PART
    for users in _in_parts(status.users, before, size):
        old = before.get(users[0].name)
        part = _with_labels(users, old, labelling, status.taken_at)
        labels = set(part.labels) - {None}
        repeated = seen & labels
        yield part if repeated == part.repeated else replace(part, repeated=frozenset(repeated)), old
        seen |= labels


def _in_parts(users: Sequence[FreshUser], before: Mapping[str, _Part], size: int) -> Iterator[tuple[FreshUser, ...]]:
    """Cut users into parts of about ``size``.

    Parts begin where parts before began, so that users who join or leave change one or two parts and not all after.
    """
    start = 0
    while start < len(users):
        old = before.get(users[start].name)
        same = tuple(users[start : start + len(old.users)]) if old else ()
        if old and same == old.users and (len(same) >= size // 2 or start + len(same) == len(users)):
            part = same
        else:
            ends = range(start + size // 2, min(start + 2 * size, len(users)))
            end = next((i for i in ends if users[i].name in before), start + size)
            part = tuple(users[start:end])
        yield part
        start += len(part)


def _with_labels(users: tuple[FreshUser, ...], old: _Part | None, labelling: Labelling, now: float) -> _Part:
    """Return a part with the labels of its users. Labels of users who have not changed are kept."""
    known: dict[str, tuple[FreshUser, str | None]] = {}
    if old and now < old.labels_until:
        if users == old.users:  # keep no objects of users that the fleet has replaced
            return old if all(map(is_, users, old.users)) else replace(old, users=users)
        known = {user.name: (user, label) for user, label in zip(old.users, old.labels, strict=True)}
    labels: list[str | None] = []
    until = math.inf
    for user in users:
        before, label = known.get(user.name, (None, None))
        if before != user:
            label = labelling.label(user, now)
        labels.append(label)
        if label is None and (expiry := expiry_of(user)) is not None:
            until = min(until, expiry - EXPIRING_SOON)
    return _Part(users, tuple(labels), until)


def _changed(old: _Part | None, part: _Part) -> list[tuple[FreshUser, FreshUser]] | None:
    """Return which users have changed, before and after; None if there are other users or labels."""
    if not old or (part.labels, part.repeated) != (old.labels, old.repeated):
        return None
    return [(before, after) for before, after in zip(old.users, part.users, strict=True) if before != after]


def _any_differs(family: UserFamily, changed: Iterable[tuple[FreshUser, FreshUser]]) -> bool:
    return any(family.samples(before) != family.samples(after) for before, after in changed)
