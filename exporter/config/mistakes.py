"""What is wrong in a configuration, told all at once."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

Loc = tuple[str | int, ...]
"""Where in the nested values: keys and list indices, as pydantic has it."""

Told = tuple[Loc, str]
"""What is wrong at a location, before it is known who wrote it."""


class Place(NamedTuple):
    """Where something was written: a file, variable or flag, and the path in it (empty when the source says it)."""

    source: str
    path: str

    def __str__(self) -> str:
        return ": ".join(part for part in self if part)


@dataclass(frozen=True)
class Mistake:
    """One mistake: where it was made, and why it is one, with the remedy.

    The reason never holds a value: it might be a secret or a person's name.
    """

    source: str
    path: str
    reason: str

    def __str__(self) -> str:
        return _printable(f"{Place(self.source, self.path)}: {self.reason}")


class ConfigError(Exception):
    """The configuration is refused; the text lists every mistake, one a line."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        # Two projects that share a broken file tell of it once.
        self.mistakes = tuple(dict.fromkeys(mistakes))
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


def dotted(loc: Loc) -> str:
    """Return a location as people write it: `projects[0].auth.token_file`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def unknown(word: str, known: Iterable[str], otherwise: str, spell: Callable[[str], str] = str) -> str:
    """Return a reason for refusing an unknown name: the one it comes close to, or else where to find those known."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"is unknown; did you mean {spell(close[0])}?" if close else f"is unknown; {otherwise}"


def _printable(text: str) -> str:
    # A key or path with a line break must not look like a second mistake.
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
