"""Metric families, and the bytes published of them: rendered ahead of the scrapes in the formats that Prometheus reads.

prometheus_client's own rendering takes ten times as long.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import Any, Generic, NamedTuple, TypeVar

from prometheus_client import exposition, openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from exporter.cloud.telemetry import Latencies
from exporter.fleet import FreshUser
from exporter.metrics.labels import Kept, Samples, fold
from exporter.status import ProjectStatus

PREFIX = "huaweicloud_workspace_"
PROJECT = "project"  # the label that all metrics of a project have

S = TypeVar("S")

_GZIP = 16 + zlib.MAX_WBITS  # makes zlib write gzip's header and trailer
_PLAIN_BELOW = 1_000_000  # larger whole numbers get an exponent
_LINES = 1000  # rendered in one step, which takes about a millisecond


class Rendered(NamedTuple):
    """A family as text: its HELP and TYPE lines in each format, and the lines of its samples.

    A large family comes in parts. Only the first part has a head.
    """

    text_head: str = ""
    openmetrics_head: str = ""
    lines: str = ""


@dataclass(frozen=True)
class Description:
    """Everything about a metric but its samples."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]  # without those of the project and, in metrics of single users, with `user_name` first

    @property
    def full_name(self) -> str:
        """The name with its prefix."""
        return PREFIX + self.name

    def rendered(self, lines: str) -> Rendered:
        """Return the family with these lines of samples."""
        openmetrics_name = self.full_name.removesuffix("_total") if self.kind == "counter" else self.full_name
        text_head, openmetrics_head = (
            f"# HELP {name} {self.help}\n# TYPE {name} {self.kind}\n" for name in (self.full_name, openmetrics_name)
        )
        return Rendered(text_head, openmetrics_head, lines)

    def in_parts(self, lines: Iterable[str]) -> Iterator[Rendered]:
        """Yield the family in parts of at most 1,000 lines."""
        lines = iter(lines)
        yield self.rendered("".join(islice(lines, _LINES)))
        while some := "".join(islice(lines, _LINES)):
            yield Rendered(lines=some)


@dataclass(frozen=True)
class Family(Description, Generic[S]):
    """A metric and the function that gives its samples, those of one project as a rule."""

    samples: Callable[[S], Samples]

    def lines(self, samples: Samples, project: str | None = None) -> Iterator[str]:
        """Yield the lines of a project, given its `project_labels`, or those of the process."""
        of_project = () if project is None else (project,)
        write = line_writer(self.full_name, (*(PROJECT for _ in of_project), *self.labels))
        for values, value in samples.items():
            if value is not None:
                yield write(*of_project, *map(escaped, values), number(value))


class UserPart(NamedTuple):
    """Some users of a project, by the value of their label ``user_name``.

    The lines of a user family follow from such a part alone, so they can be kept as long as it stays equal.
    """

    project: str  # its `project_labels`
    kept: Kept
    users: Sequence[tuple[str, FreshUser]]


@dataclass(frozen=True)
class UserFamily(Description):
    """A metric of single users. ``samples`` gives those of one user, without its label ``user_name``."""

    samples: Callable[[FreshUser], Samples]

    def lines(self, users: UserPart) -> str:
        """Return the lines of some users."""
        write = line_writer(self.full_name, (PROJECT, *self.labels))
        kept = {i: users.kept[label] for i, label in enumerate(self.labels[1:]) if label in users.kept}
        lines = []
        for label, user in users.users:
            samples = self.samples(user)
            if kept:
                folded: dict[tuple[str, ...], float] = {}
                fold(samples.items(), kept, folded)
                samples = folded
            for values, value in samples.items():
                if value is not None:
                    lines.append(write(users.project, escaped(label), *map(escaped, values), number(value)))
        return "".join(lines)


@dataclass(frozen=True)
class Histogram(Description):
    """A histogram of the projects, with the upper bounds of its buckets in seconds."""

    bounds: tuple[float, ...]
    distributions: Callable[[ProjectStatus], Mapping[Any, Latencies]]

    def lines(self, projects: Iterable[ProjectStatus]) -> Iterator[str]:
        """Yield the lines of samples."""
        labels = (PROJECT, *self.labels)
        bucket = line_writer(f"{self.full_name}_bucket", (*labels, "le"))
        count, total = (line_writer(f"{self.full_name}_{suffix}", labels) for suffix in ("count", "sum"))
        bounds = [*map(number, self.bounds), "+Inf"]
        for project in projects:
            of_project = project_labels(project)
            for labels, each in self.distributions(project).items():
                values = [of_project, *map(escaped, labels)]
                cumulated = list(accumulate(each.counts))
                yield from (bucket(*values, bound, number(n)) for bound, n in zip(bounds, cumulated, strict=True))
                yield count(*values, number(cumulated[-1]))
                yield total(*values, number(each.seconds))


def line_writer(name: str, labels: Sequence[str]) -> Callable[..., str]:
    """Return a function that writes a sample from its escaped values of ``labels``, in that order, and its value.

    The value of `PROJECT` is a project's `project_labels`.
    """
    order = sorted(range(len(labels)), key=labels.__getitem__)  # as the library writes them
    written = [f"{{{n}}}" if label == PROJECT else f'{label}="{{{n}}}"' for n, label in enumerate(labels)]
    pairs = ",".join(map(written.__getitem__, order))
    block = f"{{{{{pairs}}}}}" if pairs else ""
    return f"{name}{block} {{{len(labels)}}}\n".format


def project_labels(status: ProjectStatus) -> str:
    """Return the labels of every series of a project as written: `project`, then those of its configuration."""
    labels = ((PROJECT, status.project), *sorted(status.labels.items()))
    return ",".join(f'{name}="{escaped(value)}"' for name, value in labels)


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


@dataclass(frozen=True)
class Format:
    """An exposition format."""

    media_type: str
    content_type: str
    head: Callable[[Rendered], str] = field(repr=False, compare=False)  # returns the HELP and TYPE lines of a family
    render: Callable[[Collector], bytes] = field(repr=False, compare=False)
    """Renders the library's own metrics and the end of the page."""


# As client_golang, name the scheme for characters in names. Ours need none, whatever the client would accept.
_UNDERSCORES = "; escaping=underscores"
TEXT = Format(
    "text/plain",
    exposition.CONTENT_TYPE_PLAIN_0_0_4 + _UNDERSCORES,
    lambda family: family.text_head,
    exposition.generate_latest,
)
OPENMETRICS = Format(
    "application/openmetrics-text",
    openmetrics.exposition.CONTENT_TYPE_LATEST + _UNDERSCORES,
    lambda family: family.openmetrics_head,
    lambda metrics: openmetrics.exposition.generate_latest(metrics, version="1.0.0"),  # type: ignore[no-untyped-call] # the library has no types here
)


def negotiated(accept: str) -> Format:
    """Return the format that an Accept header prefers, or text."""
    best, best_quality = TEXT, 0.0
    for offer in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in offer.split(";"))
        given = {name: value.strip('"') for name, _, value in (parameter.partition("=") for parameter in parameters)}
        quality = _quality(given.get("q", "1"))
        is_openmetrics = media_type == OPENMETRICS.media_type and given.get("version", "1.0.0") == "1.0.0"
        if quality > best_quality and (is_openmetrics or media_type in {TEXT.media_type, "text/*"}):
            best, best_quality = OPENMETRICS if is_openmetrics else TEXT, quality
    return best


def _quality(given: str) -> float:
    try:
        return float(given)
    except ValueError:
        return 0.0


@dataclass(frozen=True)
class Page:
    """One publish in one format, in pieces: joining 10 MB would hold up the event loop."""

    pieces: tuple[bytes, ...]
    compressed_pieces: tuple[bytes, ...]  # the same in gzip

    @property
    def body(self) -> bytes:
        """The whole text."""
        return b"".join(self.pieces)


class Exposition:
    """The last publish in all formats, so that a scrape waits for nothing."""

    def __init__(self, others: Collector) -> None:
        """Append the metrics of ``others`` to every publish."""
        self._others = others
        self._pages: Mapping[Format, Page] = {}
        self.publish(())

    def publish(self, families: Iterable[Rendered]) -> None:
        """Replace what is served, all at once."""
        for _ in self.publishing(families):
            pass

    def publishing(self, families: Iterable[Rendered]) -> Iterator[None]:
        """Publish in steps, one per rendered family or part. The last step replaces what is served."""
        drafts = {wanted: _Draft() for wanted in (TEXT, OPENMETRICS)}
        for family in families:
            lines = family.lines.encode()  # one copy for all formats
            for wanted, draft in drafts.items():
                draft.write(wanted.head(family).encode())
                draft.write(lines)
            yield
        for wanted, draft in drafts.items():
            draft.write(wanted.render(self._others))
            yield
        self._pages = {wanted: draft.page() for wanted, draft in drafts.items()}

    def get(self, wanted: Format) -> Page:
        """Return the last publish in a format."""
        return self._pages[wanted]


class _Draft:
    """A page being written, and compressed as it grows."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._compressor = zlib.compressobj(level=1, wbits=_GZIP)
        self._compressed: list[bytes] = []

    def write(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
        if compressed := self._compressor.compress(piece):
            self._compressed.append(compressed)

    def page(self) -> Page:
        return Page(tuple(self._pieces), (*self._compressed, self._compressor.flush()))
