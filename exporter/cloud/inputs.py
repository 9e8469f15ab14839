"""Checks of what the SDK's variables and files hold. Errors name the variable or file and never quote a value."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from exporter.files import ChangingFile

_JWT = "eyJ"  # how an ID token begins


def complete(needed: Mapping[str, str | None], further: str | None = None, source: str = "") -> bool:
    """Return whether all needed values are given.

    Raises:
        ValueError: only some are given, or only ``further``, which goes with them. The text begins with ``source``.
    """
    missing = [name for name, value in needed.items() if not value]
    begun = [name for name, value in needed.items() if value] or ([further] if further else [])
    if begun and missing:
        half = f"{_listed(begun)} {'are' if len(begun) > 1 else 'is'} set, but not {_listed(missing)}"
        raise ValueError(": ".join(filter(None, [source, half])))
    return not missing


def check_text(given: Mapping[str, str], *names: str, source: str = "") -> None:
    """Raise ValueError for values that no request could carry."""
    for name in names:
        if not given.get(name, "").isprintable():
            raise ValueError(f"{source}{name} must be one line of text")


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def token_file(name: str, path: str) -> Callable[[], str]:
    """Return a function that reads the token from a file that rotates. Raises ValueError if there is no token now."""
    file = ChangingFile(Path(path))
    shown = "a token instead of a file" if path.startswith(_JWT) else path

    def read() -> str:
        try:
            token = file.read()
        except OSError as error:
            raise ValueError(f"{name} names {shown}, which cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if not (token and token.isprintable()):
            raise ValueError(f"{name} names {shown}, which {'is not one line of text' if token else 'is empty'}")
        return token

    read()
    return read


def base_address(name: str, text: str) -> str:
    """Return scheme and host of a URL. As in the SDK, what follows is left out."""
    parts = checked_url(name, text)
    return f"{parts.scheme}://{parts.netloc}"


def checked_url(name: str, text: str) -> SplitResult:
    """Return a URL. Raises ValueError for anything else."""
    with suppress(ValueError):  # which would quote the text
        parts = urlsplit(text.strip())
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        if valid and text.strip().isprintable() and "@" not in text:
            return parts
    raise ValueError(f"{name} must be an http:// or https:// URL with a host and without a user")
