"""Faults pass quickly: no pauses between attempts, and every change is published at once."""

from __future__ import annotations

import pytest

from exporter import runner
from exporter.polling import lane


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses before retries, news at once."""
    monkeypatch.setattr(runner, "PUBLISH_INTERVAL", 0.05)
    monkeypatch.setattr(runner, "_PUBLISH_SHARE", 1.0)  # most of a row would be waiting
    monkeypatch.setattr(lane, "ATTEMPTS", 2)
    monkeypatch.setattr(lane, "_FIRST_RETRY_PAUSE", 0.0)
    monkeypatch.setattr(lane, "_JITTER", 0.0)
