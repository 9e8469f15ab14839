"""The files that the configuration names: found by the name `…_file`, read once, before anything uses them."""

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

from exporter.config.mistakes import Loc

_SUFFIX = "_file"


class UnreadableError(ValueError):
    """A file cannot be used, and why."""


def with_absolute_files(values: Mapping[str, object], directory: Path) -> dict[str, object]:
    """Return the same nested values with every `…_file` made absolute, relative ones starting at the directory."""

    def absolute(value: object) -> object:
        match value:
            case Mapping():
                return {key: named(key, inner) for key, inner in value.items()}
            case list() | tuple():
                return [absolute(each) for each in value]
            case _:
                return value

    def named(key: object, value: object) -> object:
        return directory / value if _names_file(key) and isinstance(value, str | Path) else absolute(value)

    return {key: named(key, value) for key, value in values.items()}


def named_files(values: object, loc: Loc = ()) -> Iterator[tuple[Loc, Path, dict[str, object]]]:
    """Yield the location of every `…_file` in nested values, its path and the section that it stands in."""
    match values:
        case dict():
            for key, value in values.items():
                if _names_file(key) and isinstance(value, Path):
                    yield (*loc, key), value, values
                else:
                    yield from named_files(value, (*loc, key))
        case list():
            for index, value in enumerate(values):
                yield from named_files(value, (*loc, index))


def read_text(path: Path) -> str:
    """Return a file's text.

    Raises:
        UnreadableError: when it cannot be read, is no UTF-8, or holds nothing but space.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError("is not UTF-8 text; save it so") from None
    except OSError as error:
        raise UnreadableError(f"cannot be read ({error.strerror}); name a file that the exporter may read") from None
    except ValueError:  # a path with a null byte
        raise UnreadableError("is no possible path of a file") from None
    if not text.strip():
        raise UnreadableError("is empty")
    return text


def check_authorities(path: Path) -> None:
    """Check that a PEM file of trusted authorities can be loaded.

    Raises:
        UnreadableError: when it cannot.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise UnreadableError("holds no PEM certificates; name a file that does") from None
    except OSError as error:
        raise UnreadableError(f"cannot be read ({error.strerror}); name a file that the exporter may read") from None
    except ValueError:  # a path with a null byte
        raise UnreadableError("is no possible path of a file") from None


def _names_file(key: object) -> bool:
    return isinstance(key, str) and key.endswith(_SUFFIX)
