"""Mistakes in the arguments of the command line: one line each, with the closest word that is known."""

import argparse
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from exporter.config import without_flag

PROGRAM = "workspace-exporter"
_LAST = {"-h", "--help", "--version"}  # argparse prints and exits, and reads no further
_NEGATIVE = re.compile(r"-\d*\.?\d+")  # a value, not a flag


class Parser(argparse.ArgumentParser):
    """A parser that knows its flags and reports a mistake in one line, without a page of usage."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - those of argparse
        self.flags: dict[str, argparse.Action] = {}
        super().__init__(**options)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:  # noqa: ANN401 - those of argparse
        """Add an argument, and remember its flags."""
        action = super().add_argument(*names, **options)
        self.flags |= dict.fromkeys(action.option_strings, action)
        return action

    def error(self, message: str) -> NoReturn:
        """Print the message and exit."""
        self.exit(2, f"{PROGRAM}: {message.removeprefix('argument ')}\n")


def find_mistake(arguments: Sequence[str], parsers: Mapping[str, Parser]) -> str | None:
    """Return the first flag or command that argparse would reject with a worse message, or None.

    The parsers are those of all commands by name, and that of the exporter itself under an empty name.
    """
    command, switch = "", ""  # the last words, if they were such
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=")
        action = parsers[command].flags.get(name)
        if action and action.nargs != 0:
            if not equals:
                value = waiting.pop(0) if waiting and not _is_flag(waiting[0]) else ""
            if not value:
                return f"{name} needs a value: {name}={action.metavar or 'VALUE'}"
            switch = ""
        elif action and equals:
            return _no_value(name, parsers[command])
        elif action:
            if name in _LAST:
                return None
            switch = name
        elif word and word in parsers and not command:
            command, switch = word, ""
        elif _is_flag(word):
            return _unknown_flag(name, command, parsers)
        else:
            return _no_value(switch, parsers[command]) if switch else _unknown_word(word, command, parsers)
    return None


def _is_flag(word: str) -> bool:
    return word.startswith("-") and word != "-" and " " not in word and not _NEGATIVE.fullmatch(word)


def _no_value(switch: str, parser: Parser) -> str:
    forms = [form for form in parser.flags[switch].option_strings if form.startswith("--")]
    return f"{switch} takes no value: write {' or '.join(forms)}"


def _unknown_flag(name: str, command: str, parsers: Mapping[str, Parser]) -> str:
    right = f"--{name.lstrip('-').lower().replace('_', '-')}"
    if reason := without_flag(right):
        return f"{right} {reason}"
    subject = f"unknown flag {name} of {command}" if command else f"unknown flag {name}"
    others = [other for other, parser in parsers.items() if right in parser.flags and other != command]
    # What exists elsewhere is probably no slip of the pen.
    known = [*parsers[command].flags, *([] if command else parsers)]
    if close := _closest(right, known, 0.8 if others else 0.6):
        return f"{subject}; did you mean {close}?"
    if others:
        return f"{subject}; it is a flag of {PROGRAM} {others[0]}".rstrip()
    return f"{subject}; {PROGRAM} {command} --help lists all flags".replace("  ", " ")


def _unknown_word(word: str, command: str, parsers: Mapping[str, Parser]) -> str:
    if command:
        return f"unexpected argument {word} after {command}"
    if close := _closest(word.lower(), filter(None, parsers), 0.6):
        return f"unknown command {word}; did you mean {close}?"
    known = ", ".join(filter(None, parsers))
    return f"unknown command {word}; the commands are {known}, and flags begin with two hyphens: --config.file=FILE"


def _closest(word: str, known: Iterable[str], least: float) -> str | None:
    """Return the closest known word of at least this similarity. Hyphens at the start make no words similar."""
    bare = {each.lstrip("-"): each for each in known}
    close = difflib.get_close_matches(word.lstrip("-"), bare, n=1, cutoff=least)
    return bare[close[0]] if close else None
