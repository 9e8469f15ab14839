"""The polling of one project: which operations run, and how long their answers count."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

import structlog

from exporter.cloud.client import (
    LIST_SERVER_GROUPS,
    LIST_SERVERS,
    LIST_SESSION_BY_USER_NAME,
    LIST_SESSIONS,
    LIST_USER_DETAIL,
    LIST_USERS,
)
from exporter.config import Poll
from exporter.fleet import Attempts, Counts, Fleet, Servers
from exporter.polling.cycles import Failure, FailureLog
from exporter.polling.discovery import Discovery, Filters
from exporter.polling.gate import Access
from exporter.polling.lane import Lane
from exporter.polling.listings import OptionalListing, UserListing
from exporter.polling.loop import STALE_CYCLES, Cloud, CycleLoop, PollContext
from exporter.polling.pace import Pace, monotonic
from exporter.polling.scans import FailuresScan, PublishedAttempts, SessionScan, StartsScan
from exporter.polling.servers import server_groups, servers
from exporter.polling.source import Source, choose_source, fits
from exporter.polling.users import UserAccounts, UserSessions

OPERATIONS = (
    LIST_SESSION_BY_USER_NAME,
    LIST_USER_DETAIL,
    LIST_USERS,
    LIST_SESSIONS,
    LIST_SERVERS,
    LIST_SERVER_GROUPS,
)

SERVERS_RECHECK = 30.0  # seconds after which servers are listed again if sessions fail

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def _nothing() -> None:
    """Do nothing."""


class Poller:
    """Polls one project's users while :meth:`run` runs.

    The sessions of each user are always polled. Where that takes longer than the interval, scans report all sessions
    that started lately, and a listing of all users reports their accounts, as long as these work. Where they are
    permitted, scans of what has started and failed lately count session starts, and servers are listed.

    Times are the event loop's; ``now`` returns the wall clock, in seconds since 1970.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a project's polling consists of
        self,
        fleet: Fleet,
        cloud: Cloud,
        poll: Poll,
        now: Callable[[], float],
        access: Access,
        pace_of: Callable[[str], Pace] = lambda _: Pace(),
        users_found: Callable[[], Awaitable[None]] = _nothing,
        failures_found: Callable[[], None] = lambda: None,
    ) -> None:
        """``pace_of`` returns the pace of an operation, which other projects may share.

        ``users_found`` is called when discovery has found other users than before, and watches them.
        ``failures_found`` is called when further sessions have failed and are to be published.
        """
        self.discovery = Discovery()
        context = self._context = PollContext(fleet, cloud, poll, now, self.discovery)
        self.lanes = {
            name: Lane(name, FailureLog(access.project, name, now), pace_of(name), access) for name in OPERATIONS
        }
        lanes, ended = self.lanes, self.update_sources
        self.sessions = UserSessions(context, lanes[LIST_SESSION_BY_USER_NAME], ended)
        self.accounts = UserAccounts(context, lanes[LIST_USER_DETAIL], ended, lanes[LIST_USERS])
        self.scan = SessionScan(context, lanes[LIST_SESSIONS], ended, lambda: self._chosen.name == "bulk")
        self.listing = UserListing(context, lanes[LIST_USERS], ended, users_found)
        self._attempts = PublishedAttempts(fleet, self._follow_failures)
        self._failures_found = failures_found
        logs = [FailureLog(access.project, LIST_SESSIONS, now, scan=scan) for scan in ("starts", "failures")]
        self.starts = StartsScan(context, lanes[LIST_SESSIONS], ended, logs[0], self._attempts)
        self.failures = FailuresScan(self.starts, ended, logs[1])
        self.servers = servers(context, lanes[LIST_SERVERS], ended)
        self.groups = server_groups(context, lanes[LIST_SERVER_GROUPS], ended)
        self._logged: dict[str, str] = {}
        self._logged_ambiguous = 0
        self.sessions.wanted.set()
        self.apply(cloud, poll, access, lambda name: lanes[name].pace)

    def apply(self, cloud: Cloud, poll: Poll, access: Access, pace_of: Callable[[str], Pace]) -> None:
        """Use these settings from now on. Running cycles continue."""
        self.access = access
        if cloud is not self._context.cloud:  # other credentials may permit more
            for optional in self._optional.values():
                optional.wake()
        self._context.cloud, self._context.poll = cloud, poll
        for name, lane in self.lanes.items():
            lane.apply(poll.concurrency, poll.rate_limit, pace_of(name), access)
        for loop in (self.sessions, self.scan, self.starts):
            loop.set_interval(poll.interval)
        self.failures.set_interval(poll.failures_interval or poll.interval)
        for rare in (self.accounts, self.listing, self.servers, self.groups):
            rare.set_interval(poll.user_interval)

    def discover(self, entries: tuple[Filters, ...], *, others: bool) -> None:
        """Find the users of these entries from now on. ``others`` says whether there are users to watch besides."""
        before = self.discovery.entries
        self.discovery.apply(entries, others=others)
        if entries != before:
            self.update_sources()
            self.listing.wake()

    @property
    def scanning(self) -> bool:
        """Whether scans and the listing of all users are tried."""
        poll = self._context.poll
        users = len(self._context.fleet.members)
        return poll.source == "bulk" or (poll.source == "auto" and not fits(poll, users, self.sessions.lane.ceiling))

    @property
    def _listing_users(self) -> bool:
        """Whether the listing of all users is tried, which then reports their accounts."""
        return self.scanning or bool(self.discovery.entries)

    @property
    def _optional(self) -> Mapping[str, OptionalListing]:
        """The listings that only some accounts permit, by operation. Session scans come second to that of live ones."""
        return {LIST_SESSIONS: self.starts, LIST_SERVERS: self.servers, LIST_SERVER_GROUPS: self.groups}

    @property
    def operations(self) -> Mapping[str, CycleLoop]:
        """The cycles of all operations in use."""
        used: dict[str, CycleLoop] = {LIST_SESSION_BY_USER_NAME: self.sessions}
        if self.scanning and self._chosen.name == "bulk":
            used = {LIST_SESSIONS: self.scan} | used
        if self._listing_users:
            used[LIST_USERS] = self.listing
        if self.accounts.wanted.is_set():
            used[LIST_USER_DETAIL] = self.accounts
        return used | {name: loop for name, loop in self._optional.items() if loop.permitted and name not in used}

    @property
    def source(self) -> Source:
        """Where sessions come from at present."""
        last = self.scan.cycles.last
        if self._chosen.name == "bulk" and last and not self.scan.works:
            return Source("per_user", f"{LIST_SESSIONS} fails ({', '.join(last.failed) or 'incomplete'})")
        return self._chosen

    @property
    def ready(self) -> bool:
        """Whether a first cycle about sessions and one about accounts have ended."""
        sessions = self.scan.cycles.last or self.sessions.cycles.last
        accounts = self.listing.cycles.last or self.accounts.cycles.last
        # The first cycle may have ended before discovery found anybody.
        return bool(sessions and accounts and (sessions.total or not self._context.fleet.members))

    @property
    def up(self) -> bool:
        """Whether the cloud answers about any user's sessions. Where cycles take long, it must have done so lately."""
        if self.discovery.entries and not self.discovery.successful and not self._context.fleet.members:
            return False
        if not self.scanning:
            return self.sessions.cycles.up
        lately = self.sessions.last_answer_at + STALE_CYCLES * self._context.poll.interval > monotonic()
        return self.scan.cycles.up or (lately and self.sessions.cycles.up)

    @property
    def complete_since(self) -> float | None:
        """The wall time since which all failures are known that began before it; None before the first whole cycle."""
        loops: list[CycleLoop] = [self.sessions]
        if self._chosen.name == "bulk":
            loops.append(self.scan)
        if not self.failures.incomplete:
            loops.append(self.failures)
        return max((since for each in loops if (since := each.cycles.complete_since) is not None), default=None)

    def follow_users(self) -> None:
        """Poll users without an answer soon: the users have changed."""
        members = self._context.fleet.members
        for lane in self.lanes.values():
            lane.pace.forget_demands()
        if any(member.queried_at is None for member in members):
            self.sessions.wake()
        if any(member.account_at is None for member in members):
            self.accounts.wake()
            self.listing.wake()
        if members and not self._context.fleet.counts().scanned:  # what scans listed before belonged to nobody
            self.scan.wake()

    async def run(self) -> None:
        """Poll until cancelled."""
        self.update_sources()
        async with asyncio.TaskGroup() as group:
            loops = (self.sessions, self.accounts, self.scan, self.listing, self.starts, self.failures)
            for each in (*loops, self.servers, self.groups):
                group.create_task(each.run())

    def close(self) -> None:
        """Leave the rate limits that are shared with other projects."""
        for lane in self.lanes.values():
            lane.pace.leave(lane)

    def expire(self) -> Iterator[None]:
        """Let go, in steps, of what is stale."""
        self.servers.expire()
        self.groups.expire()
        now, configured = monotonic(), self._context.poll.stale_after
        bulk = self._chosen.name == "bulk"
        in_use = [each for each in (self.listing, self.accounts) if each in self.operations.values()]
        accounts = max((each.stale_after for each in in_use), default=0.0)
        yield from self._context.fleet.expire(
            # While scans report everybody, a user's own query comes rarely: an explicit value is about the scans.
            queried_since=now - (self.sessions.stale_after if bulk else configured or self.sessions.stale_after),
            scanned_since=now - (configured or self.scan.stale_after),
            accounts_since=now - max(configured or 0.0, accounts),
        )

    def fresh(self, operation: str, counts: Counts) -> int | None:
        """Return how many users an operation has reported lately; None if it does not report users."""
        if isinstance(self.operations[operation], OptionalListing):
            return None
        match operation:
            case "ListSessionByUserName":
                return counts.queried
            case "ListSessions":
                return counts.scanned
            case "ListUserDetail":
                return counts.accounts
            case _:
                return 0 if self.accounts.wanted.is_set() else counts.accounts

    def update_sources(self) -> None:
        """Choose the sources of sessions and accounts, and log a change."""
        scanning, listing_users = self.scanning, self._listing_users
        watching = bool(self._context.fleet.members)
        failures = watching and self._context.poll.failures_interval > 0 and self.starts.works
        for listing, wanted in (
            (self.scan, scanning),
            (self.listing, listing_users),
            (self.starts, watching),
            (self.failures, failures),
            (self.servers, watching),
            (self.groups, watching),
        ):
            if wanted:
                listing.wanted.set()
            else:
                listing.wanted.clear()
        tried, last_success = self.listing.cycles.last is not None, self.listing.cycles.last_success or 0.0
        fails = tried and not self.listing.works and self._context.now() - last_success > 2 * self.listing.interval
        if not listing_users or fails:
            self.accounts.wanted.set()
        elif self.listing.works or not tried:
            self.accounts.wanted.clear()
        if watching:  # before discovery has found users, there is nothing to choose by
            self._log_source("source_chosen", self.source)
        if self.accounts.wanted.is_set() and listing_users:
            self._log_source("account_source_chosen", Source("per_user", f"{LIST_USERS} fails"))
        elif listing_users:
            self._log_source("account_source_chosen", Source("bulk", f"{LIST_USERS} reports all users"))
        if (ambiguous := self._context.fleet.ambiguous_users) != self._logged_ambiguous:
            self._logged_ambiguous = ambiguous
            reason = "several users of the cloud have the name; configure the domain of each"
            _logger.warning("user_names_ambiguous", project=self.access.project, users=ambiguous, reason=reason)

    def failures_of(self, operation: str) -> Sequence[Failure]:
        """Return what fails at present in an operation, each kind once."""
        failures = [each for loop in self._loops(operation) for each in loop.log.failures]
        return tuple({(each.error.operation, each.error.outcome): each for each in failures}.values())

    def requests_per_minute(self, operation: str) -> float:
        """Return how many requests of an operation are sent at present."""
        return sum(loop.requests * 60 / loop.interval for loop in self._loops(operation))

    @property
    def unavailable(self) -> Sequence[Failure]:
        """Why optional operations are not available, for those that are not."""
        loops = [loop for loop in self._optional.values() if loop.cycles.last and not loop.permitted]
        return tuple(failure for loop in loops for failure in loop.log.failures)

    def _loops(self, operation: str) -> Sequence[CycleLoop]:
        loops = [self.operations[operation]]
        if operation == LIST_SESSIONS and self.starts.permitted:
            loops = list(dict.fromkeys((*loops, self.starts, self.failures)))
        return loops

    def _follow_failures(self) -> None:
        """Publish failures, and list the servers soon: a group may have lost its own."""
        self._failures_found()
        if self.servers.permitted and self.servers.age > SERVERS_RECHECK:
            self.servers.wake()

    @property
    def cloud_time(self) -> float:
        """The time in seconds since 1970 by the clock of the cloud."""
        return self._context.cloud_time

    @property
    def known_servers(self) -> Servers:
        """What is known about servers and their groups."""
        return self._context.servers

    def attempts(self) -> Attempts:
        """Return how session starts have gone, as it is published."""
        return self._attempts.current(waiting=self.failures.wanted.is_set() and self.failures.works)

    @property
    def _chosen(self) -> Source:
        users = len(self._context.fleet.members)
        return choose_source(self._context.poll, users, self.scan.total, self.sessions.lane.ceiling)

    def _log_source(self, event: str, source: Source) -> None:
        if self._logged.get(event) != source.name:
            self._logged[event] = source.name
            _logger.info(event, project=self.access.project, source=source.name, reason=source.reason)
