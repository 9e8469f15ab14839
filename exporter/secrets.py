"""Secrets that stand in the configuration or in files, which are read again when they change."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic import SecretStr


def secret(value: SecretStr | str | None, file: Path | None) -> Callable[[], str] | None:
    """How to read a secret given as a value or a file; None where neither is given."""
    match value:
        case None:
            return ChangingFile(file).read if file else None
        case str():
            return lambda: value
        case _:
            return value.get_secret_value


def version(path: Path) -> tuple[int, ...]:
    """What changes when a file is written or replaced, whatever time it is given. Raises OSError."""
    status = path.stat()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size


class ChangingFile:
    """A small text file whose content may be replaced at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: object = None
        self._content: str | None = None

    def read(self) -> str:
        """The content without surrounding blanks and byte order mark.

        While the file is away or empty, as it may be for a moment when it is being replaced, the last content stands.

        Raises:
            OSError: the file was never readable.
            ValueError: it is no UTF-8 text.
        """
        try:
            present = version(self._path)
            if present != self._version:
                content = self._path.read_text("utf-8-sig").strip()
                if content or self._content is None:
                    self._content = content
                self._version = present
        except OSError:
            if self._content is None:
                raise
        except UnicodeDecodeError:  # which holds all that was read
            raise ValueError(f"{self._path} is not UTF-8 text") from None
        assert self._content is not None
        return self._content
