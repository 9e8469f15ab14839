"""The request budget: whether polling fits into the rate limits and into the account's quota."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from exporter.cloud.causes import explain
from exporter.cloud.client import (
    LIST_SERVER_GROUPS,
    LIST_SERVERS,
    LIST_SESSION_BY_USER_NAME,
    LIST_SESSIONS,
    LIST_USER_DETAIL,
    LIST_USERS,
    SERVERS_A_PAGE,
    SESSIONS_A_PAGE,
    USER_OPERATIONS,
)
from exporter.cloud.connect import endpoints_of, lockout_key
from exporter.cloud.errors import CloudError, Forbidden
from exporter.config import Auth, Poll, Project, Settings
from exporter.doctor.answers import Total
from exporter.doctor.findings import REQUEST_BUDGET, Finding, NotQueried, Verdict, skip, warn
from exporter.doctor.loads import Load, Share, judge
from exporter.doctor.watched import configured, polled
from exporter.polling.discovery import Filters
from exporter.polling.listings import USERS_A_PAGE
from exporter.polling.source import Source, choose_source, fair_shares, pages
from exporter.wording import counted

_FAILURES_OFF = "set poll.failures_interval to 0"
_SERVERS = {LIST_SERVERS: "server", LIST_SERVER_GROUPS: "server group"}
_UNREAD = NotQueried("the listing was not read")


@dataclass
class _Pool:
    """A rate limit and the demands on it by project, in requests per minute."""

    limit: float = math.inf
    demands: dict[str, float] = field(default_factory=dict)

    @property
    def used(self) -> float:
        return min(self.limit, sum(self.demands.values()))

    def rates(self) -> dict[str, float]:
        return dict(zip(self.demands, fair_shares(self.limit, list(self.demands.values())), strict=True))


def credentials_key(auth: Auth) -> object:
    """Return what is equal for equal credentials, if their files can be read."""
    try:
        return lockout_key(auth)
    except (OSError, ValueError):  # a finding about credentials says so
        return auth


class Budget:
    """All projects' loads and shares: those with equal credentials and host share each operation's rate limit."""

    def __init__(self, settings: Settings) -> None:
        self.sessions: dict[str, Total] = {}  # the number of live sessions by project, once it is known
        self.starts: dict[str, Total] = {}  # how many sessions started within an interval, where these are not listed
        self.servers: dict[str, Mapping[str, Total]] = {}  # the sizes of the listings of servers by project
        self._listings: dict[str, Mapping[Filters, Total]] = {}  # the sizes of the listings of users by project
        self._settings = settings
        self._configured = {project.name: len(configured(project)) for project in settings.projects}
        self.keys = {project.name: credentials_key(project.auth) for project in settings.projects}
        shards = [settings.shard.model_copy(update={"index": index}) for index in range(settings.shard.total)]
        watched = [settings.model_copy(update={"shard": shard}).watched for shard in shards]
        self._shards = {project.name: index for index, projects in enumerate(watched) for project in projects}
        self._session_rates = self._rates()

    def counted(self, project: Project, listings: Mapping[Filters, Total]) -> None:
        """Take in the sizes of a project's listings of users."""
        self._listings[project.name] = listings
        self._session_rates = self._rates()

    def poll(self, project: Project) -> Poll:
        """Return how a project is polled."""
        return self._settings.poll_of(project)

    def sharing(self, project: Project) -> set[str]:
        """Return the names of the projects that have a project's credentials, itself included."""
        return {name for name, key in self.keys.items() if key == self.keys[project.name]}

    def scans(self, project: Project) -> bool:
        """Return whether the project's polling tries the listings for bulk collection."""
        return self._source(project, None).name == "bulk"

    def findings(self, project: Project) -> list[Finding]:
        """Return what there is to say about each operation of a project, once all that share with it are examined."""
        if unknown := _unknown_in(self._found(project)):
            return [_not_checked(operation, unknown) for operation in (LIST_SESSION_BY_USER_NAME, LIST_USERS)]
        live, loads = self.sessions.get(project.name, _UNREAD), self._loads(project)
        shares = {operation: self._share(project, operation) for operation in loads}
        judged = {operation: judge(load, shares[operation]) for operation, load in loads.items()}
        by_user = loads[LIST_SESSION_BY_USER_NAME], shares[LIST_SESSION_BY_USER_NAME]
        source, sessions = self._source(project, live), [judged[LIST_SESSION_BY_USER_NAME]]
        if source.name == "bulk" and not isinstance(live, Forbidden):
            scans = judged.get(LIST_SESSIONS) or _not_checked(LIST_SESSIONS, live)
            sessions = [scans, judge(*by_user, bulk=source.reason)]
        elif LIST_SESSIONS in judged:
            sessions.append(judged[LIST_SESSIONS])
        elif source.name == "bulk" and by_user[0].demand > by_user[1].rate:
            sessions = [_for_lack_of(live, *sessions)]
        unknown = _unknown_in(self._sizes(project))
        accounts = judged.get(LIST_USERS) or judged.get(LIST_USER_DETAIL) or _not_checked(LIST_USERS, unknown)
        servers = [judged[operation] for operation in self.servers.get(project.name, ()) if operation in judged]
        return [*sessions, _for_lack_of(unknown, accounts), *servers]

    def _rates(self) -> dict[str, float]:
        """Return by project how many requests per minute for each user's sessions it may make."""
        pools = self._pools(LIST_SESSION_BY_USER_NAME, lambda project: self._by_user(project).demand)
        return {name: rate for pool in pools.values() for name, rate in pool.rates().items()}

    def _source(self, project: Project, sessions: object) -> Source:
        known, users = sessions if isinstance(sessions, int) else None, self._by_user(project).requests
        return choose_source(self.poll(project), users, known, self._session_rates[project.name])

    def _found(self, project: Project) -> list[Total]:
        """Return the sizes of the listings that discover users."""
        sizes = self._listings.get(project.name, {})
        filters = {entry.filters for entry in project.discover}
        return [sizes.get(each, _UNREAD) for each in (filters if () not in filters else [()])]

    def _sizes(self, project: Project) -> list[Total]:
        """Return the sizes of the listings that report accounts."""
        sizes = self._listings.get(project.name, {})
        return [sizes.get(filters, _UNREAD) for filters in polled(project)]

    def _by_user(self, project: Project) -> Load:
        """Return the load of a query for each user. A user who is found several times counts as often."""
        found = sum(size for size in self._found(project) if isinstance(size, int))
        everyone = () in {entry.filters for entry in project.discover}
        users = found if everyone else self._configured[project.name] + found
        most = "at most " if len(project.discover) > 1 and not everyone else ""
        entries = counted(users, "user") + (f" ({most}{found} found by discover)" if project.discover else "")
        return Load(LIST_SESSION_BY_USER_NAME, users, entries, "poll.interval", self.poll(project).interval)

    def _loads(self, project: Project) -> dict[str, Load]:
        poll, load = self.poll(project), self._by_user(project)
        sizes = self._sizes(project)
        loads = [load, *self._scans(project)]
        if not (unknown := _unknown_in(sizes)):
            counts = [size for size in sizes if isinstance(size, int)]
            scan = sum(pages(count, USERS_A_PAGE) for count in counts)
            entries = f"{counted(sum(counts), 'user')} in {counted(scan, 'request')}"
            fewer = "use fewer entries in discover" if project.discover else "set poll.source to per_user"
            loads.append(Load(LIST_USERS, scan, entries, "poll.user_interval", poll.user_interval, fewer))
        elif isinstance(unknown, Forbidden) or not (project.discover or self.scans(project)):
            loads.append(Load(LIST_USER_DETAIL, load.requests, load.entries, "poll.user_interval", poll.user_interval))
        for operation, listed in self.servers.get(project.name, {}).items():
            if isinstance(listed, int):
                requests = pages(listed, SERVERS_A_PAGE)
                entries = f"{counted(listed, _SERVERS[operation])} in {counted(requests, 'request')}"
                loads.append(Load(operation, requests, entries, "poll.user_interval", poll.user_interval))
        return {load.operation: load for load in loads}

    def _scans(self, project: Project) -> Iterator[Load]:
        """Yield the load of ListSessions, if it works: the scans of live, started and failed sessions."""
        poll = self.poll(project)
        live, starts = (known.get(project.name, _UNREAD) for known in (self.sessions, self.starts))
        if not (isinstance(live, int) or isinstance(starts, int)):
            return
        requests, fewer = pages(starts if isinstance(starts, int) else 0, SESSIONS_A_PAGE), _FAILURES_OFF
        entries = f"new sessions in {counted(requests, 'request')}"
        if isinstance(live, int) and self._source(project, live).name == "bulk":
            scan, fewer = pages(live, SESSIONS_A_PAGE), "shorten poll.bulk_lookback"
            entries = f"{counted(live, 'live session')} in {counted(scan, 'request')} and new ones in {requests}"
            requests += scan
        failures = 60 / poll.failures_interval if poll.failures_interval else 0.0
        yield Load(LIST_SESSIONS, requests, entries, "poll.interval", poll.interval, fewer, failures)

    def _share(self, project: Project, operation: str) -> Share:
        def demand(other: Project) -> float:
            load = self._loads(other).get(operation)
            return load.demand if load else 0.0

        pools, key = self._pools(operation, demand), self._pool_key(project, operation)
        pool = pools[key]
        active = sum(demand > 0 for demand in pool.demands.values())
        used = sum(each.used for (_, *account), each in pools.items() if account == list(key[1:]))
        return Share(pool.rates()[project.name], pool.limit, active, used)

    def _pools(self, operation: str, demand: Callable[[Project], float]) -> dict[tuple[int, object, str], _Pool]:
        pools: dict[tuple[int, object, str], _Pool] = defaultdict(_Pool)
        for project in self._settings.projects:
            pool = pools[self._pool_key(project, operation)]
            pool.limit = min(pool.limit, self.poll(project).rate_limit)
            pool.demands[project.name] = demand(project)
        return pools

    def _pool_key(self, project: Project, operation: str) -> tuple[int, object, str]:
        endpoints = endpoints_of(project)
        endpoint = endpoints.users if operation in USER_OPERATIONS else endpoints.sessions
        return self._shards[project.name], self.keys[project.name], urlsplit(endpoint).netloc


def _for_lack_of(total: object, finding: Finding) -> Finding:
    """Blame a missing permission for too many requests that it would save."""
    if not isinstance(total, Forbidden) or finding.verdict is not Verdict.WARN:
        return finding
    what, remedy = explain(total)
    return warn(REQUEST_BUDGET, f"{finding.text}, because {what}", remedy)


def _unknown_in(sizes: Sequence[Total]) -> CloudError | NotQueried | None:
    """Return why a size is unknown, or None if all are known."""
    return next((size for size in sizes if not isinstance(size, int)), None)


def _not_checked(operation: str, answer: object) -> Finding:
    reason = answer.reason if isinstance(answer, NotQueried) else "see permission"
    return skip(REQUEST_BUDGET, f"{operation}: not checked, {reason}")
