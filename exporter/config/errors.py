"""Mistakes in a configuration: each with its source, its path and a reason that never repeats a value."""

import difflib
from collections.abc import Iterable
from typing import NamedTuple

Loc = tuple[str | int, ...]  # a location in nested values: keys and list indices, as in pydantic's errors
Problem = tuple[Loc, str]  # a location and what is wrong there, before the source of the value is known


class Mistake(NamedTuple):
    """One mistake: the file, variable or flag, the path within it (empty for all of it), and reason with remedy.

    The reason never holds a value, which might be a secret or a person's name.
    """

    source: str
    path: str
    reason: str

    def __str__(self) -> str:
        # A key or file name with a line break must not look like a second mistake.
        text = joined(*self)
        return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


class ConfigError(Exception):
    """A rejected configuration; the text lists every mistake, one per line."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(dict.fromkeys(mistakes))  # projects that share a broken file report it once
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class UnusableError(ValueError):
    """A file or text that cannot be used; the message says why and fits after its name."""


def joined(*parts: str) -> str:
    """Return the parts that are not empty, as they are written in a mistake."""
    return ": ".join(part for part in parts if part)


def dotted(loc: Loc) -> str:
    """Return a location as people write it: `projects[0].auth.token_file`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def unknown(word: str, known: Iterable[str], otherwise: str, prefix: str = "") -> str:
    """Return the reason to reject an unknown name: with the closest known name, or else with `otherwise`."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"is unknown; did you mean {prefix}{close[0]}?" if close else f"is unknown; {otherwise}"
