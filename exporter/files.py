"""Small files that change while the exporter runs: reading them without blocking, and noticing changes."""

import errno
import os
import select
from pathlib import Path

_LARGEST = 64 * 2**20  # bytes, far above any configuration; /dev/zero must not exhaust the memory
_PIPE_TIMEOUT = 5_000  # milliseconds

Version = tuple[int, ...]


def read_bytes(path: Path) -> bytearray:
    """Return a file's content, waiting at most 5 s for each part of a pipe.

    Raises:
        OSError: the file cannot be read, is too large, or is a pipe that nobody writes to.
        ValueError: the path contains a null byte or a surrogate.
    """
    with open(path, "rb", buffering=0, opener=_without_blocking) as file:  # Path.open takes no opener
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


def _without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def version(path: Path) -> Version | None:
    """Return a value that changes when the file is written or replaced, or None if there is no such file."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a null byte in the path
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size


class FileVersions:
    """The versions of several files as first seen, to notice a later change of any of them.

    Add a file before reading it, so that no change goes unnoticed.
    """

    def __init__(self, *paths: Path) -> None:
        self._seen: dict[Path, Version | None] = {}
        self.add(*paths)

    def add(self, *paths: Path) -> None:
        """Watch further files; the versions of files that are watched already stay."""
        for path in paths:
            if path not in self._seen:
                self._seen[path] = version(path)

    def changed(self) -> bool:
        """Return whether any file has been written, replaced, created or removed since."""
        return any(version(path) != seen for path, seen in self._seen.items())
