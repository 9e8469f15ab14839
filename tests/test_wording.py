"""Numbers with their nouns."""

from __future__ import annotations

import pytest

from exporter.wording import counted


@pytest.mark.parametrize(("number", "text"), [(0, "0 users"), (1, "1 user"), (2, "2 users"), (1000, "1000 users")])
def test_only_one_is_singular(number: int, text: str) -> None:
    assert counted(number, "user") == text
