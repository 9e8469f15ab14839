"""What all tests of the cloud's faults share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import stamina

from exporter import app
from exporter.cloud import transport

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No pauses before retries, news at once, and a limit of bodies that is soon reached."""
    monkeypatch.setattr(app, "PUBLISH_INTERVAL", 0.05)
    monkeypatch.setattr(app, "_PUBLISH_SHARE", 1.0, raising=False)  # most of a row would be waiting
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 2 * 1024 * 1024)
    with stamina.set_testing(True, attempts=2):
        yield
