"""The users file of a running project: read again when it changes, without a reload."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from exporter.config import ConfigError, Mistake, Project, User, users_of_file
from exporter.config.files import UnusableError
from exporter.files import Version, version
from exporter.threads import in_a_thread

_INTERVAL = 5.0  # seconds between two looks at the file
_MISTAKES_LOGGED = 10

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class UsersFile:
    """The users file of a project, since the project was loaded.

    A file that is missing, unreadable, empty or wrong changes nothing.
    """

    def __init__(self, project: Project, now: Callable[[], float] = time.time) -> None:
        """``now`` returns the wall clock, in seconds since 1970."""
        assert project.users_file
        self._path = project.users_file
        self._inline = project.inline_users
        self._judged = project.file_version  # the version that is in effect, or has mistakes
        self._seen = project.file_version  # at the last look
        self._unusable: tuple[Version | None, str] | None = None  # the version that could not be read, and why
        self._project = project.name
        self._now = now
        self.rejected_at: float | None = None
        """When the file could no longer be used, so that an earlier one is in effect; None if it is in effect."""

    async def follow(
        self,
        watch_users: Callable[[Sequence[User]], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Pass all configured users of the project on after each change of the file, until cancelled."""
        while True:
            await sleep(_INTERVAL)
            try:
                users = await in_a_thread(self.look)
                if users is not None:
                    self.rejected_at = None
                    await watch_users(users)
                    _logger.info("users_file_read", project=self._project, users=len(users))
            except ConfigError as error:
                self.rejected_at = self.rejected_at or self._now()
                self._reject(error.mistakes)
            except Exception:
                _logger.exception("users_file_failed", project=self._project)

    def look(self) -> tuple[User, ...] | None:
        """Return all configured users of the project if the file has changed, else None.

        A change counts once the file has stayed the same for two looks, since editors write piece by piece.

        Raises:
            ConfigError: the changed file is rejected. This is raised once, until the file changes again.
        """
        current = version(self._path)
        settled, self._seen = current == self._seen, current
        if current == self._judged:
            self._unusable = None
            return None
        if not settled:
            return None
        try:
            users = users_of_file(self._inline, self._path, self._warn)
        except UnusableError as error:  # perhaps it is being replaced, so try again at the next look
            before, self._unusable = self._unusable, (current, str(error))
            if before == self._unusable:
                return None
            raise ConfigError([Mistake(str(self._path), "", str(error))]) from None
        except ConfigError:
            self._judged = current
            raise
        if version(self._path) != current:
            return None
        self._judged = current
        return (*self._inline, *users)

    def _warn(self, doubt: Mistake) -> None:
        _logger.warning("configuration_doubtful", project=self._project, doubt=str(doubt))

    def _reject(self, mistakes: Sequence[Mistake]) -> None:
        for mistake in mistakes[:_MISTAKES_LOGGED]:
            _logger.error("users_file_rejected", project=self._project, mistake=str(mistake), total=len(mistakes))
