"""Rules for plain English, and where the project's prose is.

`python tests/support/prose.py` prints each hit as `file:line: rule: sentence`.
"""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from support.deployment import rules
from support.documents import DOCUMENTS, ROOT, read

from exporter.config.catalog import all_settings
from exporter.metrics.families import DESCRIPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORDS = 30
"""A sentence has at most so many words."""

TERMS = {
    "ask": r"\b(?:is|are|was|were|be|been) asked\b|\basks? (?:for|the cloud|each|every|about)\b",
    "tell": r"\btells? (?:of|that|whether|how|what|which|whom|when|where|it|a person)\b|\btold\b",
    "stand": r"\bstands? (?:at|in|on|there|beside|for itself)\b",
    "whom": r"\bwhom\b|\bwhose? it is\b",
    "as far as": r"\bas far as\b",
    "in the place of": r"\bin the place of\b|\bin place of which\b",
    "of which": r"\bof which\b",
    "out of turn": r"\bout of turn\b|\bin (?:its|their|his) turn\b",
    "held back": r"\bheld back\b",
    "line to the cloud": r"\blines? to the cloud\b",
    "in force": r"\bin(?:to)? force\b|\btaken over\b|\btakes? over\b",
    "long ago": r"\blong ago\b",
    "refused": r"\brefus(?:ed|es|al|als) (?:the )?(?:credentials|keys?|configuration)\b"
    r"|\b(?:credentials|key) (?:is|are) refused\b",
    "sweep": r"\bsweeps?\b|\bswept\b|\bsweeping\b",
    "unproven": r"\bunproven call\b|\bon trial\b",
    "looks back": r"\blooks? back at\b|\blooked back\b",
    "goes on": r"\bgoes on\b|\bgo on\b|\bgoing on\b",
    "but for": r"\bbut for\b",
    "where there is": r"\bwhere there (?:is|are)\b",
    "nobody": r"\bnobody'?s\b",
}
"""Terms of other languages or trades, and patterns that find them. The project has another word for each."""

INVERTED = re.compile(
    r"^(?:Which|What|Whether|Whom?|Whose|How)\b[^?]*\b(?:says?|stands?|follows|decides|tells|shows)\b[^?]*[.:;]$"
    r"|^(?:What|Which) (?:is|are|was|were|has|have|had)\b[^?]*?[\w`] (?:is|are|was|were|has|have)\b[^?]*[.:;]$"
    r"|^Of (?!course)[a-z]"
    r"|^(?:Into|Unto|From these|To these) "
    r"|^(?:Nor|Neither|Not until|Only then|Only when|So long as) (?:is|are|does|do|has|have)\b"
)
"""A sentence that begins with its object or a clause."""
INVERTED_ORDER = "inverted order"

SENTENCE = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z`*\"(])|\n\s*\n|\n\s*(?:[-*]|\d+\.)\s+|\s\|\s|^\||\|$", re.MULTILINE)


@dataclass(frozen=True)
class Hit:
    """A sentence that breaks a rule."""

    place: str
    rule: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.rule}: {self.sentence}"


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text, each on one line. A code span counts as one word."""
    without_code = re.sub(r"``[^`]+``|`[^`]+`", "`code`", text)
    without_links = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", without_code)
    for part in SENTENCE.split(without_links):
        sentence = " ".join(part.replace("**", "").split()).strip("|-*# ")
        if re.search(r"[A-Za-z]{2}", sentence):
            yield sentence


def broken_rules(sentence: str) -> Iterator[str]:
    """Yield the names of the rules that a sentence breaks."""
    if len(re.findall(r"[\w`'-]*[A-Za-z`][\w`'-]*", sentence)) > WORDS:
        yield f"more than {WORDS} words"
    if INVERTED.search(sentence):
        yield INVERTED_ORDER
    for name, pattern in TERMS.items():
        if re.search(pattern, sentence, re.IGNORECASE):
            yield f'"{name}"'


def hits(place: str, text: str) -> Iterator[Hit]:
    """Yield what is wrong with a text."""
    for sentence in sentences(text):
        for rule in broken_rules(sentence):
            yield Hit(place, rule, sentence)


def of_document(path: Path) -> Iterator[Hit]:
    """Yield what is wrong with a document, without its code blocks and tables of generated texts."""
    text = re.sub(
        r"^ *```.*?^ *```", lambda found: "\n" * found[0].count("\n"), read(path), flags=re.MULTILINE | re.DOTALL
    )
    text = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", lambda found: "\n" * found[0].count("\n"), text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    yield from hits(str(path.relative_to(ROOT)), text)


def of_source(path: Path) -> Iterator[Hit]:
    """Yield what is wrong with the docstrings of a module, those of constants included."""
    for node in ast.walk(ast.parse(read(path))):
        match node:
            case ast.Expr(value=ast.Constant(value=str() as text)):
                yield from hits(f"{path.relative_to(ROOT)}:{node.lineno}", text)


def of_comments(path: Path) -> Iterator[Hit]:
    """Yield what is wrong with the words of comments. They may begin with "of", since many continue a line of code."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                text = re.sub(r"(?:noqa: [A-Z0-9, ]+|type: ignore\S*)(?: - | # )?", "", token.string.lstrip("# "))
                for hit in hits(f"{path.relative_to(ROOT)}:{token.start[0]}", text):
                    if hit.rule != INVERTED_ORDER:
                        yield hit


def of_texts() -> Iterator[Hit]:
    """Yield what is wrong with HELP texts, meanings of settings, and the texts of alerts."""
    for description in DESCRIPTIONS:
        yield from hits(f"HELP of {description.name}", description.help)
    for setting in all_settings():
        yield from hits(f"setting {setting.path}", setting.meaning)
    for alert in rules("alert"):
        for text in (alert["annotations"]["summary"], alert["annotations"]["description"]):
            yield from hits(alert["alert"], re.sub(r"\{\{.*?\}\}", "`code`", text, flags=re.DOTALL))


def sources(folder: str) -> list[Path]:
    """Return the modules in a folder."""
    return sorted((ROOT / folder).rglob("*.py"))


if __name__ == "__main__":
    modules = [each for folder in ("exporter", "grafana", "tests") for each in sources(folder)]
    found = chain(of_texts(), *map(of_document, DOCUMENTS), *map(of_source, modules), *map(of_comments, modules))
    sys.stdout.writelines(f"{hit}\n" for hit in found)
