"""The documents of the project: their text, links, sections and code blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FOLDERS = (".", "deploy", "grafana", "tests", "deploy/prometheus/tests", "deploy/helm/huaweicloud-workspace-exporter")
DOCUMENTS = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md"))]

_FENCE = re.compile(
    r"(?:^<!-- not tested: (?P<reason>[^\n]+) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A code block, the line that it begins in, and why no test runs it, if none does."""

    language: str
    text: str
    line: int
    untested: str | None

    def commands(self) -> Iterator[str]:
        """Yield the commands that a reader types, as one line each, without comments and here-documents."""
        text = re.sub(r"(<<(\w+))\n.*?^\2$", r"\1", self.text.replace("\\\n", " "), flags=re.MULTILINE | re.DOTALL)
        lines = re.findall(r"^\$ (.*)$", text, re.MULTILINE) if self.language == "console" else text.splitlines()
        for line in lines:
            command = re.sub(r"(^|\s)#\s.*", "", line).strip()
            if command:
                yield command


def read(document: Path) -> str:
    """Return the text of a document."""
    return document.read_text("utf-8")


def blocks(text: str) -> Iterator[Block]:
    """Yield the code blocks of a document."""
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        yield Block(found["language"], found["text"], line, found["reason"])


def prose(text: str) -> str:
    """Return a document without its code blocks."""
    return _FENCE.sub("", text)


def links(text: str) -> Iterator[str]:
    """Yield the relative targets of links and pictures."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if not re.match(r"\w+:", target):
            yield target


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
