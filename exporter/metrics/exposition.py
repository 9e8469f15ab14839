"""Metric families, and the bytes published of them: rendered ahead of the scrapes in the formats that Prometheus reads.

prometheus_client's own rendering takes ten times as long.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from prometheus_client import exposition, openmetrics
from prometheus_client.registry import Collector

from exporter.metrics.segments import GzipWriter, Run

PREFIX = "huaweicloud_workspace_"

_LINES = 1000  # rendered in one step, which takes about a millisecond


class Rendered(NamedTuple):
    """A family as text: its HELP and TYPE lines in each format, and the lines of its samples.

    A large family comes in parts. Only the first part has a head. ``kept`` has further lines, rendered and compressed
    for an earlier publish.
    """

    text_head: str = ""
    openmetrics_head: str = ""
    lines: str = ""
    kept: Run | None = None


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
        drafts = {wanted: GzipWriter() for wanted in (TEXT, OPENMETRICS)}
        for family in families:
            lines = family.lines.encode()  # one copy for all formats
            for wanted, draft in drafts.items():
                if head := wanted.head(family):
                    draft.write(head.encode())
                if lines:
                    draft.write(lines)
                if family.kept:
                    draft.add(family.kept)
            yield
        for wanted, draft in drafts.items():
            draft.write(wanted.render(self._others))
            draft.finish()
            yield
        self._pages = {wanted: Page(tuple(draft.pieces), tuple(draft.compressed)) for wanted, draft in drafts.items()}

    def get(self, wanted: Format) -> Page:
        """Return the last publish in a format."""
        return self._pages[wanted]
