"""The web file as it stands: looked at whenever somebody connects or asks, and read again when it has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from exporter import config
from exporter.config.files import UnreadableError
from exporter.config.web_file import RefusedError, WebFile, mistakes, read
from exporter.secrets import version

if TYPE_CHECKING:
    from pathlib import Path

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_Version = tuple[int, ...] | None


class CurrentWebFile:
    """The last valid version of a web file; without a path, plain HTTP for everybody.

    Raises:
        ConfigError: it is not valid to begin with.
    """

    def __init__(self, path: Path | None) -> None:
        self.in_force = WebFile()
        self.path = path
        self._watched: dict[Path, _Version] = {}
        if path:
            self._watch(path)
            try:
                self.in_force = read(path)
            except (RefusedError, UnreadableError) as error:
                raise config.ConfigError(mistakes(path, error)) from None
            self._watch(*self.in_force.files)

    def look(self) -> WebFile:
        """What is in force now. A change for the worse is told once, and leaves in force what was."""
        if self.path and any(_version(file) != seen for file, seen in self._watched.items()):
            self._read_again(self.path)
        return self.in_force

    def _read_again(self, path: Path) -> None:
        self._watched.clear()
        self._watch(path, *self.in_force.files)  # as they are before they are read, so that no change gets lost
        try:
            self.in_force = read(path)
        except (RefusedError, UnreadableError) as error:
            self._watch(*(error.files if isinstance(error, RefusedError) else ()))
            told = [f"{mistake.path}: {mistake.reason}".removeprefix(": ") for mistake in mistakes(path, error)]
            _logger.error(  # noqa: TRY400 - a mistake of theirs needs no traceback
                "web_config_refused", file=str(path), mistakes=told, in_force="the last valid version"
            )
        else:
            self._watch(*self.in_force.files)
            _logger.info(
                "web_config_changed",
                file=str(path),
                tls=self.in_force.tls is not None,
                basic_auth_users=len(self.in_force.users),
            )

    def _watch(self, *files: Path) -> None:
        for file in files:
            self._watched.setdefault(file, _version(file))


def _version(file: Path) -> _Version:
    try:
        return version(file)
    except (OSError, ValueError):  # away, or a path with a null byte
        return None
