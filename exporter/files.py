"""Small files that change while the exporter runs: reading them without blocking, noticing changes, and secrets."""

import errno
import os
import select
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

_LARGEST = 64 * 2**20  # bytes, far above any configuration; /dev/zero must not exhaust the memory
_PIPE_TIMEOUT = 5_000  # milliseconds

Version = tuple[int, ...]  # of a file; see `version`


def read_bytes(path: Path) -> bytearray:
    """Return a file's content, waiting at most 5 s for each part of a pipe.

    Raises:
        OSError: the file cannot be read, is too large, or is a pipe that nobody writes to.
        ValueError: the path contains a null byte or a surrogate.
    """
    # Path.open takes no opener
    with open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        poll = select.poll()
        poll.register(file, select.POLLIN)
        content = bytearray()
        while poll.poll(_PIPE_TIMEOUT):
            part = file.read(2**20)
            if not part:
                return content
            content += part
            if len(content) > _LARGEST:
                raise OSError(errno.EFBIG, f"larger than {_LARGEST >> 20} MiB", str(path))
        raise TimeoutError(errno.ETIMEDOUT, "a pipe without data", str(path))


def version(path: Path) -> Version | None:
    """Return a value that changes when the file is written or replaced, or None if there is no such file."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a null byte in the path
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size


class FileVersions:
    """The versions of files as first seen. Add a file before reading it, so that no change goes unnoticed."""

    def __init__(self, *paths: Path) -> None:
        self._seen = {path: version(path) for path in paths}

    def add(self, *paths: Path) -> None:
        """Watch further files; the versions of files that are watched already stay."""
        self._seen = {path: version(path) for path in paths} | self._seen

    def changed(self) -> bool:
        """Return whether any file has been written, replaced, created or removed since."""
        return any(version(path) != seen for path, seen in self._seen.items())


class ChangingFile:
    """A small text file that may be replaced at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._versions = FileVersions()
        self._content: str | None = None

    def read(self) -> str:
        """Return the content without surrounding space and byte order mark.

        While the file is away or empty, as during its replacement, the last content is returned.

        Raises:
            OSError: the file was never readable.
            ValueError: the file is not UTF-8 text.
        """
        if self._content is None or self._versions.changed():
            versions = FileVersions(self._path)
            try:
                content = read_bytes(self._path).decode("utf-8-sig").strip()
            except OSError:
                if self._content is None:
                    raise
                return self._content
            except UnicodeDecodeError:  # its message quotes the content
                raise ValueError(f"{self._path} is not UTF-8 text") from None
            self._content = content or self._content or ""
            self._versions = versions
        return self._content


def secret(value: SecretStr | None, file: Path | None) -> Callable[[], str] | None:
    """Return a function that reads the secret from its value or file, or None if neither is given."""
    if value is not None:
        return value.get_secret_value
    return ChangingFile(file).read if file else None
