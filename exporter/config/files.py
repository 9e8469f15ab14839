"""Reading the files of a configuration: UTF-8 text, strict YAML 1.2, PEM certificates and `…_file` settings."""

import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent, DocumentStartEvent, Event, ScalarEvent
from ruamel.yaml.parser import Parser

from exporter.config.mistakes import Loc
from exporter.files import read_bytes

_SYNTAX = (
    "is not valid YAML; look here and above for an open bracket or quote, a tab, wrong indentation, "
    "or special characters such as * without quotes"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_DEEPEST = 20  # nested collections; more than the settings have, and too few to exhaust the stack


class UnusableError(ValueError):
    """A file or text that cannot be used; the message says why and fits after its name."""


class _StrictParser(Parser):
    """A YAML parser that rejects whatever could change the meaning of text elsewhere or grow without bounds."""

    _documents = _depth = 0

    def get_event(self) -> Event:
        event: Event = super().get_event()
        self._documents += isinstance(event, DocumentStartEvent)
        self._depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        reason = None
        if self._depth > _DEEPEST:
            reason = "is nested too deeply"
        elif self._documents > 1:
            reason = "begins a second document; keep one"
        elif isinstance(event, DocumentStartEvent) and (event.version or event.tags):
            reason = "follows a % directive; remove it"
        elif getattr(event, "anchor", None) or getattr(event, "tag", None):
            reason = "has an anchor (&), alias (*) or tag (!); write the value out, in quotes if it begins so"
        elif isinstance(event, ScalarEvent) and not event.value.isascii() and _SURROGATE.search(event.value):
            reason = "has an escape for half a character; write the whole character"
        if reason:
            raise UnusableError(_at(event.start_mark, reason))
        return event


def parse_yaml(text: str) -> object:
    """Return the data of one YAML document, or None if it is empty.

    Raise UnusableError, with line and column, for invalid YAML, duplicate keys, and what `_StrictParser` rejects.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Parser = _StrictParser
    try:
        return yaml.load(text)
    except UnusableError:
        raise
    except DuplicateKeyError as error:
        raise UnusableError(_at(error.problem_mark, "repeats a key of the same mapping; keep one of them")) from None
    except MarkedYAMLError as error:
        raise UnusableError(_at(error.problem_mark or error.context_mark, _SYNTAX)) from None
    except YAMLError:  # characters that YAML does not allow
        raise UnusableError(_SYNTAX) from None
    except Exception:  # noqa: BLE001 - ruamel.yaml raises many types: for a month 13, a list as a key, "\U99999999"
        raise UnusableError("has a key or value that YAML cannot read; put dates and long numbers in quotes") from None


def _at(mark: StringMark | None, reason: str) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: {reason}" if mark else reason


def read_text(path: Path) -> str:
    """Return a file's text; raise UnusableError if it cannot be read, is not UTF-8, or holds nothing but space."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise _unusable(error) from None
    if not text.strip():
        raise UnusableError("is empty")
    return text


def read_mapping(path: Path, content: str) -> dict[str, object]:
    """Return the data of a YAML file; raise UnusableError if it is not a mapping, `content` saying of what."""
    values = parse_yaml(read_text(path))
    if not isinstance(values, dict):
        raise UnusableError(f"must be a mapping{content}")
    return values


def check_certificates(path: Path) -> None:
    """Raise UnusableError if OpenSSL cannot load a PEM file of certificates."""
    if path.exists() and not path.is_file():  # OpenSSL would wait for a pipe
        raise UnusableError("is not a regular file")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError) as error:
        raise _unusable(error) from None


def _unusable(error: OSError | ValueError) -> UnusableError:
    match error:
        case UnicodeDecodeError():
            return UnusableError("is not UTF-8 text; save it as UTF-8")
        case ssl.SSLError():
            return UnusableError("holds no PEM certificates; name a file that does")
        case OSError():
            return UnusableError(f"cannot be read ({error.strerror}); name a file that the exporter may read")
        case _:  # a null byte or a surrogate
            return UnusableError("is not a possible path of a file")


def resolve_files(values: Mapping[str, object], directory: Path) -> dict[str, object]:
    """Return a copy of nested values with absolute `…_file` paths; raise OSError if the working directory is gone."""

    def copied(value: object, key: object) -> object:
        match value:
            case Mapping():
                return {key: copied(inner, key) for key, inner in value.items()}
            case list() | tuple():
                return [copied(each, None) for each in value]
            case str() | Path() if _names_file(key):
                return (directory / value).absolute()
            case _:
                return value

    return {key: copied(value, key) for key, value in values.items()}


def named_files(value: object, loc: Loc = ()) -> Iterator[tuple[Loc, Path]]:
    """Yield location and path of each `…_file` in nested values that `resolve_files` returned."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        if isinstance(part, Path) and _names_file(key):
            yield (*loc, key), part
        yield from named_files(part, (*loc, key))


def _names_file(key: object) -> bool:
    return isinstance(key, str) and key.endswith("_file")
