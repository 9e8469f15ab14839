"""The published bytes and the choice of their format."""

from __future__ import annotations

import gzip

import pytest
from prometheus_client.registry import CollectorRegistry

from exporter.metrics.exposition import OPENMETRICS, TEXT, Exposition, Format, negotiated
from exporter.metrics.families import Description, Rendered

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
        ("application/openmetrics-text;version=9", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=lots", TEXT),
        (";;,=;q", TEXT),
    ],
)
def test_the_accept_header_chooses_the_format(accept: str, expected: Format) -> None:
    assert negotiated(accept) is expected


def test_a_publish_replaces_all_formats_at_once() -> None:
    exposition = Exposition(CollectorRegistry())
    for value in (1, 2):
        exposition.publish([family(value)])
        for wanted in (TEXT, OPENMETRICS):
            assert f"a {value}.0\n".encode() in exposition.get(wanted).body


def test_nothing_is_rendered_while_a_scrape_waits() -> None:
    """From the first scrape of a format on, the next publish renders it, and scrapes hand out the same bytes."""
    exposition = Exposition(CollectorRegistry())
    exposition.get(TEXT)
    exposition.publish([family(1)])
    rendered = exposition._pages  # noqa: SLF001 - whether it was rendered ahead cannot be seen from outside
    assert set(rendered) == {TEXT}
    assert exposition.get(TEXT) is rendered[TEXT]


def test_the_compressed_bytes_are_the_same_text() -> None:
    exposition = Exposition(CollectorRegistry())
    exposition.publish([family(5, "a_total", "counter")])
    rendered = exposition.get(OPENMETRICS)
    assert gzip.decompress(rendered.compressed) == rendered.body
    assert rendered.body.endswith(b"a_total 5.0\n# EOF\n")
