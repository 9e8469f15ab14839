"""The published metrics as bytes, rendered ahead of the scrapes in the two formats that Prometheus reads."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

from prometheus_client import exposition, openmetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.registry import Collector

    from exporter.metrics.family import Rendered


_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to be told of gzip's head and end


@dataclass(frozen=True)
class Format:
    """A way to write metrics."""

    media_type: str
    content_type: str
    head: Callable[[Rendered], str] = field(repr=False, compare=False)
    """What stands before a family's samples."""
    render: Callable[[Collector], bytes] = field(repr=False, compare=False)
    """How the library renders metrics, with the format's end."""


TEXT = Format(
    "text/plain",
    exposition.CONTENT_TYPE_PLAIN_0_0_4,
    lambda family: family.text_head,
    exposition.generate_latest,
)
OPENMETRICS = Format(
    "application/openmetrics-text",
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
    lambda family: family.openmetrics_head,
    lambda metrics: openmetrics.exposition.generate_latest(metrics, version="1.0.0"),  # type: ignore[no-untyped-call] # the library's lack
)


def negotiated(accept: str) -> Format:
    """The format that an Accept header prefers; text where it has no preference that can be met."""
    best, best_quality = TEXT, 0.0
    for offer in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in offer.split(";"))
        quality = _quality(parameters)
        if media_type == OPENMETRICS.media_type and quality > best_quality and _is_version_1(parameters):
            best, best_quality = OPENMETRICS, quality
        elif media_type in {TEXT.media_type, "text/*"} and quality > best_quality:
            best, best_quality = TEXT, quality
    return best


def _is_version_1(parameters: list[str]) -> bool:
    return all(p == "version=1.0.0" for p in parameters if p.startswith("version="))


def _quality(parameters: list[str]) -> float:
    given = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    try:
        return float(given)
    except ValueError:
        return 0.0


@dataclass(frozen=True)
class Page:
    """One publish in one format."""

    body: bytes
    compressed: bytes
    """The body in gzip."""


class Exposition:
    """Holds the last publish in all formats, so that a scrape has nothing to wait for."""

    def __init__(self, others: Collector) -> None:
        """``others`` are shown behind every publish."""
        self._others = others
        self._pages: Mapping[Format, Page] = {}
        self.publish(())

    def publish(self, families: Iterable[Rendered]) -> None:
        """Replace what is served, all at once."""
        for _ in self.publishing(families):
            pass

    def publishing(self, families: Iterable[Rendered]) -> Iterator[None]:
        """Publish in steps, one for each of the families or parts of them; what is served is replaced by the last."""
        drafts = {wanted: _Draft() for wanted in (TEXT, OPENMETRICS)}
        for family in families:
            lines = family.lines.encode()
            for wanted, draft in drafts.items():
                draft.write(wanted.head(family).encode() + lines)
            yield
        for wanted, draft in drafts.items():
            draft.write(wanted.render(self._others))
        self._pages = {wanted: draft.page() for wanted, draft in drafts.items()}

    def get(self, wanted: Format) -> Page:
        """The last publish in a format."""
        return self._pages[wanted]


class _Draft:
    """A page that is being written, and compressed as it grows."""

    def __init__(self) -> None:
        self._body = BytesIO()
        self._compressor = zlib.compressobj(level=1, wbits=_GZIP)
        self._compressed: list[bytes] = []

    def write(self, text: bytes) -> None:
        self._body.write(text)
        self._compressed.append(self._compressor.compress(text))

    def page(self) -> Page:
        return Page(self._body.getvalue(), b"".join([*self._compressed, self._compressor.flush()]))
