"""Secrets from settings or from files, which are read again when they change."""

from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from exporter.files import FileVersions, read_bytes


def secret(value: SecretStr | str | None, file: Path | None) -> Callable[[], str] | None:
    """Return a function that reads the secret from its value or file, or None if neither is given."""
    match value:
        case None:
            return ChangingFile(file).read if file else None
        case str():
            return lambda: value
        case _:
            return value.get_secret_value


class ChangingFile:
    """A small text file that may be replaced at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._versions: FileVersions | None = None
        self._content: str | None = None

    def read(self) -> str:
        """Return the content without surrounding space and byte order mark.

        While the file is away or empty, as during its replacement, the last content is returned.

        Raises:
            OSError: the file was never readable.
            ValueError: the file is not UTF-8 text.
        """
        if self._content is None or self._versions is None or self._versions.changed():
            versions = FileVersions(self._path)
            try:
                content = read_bytes(self._path).decode("utf-8-sig").strip()
            except OSError:
                if self._content is None:
                    raise
                return self._content
            except UnicodeDecodeError:  # its message quotes the content
                raise ValueError(f"{self._path} is not UTF-8 text") from None
            if content or self._content is None:
                self._content = content
            self._versions = versions
        return self._content
