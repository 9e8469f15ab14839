"""The published metrics as bytes, rendered ahead of the scrapes in the two formats that Prometheus reads."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import exposition, openmetrics
from prometheus_client.registry import Collector

from exporter.metrics.family import Rendered

_GZIP = 16 + zlib.MAX_WBITS  # makes zlib write gzip's header and trailer


@dataclass(frozen=True)
class Format:
    """An exposition format."""

    media_type: str
    content_type: str
    head: Callable[[Rendered], str] = field(repr=False, compare=False)  # returns the HELP and TYPE lines of a family
    render: Callable[[Collector], bytes] = field(repr=False, compare=False)
    """Renders the library's own metrics and the end of the page."""


TEXT = Format(
    "text/plain", exposition.CONTENT_TYPE_PLAIN_0_0_4, lambda family: family.text_head, exposition.generate_latest
)
OPENMETRICS = Format(
    "application/openmetrics-text",
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
    lambda family: family.openmetrics_head,
    lambda metrics: openmetrics.exposition.generate_latest(metrics, version="1.0.0"),  # type: ignore[no-untyped-call] # the library has no types here
)


def negotiated(accept: str) -> Format:
    """Return the format that an Accept header prefers, or text."""
    best, best_quality = TEXT, 0.0
    for offer in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in offer.split(";"))
        given = {name: value for name, _, value in (parameter.partition("=") for parameter in parameters)}
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

    @property
    def compressed(self) -> bytes:
        """The whole text in gzip."""
        return b"".join(self.compressed_pieces)


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
