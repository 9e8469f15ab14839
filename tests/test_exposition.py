"""The published bytes and the choice of their format."""

from __future__ import annotations

import gzip
import random
import zlib
from typing import TYPE_CHECKING

import pytest
from prometheus_client.registry import CollectorRegistry

from exporter.metrics.exposition import OPENMETRICS, TEXT, Description, Exposition, Format, Rendered, negotiated
from exporter.metrics.segments import Deflater, Run, crc_factor, joined_crc, run_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def run(*texts: str) -> Run:
    """A run of these texts."""
    steps = run_of(tuple(map(Deflater().segment, texts)))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            made: Run = end.value
            return made


def family(value: int, name: str = "a", kind: str = "gauge") -> Rendered:
    return Description(name, kind, "A.", ()).rendered(f"{name} {value}.0\n")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        (BROWSER, TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        ("text/plain", TEXT),
        ("text/plain;q=0.9, application/openmetrics-text;q=0.8", TEXT),
        ("text/plain;q=0.8, application/openmetrics-text;q=0.9", OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("APPLICATION/OpenMetrics-Text; Version=1.0.0", OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"; escaping="allow-utf-8"', OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;escaping=underscores", OPENMETRICS),
        ("application/openmetrics-text;escaping=dots;q=0.5,text/plain;escaping=values;q=0.6", TEXT),
        ("text/plain;version=0.0.4;escaping=underscores", TEXT),
        ("application/openmetrics-text;version=9", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=lots", TEXT),
        (";;,=;q", TEXT),
    ],
)
def test_the_accept_header_chooses_the_format(accept: str, expected: Format) -> None:
    assert negotiated(accept) is expected


def test_the_content_type_names_the_escaping_of_names() -> None:
    """As client_golang does. No name of ours needs any."""
    assert TEXT.content_type == "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
    assert (
        OPENMETRICS.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
    )


def test_a_publish_replaces_all_formats_at_once() -> None:
    exposition = Exposition(CollectorRegistry())
    for value in (1, 2):
        exposition.publish([family(value)])
        for wanted in (TEXT, OPENMETRICS):
            assert f"a {value}.0\n".encode() in exposition.get(wanted).body


@pytest.mark.parametrize("wanted", [TEXT, OPENMETRICS])
def test_nothing_is_rendered_while_a_scrape_waits(wanted: Format) -> None:
    """Scrapes hand out the same bytes, be they the first in their format."""
    exposition = Exposition(CollectorRegistry())
    exposition.publish([family(1)])
    first = exposition.get(wanted)
    assert b"a 1.0\n" in first.body
    assert exposition.get(wanted) is first


def test_what_was_published_before_is_served_until_the_next_publish_is_whole() -> None:
    exposition = Exposition(CollectorRegistry())
    exposition.publish([family(1)])
    before = exposition.get(TEXT)
    for _ in exposition.publishing([family(2), family(3)._replace(text_head="")]):
        assert exposition.get(TEXT) is before
    assert exposition.get(TEXT).body.endswith(b"gauge\na 2.0\na 3.0\n")


def test_a_publish_that_fails_midway_replaces_nothing() -> None:
    def broken() -> Iterator[Rendered]:
        yield family(2)
        raise ValueError

    exposition = Exposition(CollectorRegistry())
    exposition.publish([family(1)])
    with pytest.raises(ValueError, match=r"^$"):
        exposition.publish(broken())
    assert exposition.get(TEXT).body.endswith(b"a 1.0\n")


def test_the_compressed_bytes_are_the_same_text() -> None:
    exposition = Exposition(CollectorRegistry())
    exposition.publish([family(5, "a_total", "counter")])
    rendered = exposition.get(OPENMETRICS)
    assert gzip.decompress(b"".join(rendered.compressed_pieces)) == rendered.body
    assert rendered.body.endswith(b"a_total 5.0\n# EOF\n")


@pytest.mark.parametrize("wanted", [TEXT, OPENMETRICS])
def test_kept_lines_and_new_ones_are_one_gzip_member(wanted: Format) -> None:
    """Browsers read only the first member. Lines that repeat earlier ones must not refer to them across segments."""
    lines = [f'b{{user_name="user{number}"}} 1.0\n' for number in range(500)]
    kept = run("".join(lines[:250]), "", "".join(lines))
    exposition = Exposition(CollectorRegistry())
    for value in (1, 2):
        exposition.publish(
            [family(value), Rendered(kept=kept), family(3, "c"), Rendered(kept=run()), Rendered(kept=kept)]
        )
        page = exposition.get(wanted)
        decompressor = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        text = decompressor.decompress(b"".join(page.compressed_pieces))
        assert (decompressor.eof, decompressor.unused_data) == (True, b"")
        assert text == page.body
        assert text.count(b"".join(line.encode() for line in lines)) == 2


def test_checksums_of_joined_texts_are_those_of_the_whole() -> None:
    dice = random.Random(1)  # noqa: S311 - not for secrets
    for length in (0, 1, 2, 255, 256, 70_001):
        first, second = dice.randbytes(100), dice.randbytes(length)
        assert joined_crc(zlib.crc32(first), zlib.crc32(second), crc_factor(length)) == zlib.crc32(first + second)
