"""What a metric family is, and how its samples are written in both exposition formats. Pure.

prometheus_client's own rendering takes ten times as long.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from prometheus_client.utils import floatToGoString

from exporter.fleet import FreshUser
from exporter.metrics.labels import Kept, Samples, fold
from exporter.status import ProjectStatus

PREFIX = "huaweicloud_workspace_"

S = TypeVar("S")

_PLAIN_BELOW = 1_000_000  # larger whole numbers get an exponent
_LINES = 1000  # rendered in one step, which takes about a millisecond


class Rendered(NamedTuple):
    """A family as text: its HELP and TYPE lines in each format, and the lines of its samples.

    A large family comes in parts. Only the first part has a head.
    """

    text_head: str
    openmetrics_head: str
    lines: str


class Distribution(Protocol):
    """What one series of a histogram counted."""

    counts: list[int]  # by bucket, not cumulated; the last one is of what exceeds all bounds
    seconds: float  # the sum of all observations


@dataclass(frozen=True)
class Description:
    """Everything about a metric but its samples."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]  # without `project` and, in metrics of single users, with `user_name` first

    @property
    def full_name(self) -> str:
        """The name with its prefix."""
        return PREFIX + self.name

    def rendered(self, lines: str) -> Rendered:
        """Return the family with these lines of samples."""
        openmetrics_name = self.full_name.removesuffix("_total") if self.kind == "counter" else self.full_name
        return Rendered(self._head(self.full_name), self._head(openmetrics_name), lines)

    def in_parts(self, lines: Iterable[str]) -> Iterator[Rendered]:
        """Yield the family in parts of at most 1,000 lines."""
        lines = iter(lines)
        yield self.rendered("".join(islice(lines, _LINES)))
        while some := "".join(islice(lines, _LINES)):
            yield part(some)

    def _head(self, name: str) -> str:
        return f"# HELP {name} {self.help}\n# TYPE {name} {self.kind}\n"


def part(lines: str) -> Rendered:
    """Return further lines of the family before."""
    return Rendered("", "", lines)


@dataclass(frozen=True)
class Family(Description, Generic[S]):
    """A metric and the function that gives its samples, those of one project as a rule."""

    samples: Callable[[S], Samples]

    def lines(self, own: tuple[str, ...], found: Iterable[tuple[tuple[str, ...], Samples]]) -> Iterator[str]:
        """Yield lines. ``own`` are the labels that tell subjects apart; their values come with each one's samples."""
        write = line_writer(self.full_name, (*own, *self.labels))
        for own_values, samples in found:
            for values, value in samples.items():
                if value is not None:
                    yield write(*map(escaped, own_values), *map(escaped, values), number(value))


class UserPart(NamedTuple):
    """Some users of a project, by the value of their label ``user_name``.

    The lines of a user family follow from such a part alone, so they can be kept as long as it stays equal.
    """

    project: str
    kept: Kept
    users: Sequence[tuple[str, FreshUser]]


@dataclass(frozen=True)
class UserFamily(Description):
    """A metric of single users. ``samples`` gives those of one user, without its label ``user_name``."""

    samples: Callable[[FreshUser], Samples]

    def lines(self, users: UserPart) -> str:
        """Return the lines of some users."""
        write = line_writer(self.full_name, ("project", *self.labels))
        kept = {i: users.kept[label] for i, label in enumerate(self.labels[1:]) if label in users.kept}
        project = escaped(users.project)
        lines = []
        for label, user in users.users:
            samples = self.samples(user)
            if kept:
                folded: dict[tuple[str, ...], float] = {}
                fold(samples.items(), kept, folded)
                samples = folded
            for values, value in samples.items():
                if value is not None:
                    lines.append(write(project, escaped(label), *map(escaped, values), number(value)))
        return "".join(lines)


@dataclass(frozen=True)
class Histogram(Description):
    """A histogram of the projects, with the upper bounds of its buckets in seconds."""

    bounds: tuple[float, ...]
    distributions: Callable[[ProjectStatus], Mapping[Any, Distribution]]

    def lines(self, projects: Iterable[ProjectStatus]) -> Iterator[str]:
        """Yield the lines of samples."""
        labels = ("project", *self.labels)
        bucket = line_writer(f"{self.full_name}_bucket", (*labels, "le"))
        count, total = (line_writer(f"{self.full_name}_{suffix}", labels) for suffix in ("count", "sum"))
        bounds = [*map(number, self.bounds), "+Inf"]
        for project in projects:
            for labels, each in self.distributions(project).items():
                values = [escaped(value) for value in (project.project, *labels)]
                cumulated = list(accumulate(each.counts))
                yield from (bucket(*values, bound, number(n)) for bound, n in zip(bounds, cumulated, strict=True))
                yield count(*values, number(cumulated[-1]))
                yield total(*values, number(each.seconds))


def line_writer(name: str, labels: Sequence[str]) -> Callable[..., str]:
    """Return a function that writes a sample from its escaped values of ``labels``, in that order, and its value."""
    order = sorted(range(len(labels)), key=labels.__getitem__)  # as the library writes them
    pairs = ",".join(f'{labels[position]}="{{{position}}}"' for position in order)
    block = f"{{{{{pairs}}}}}" if pairs else ""
    return f"{name}{block} {{{len(labels)}}}\n".format


def escaped(value: str) -> str:
    """Return a label value as written between quotes."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


def number(value: float) -> str:
    """Return a value as Go writes it."""
    if isinstance(value, int) and -_PLAIN_BELOW < value < _PLAIN_BELOW:
        return f"{value:d}.0"
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call] # the library has no types here
    return text
