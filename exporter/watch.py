"""One watched project: its connection, its users and its polling."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import structlog

from exporter.cloud.connect import Connection, ConnectionSpec
from exporter.cloud.models import User
from exporter.config import Poll, Project, Settings
from exporter.config import User as ConfiguredUser
from exporter.fleet import WINDOW, Fleet, History, Watched
from exporter.polling.discovery import to_watch
from exporter.polling.gate import Access
from exporter.polling.listings import run_steps
from exporter.polling.pace import Pace, monotonic
from exporter.polling.poller import Poller
from exporter.status import DiscoveryStatus, OperationStatus, ProjectStatus

_RESTART_PAUSE = 60.0  # seconds after a bug ended the polling

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WatchSpec:
    """Everything a watch follows from, apart from its configured users."""

    project: Project  # without its users
    poll: Poll  # with the project's overrides
    connection: ConnectionSpec

    @classmethod
    def of(cls, project: Project, settings: Settings, tls: ssl.SSLContext) -> WatchSpec:
        """Return the spec of a project. Raises what :meth:`ConnectionSpec.of` does."""
        connection = ConnectionSpec.of(project, settings, tls)
        return cls(project.without_users(), settings.poll_of(project), connection)


class Watch:
    """A project and everything that watching it takes. ``now`` returns the wall clock, in seconds since 1970.

    It begins without users; :meth:`apply` names them.
    """

    def __init__(
        self,
        spec: WatchSpec,
        connection: Connection,
        access: Access,
        pace_of: Callable[[str], Pace],
        now: Callable[[], float],
    ) -> None:
        self.spec = spec
        self.connection = connection
        self.fleet = Fleet()
        self.history = History()
        self.failures_found: Callable[[], None] = lambda: None  # called when failures are to be published
        self.poller = Poller(
            self.fleet,
            connection.client,
            spec.poll,
            now,
            access,
            pace_of,
            self._follow_discovery,
            self._follow_failures,
        )
        self.now = now
        self._configured: Sequence[ConfiguredUser] = ()  # kept only with discovery, since there may be many
        self._discovered = 0  # watched users that discovery found
        self._updating = asyncio.Lock()
        self._logged_budget: dict[str, object] = {}

    async def apply(
        self,
        spec: WatchSpec,
        users: Sequence[ConfiguredUser],
        connection: Connection,
        access: Access,
        pace_of: Callable[[str], Pace],
    ) -> None:
        """Continue with these. Users who stay keep their numbers; running cycles and counters continue."""
        self.spec, self.connection = spec, connection
        access.present = connection.credentials.fingerprint
        self.poller.apply(connection.client, spec.poll, access, pace_of)
        await self.watch_users(users)

    async def watch_users(self, configured: Sequence[ConfiguredUser]) -> None:
        """Watch these configured users from now on, and those of discovery."""
        entries = tuple(dict.fromkeys(entry.filters for entry in self.spec.project.discover))
        self.poller.discover(entries, others=bool(configured))
        self._configured = configured
        await self._update_users()

    def _follow_failures(self) -> None:
        self.failures_found()

    async def _follow_discovery(self) -> None:
        known = bool(self.fleet.members)
        await self._update_users()
        _logger.info("users_discovered", project=self.spec.project.name, users=self._discovered)
        if known:  # the budget of some users more or less is not worth a line
            self.poller.update_sources()
        else:
            self.follow_shares()

    async def _update_users(self) -> None:
        discovered = 0

        def users() -> Iterator[Watched]:
            nonlocal discovered
            discovery, excludes = self.poller.discovery, self.spec.project.excludes
            found: Sequence[User] = discovery.found or ()
            if discovery.entries and discovery.found is None:  # nobody leaves before discovery knows who is there
                found = [User(each.id, each.user_name, domain=each.given_domain) for each in self.fleet.members]
            for user, was_found in to_watch(self._configured, found, excludes):
                discovered += was_found
                yield user

        async with self._updating:
            members = self.fleet.members
            await run_steps(self.fleet.update(users(), monotonic()))
            self._discovered = discovered
            changed = self.fleet.members is not members
            if not self.poller.discovery.entries:
                self._configured = ()
        if changed:
            self.poller.follow_users()

    def follow_shares(self) -> None:
        """Choose the sources again, and log the request budget if it has changed: other projects may share it."""
        self.poller.update_sources()
        facts: dict[str, object] = {"users": len(self.fleet.members), "rate_limit": self.spec.poll.rate_limit}
        polled = {"session": self.poller.sessions, "user": self.poller.accounts}
        for kind, loop in polled.items():
            facts |= {
                f"{kind}_requests_wanted_per_minute": round(loop.lane.demand, 1),
                f"{kind}_requests_allowed_per_minute": round(loop.lane.ceiling, 1),
                f"{kind}_interval_seconds": round(loop.interval, 3),
            }
        if facts == self._logged_budget:
            return
        self._logged_budget = facts
        log = _logger.bind(project=self.spec.project.name)
        if self.poller.scanning or all(each.interval <= each.configured_interval for each in polled.values()):
            log.info("request_budget", **facts)
        else:
            log.warning("request_budget", reason="the rate limit allows fewer requests than wanted", **facts)

    async def run(self) -> None:
        """Poll until cancelled. Not even a bug ends it or affects another project."""
        while True:
            try:
                await self.poller.run()
            except Exception:
                _logger.exception("polling_crashed", project=self.spec.project.name, restart_in_seconds=_RESTART_PAUSE)
                await asyncio.sleep(_RESTART_PAUSE)

    def expire(self) -> Iterator[None]:
        """Let go, in steps, of what is stale."""
        return self.poller.expire()

    def status(self) -> ProjectStatus:
        """Return the project at this moment, and note it in the history."""
        poller = self.poller
        counts = self.fleet.counts()
        status = ProjectStatus(
            project=self.spec.project.name,
            taken_at=self.now(),
            counts=counts,
            users=self.fleet.users(),
            attempts=poller.attempts(),
            account_locks=self.fleet.account_locks,
            operations={
                name: OperationStatus(
                    deepcopy(loop.cycles),
                    loop.effective_interval,
                    poller.requests_per_minute(name),
                    poller.fresh(name, counts),
                    poller.failures_of(name),
                )
                for name, loop in poller.operations.items()
            },
            source=poller.source,
            up=poller.up and counts.sessions_known,
            discovery=DiscoveryStatus(self._discovered, poller.discovery.successful)
            if poller.discovery.entries
            else None,
            labels=self.spec.project.labels,
            ages=counts.ages(poller.cloud_time),
            servers=poller.known_servers.counts(),
            group_names=poller.known_servers.names.copy(),
            short_sessions_counted=poller.starts.works,
            unavailable=poller.unavailable,
            failures_scan_incomplete=poller.failures.incomplete,
            ready=poller.ready,
            paused=poller.access.paused,
            rate_limit=self.spec.poll.rate_limit,
            telemetry=deepcopy(self.connection.telemetry),
            credentials_expire_at=self.connection.credentials.expires_at,
        )
        since, at = poller.complete_since, monotonic()
        age = None if since is None else max(status.taken_at - since, 0.0)
        recent = self.history.observe(
            at,
            status.attempts,
            users=status.configured,
            failing_users=self.fleet.failing_users(at - WINDOW),
            sessions=status.sessions_by_state if status.sessions_known else None,
            up=status.up,
            age=age,
        )
        return replace(status, recent=recent, data_age=age)
