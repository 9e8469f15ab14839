"""The web file in effect: checked at every connection and request, and read again when it has changed."""

from pathlib import Path

import structlog

from exporter.config.web_file import WebFile, WebFileError, read_web_file
from exporter.files import FileVersions

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class CurrentWebFile:
    """The last valid version of a web file; without a path, plain HTTP for everybody.

    Raises:
        ConfigError: it is not valid to begin with.
    """

    def __init__(self, path: Path | None) -> None:
        self.in_force = WebFile()
        self.path = path
        if path:
            self._versions = FileVersions(path)
            self.in_force = read_web_file(path)
            self._versions.add(*self.in_force.files)

    def look(self) -> WebFile:
        """Return what is in effect. A rejected change is logged once and has no effect."""
        if self.path and self._versions.changed():
            self._read_again(self.path)
        return self.in_force

    def _read_again(self, path: Path) -> None:
        self._versions = FileVersions(*self.in_force.files)  # before reading, so that no change goes unnoticed
        try:
            self.in_force = read_web_file(path)
        except WebFileError as error:
            self._versions.add(*error.files)
            mistakes = [f"{mistake.path}: {mistake.reason}".removeprefix(": ") for mistake in error.mistakes]
            _logger.error(  # noqa: TRY400 - a mistake in a file needs no traceback
                "web_config_refused", file=str(path), mistakes=mistakes, in_force="the last valid version"
            )
        else:
            self._versions.add(*self.in_force.files)
            _logger.info(
                "web_config_changed",
                file=str(path),
                tls=self.in_force.tls is not None,
                basic_auth_users=len(self.in_force.users),
            )
