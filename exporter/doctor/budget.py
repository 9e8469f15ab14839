"""The request budget: whether polling fits into the rate limits and into the account's quota."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from exporter.cloud.causes import explain
from exporter.cloud.client import (
    LIST_SESSION_BY_USER_NAME,
    LIST_SESSIONS,
    LIST_USER_DETAIL,
    LIST_USERS,
    QUOTA,
    SESSIONS_A_PAGE,
)
from exporter.cloud.connect import endpoints_of, lockout_key
from exporter.cloud.errors import CloudError, Forbidden
from exporter.config import Auth, Poll, Project, Settings, format_duration
from exporter.doctor.answers import Total
from exporter.doctor.findings import REQUEST_BUDGET, Finding, NotQueried, Verdict, ok, skip, warn
from exporter.doctor.watched import configured, polled
from exporter.polling.discovery import Filters
from exporter.polling.listings import USERS_A_PAGE
from exporter.polling.source import Source, choose_source, cycle_seconds, fair_shares, pages

_ROUND_TO = 10.0  # seconds of a recommended interval
_SESSION_OPERATIONS = (LIST_SESSION_BY_USER_NAME, LIST_SESSIONS)
_UNREAD = NotQueried("the listing was not read")


@dataclass(frozen=True)
class Load:
    """One polling cycle of an operation: ``requests`` every ``interval`` seconds, which ``setting`` names."""

    operation: str
    requests: int
    entries: str
    setting: str
    interval: float
    fewer: str = "watch fewer users"  # what to do for fewer requests

    @property
    def demand(self) -> float:
        """Requests per minute that keep to the interval."""
        return self.requests * 60 / self.interval


@dataclass(frozen=True)
class Share:
    """A project's part of an operation's rate limit, in requests per minute."""

    rate: float
    limit: float
    projects: int = 1  # how many projects of this process use the limit
    account: float = 0.0  # requests of all configured projects with these credentials and host, in other shards, too

    def __str__(self) -> str:
        allowed = f"{_number(self.rate)} allowed by poll.rate_limit"
        if self.projects <= 1:
            return allowed
        return f"{allowed} ({_number(self.limit)} shared by {self.projects} projects with equal credentials)"


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
            scan = judged.get(LIST_SESSIONS) or _not_checked(LIST_SESSIONS, live)
            sessions = [scan, judge(*by_user, bulk=source.reason)]
        elif source.name == "bulk" and by_user[0].demand > by_user[1].rate:
            sessions = [_for_lack_of(live, *sessions)]
        unknown = _unknown_in(self._sizes(project))
        accounts = judged.get(LIST_USERS) or judged.get(LIST_USER_DETAIL) or _not_checked(LIST_USERS, unknown)
        return [*sessions, _for_lack_of(unknown, accounts)]

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
        entries = _counted(users, "user") + (f" ({most}{found} found by discover)" if project.discover else "")
        return Load(LIST_SESSION_BY_USER_NAME, users, entries, "poll.interval", self.poll(project).interval)

    def _loads(self, project: Project) -> dict[str, Load]:
        poll, load = self.poll(project), self._by_user(project)
        live, sizes = self.sessions.get(project.name, _UNREAD), self._sizes(project)
        loads = [load]
        if isinstance(live, int) and self._source(project, live).name == "bulk":
            scan = pages(live, SESSIONS_A_PAGE)
            entries = f"{_counted(live, 'session')} in {_counted(scan, 'request')}"
            fewer = "shorten poll.bulk_lookback"
            loads.append(Load(LIST_SESSIONS, scan, entries, "poll.interval", poll.interval, fewer))
        if not (unknown := _unknown_in(sizes)):
            counts = [size for size in sizes if isinstance(size, int)]
            scan = sum(pages(count, USERS_A_PAGE) for count in counts)
            entries = f"{_counted(sum(counts), 'user')} in {_counted(scan, 'request')}"
            fewer = "use fewer entries in discover" if project.discover else "set poll.source to per_user"
            loads.append(Load(LIST_USERS, scan, entries, "poll.user_interval", poll.user_interval, fewer))
        elif isinstance(unknown, Forbidden) or not (project.discover or self.scans(project)):
            loads.append(Load(LIST_USER_DETAIL, load.requests, load.entries, "poll.user_interval", poll.user_interval))
        return {load.operation: load for load in loads}

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
        endpoint = endpoints.sessions if operation in _SESSION_OPERATIONS else endpoints.users
        return self._shards[project.name], self.keys[project.name], urlsplit(endpoint).netloc


def judge(load: Load, share: Share, bulk: str | None = None) -> Finding:
    """Return whether an operation fits; ``bulk`` is the reason why its cycles may be longer than the interval."""
    every = f"{load.entries} every {format_duration(load.interval)}"
    text = f"{load.operation}: {every} are {_number(load.demand)} requests per minute, {share}"
    cycle, remedies = cycle_seconds(load.interval, load.requests, share.rate), []
    if cycle > load.interval:
        text += f"; a cycle takes {format_duration(float(math.ceil(cycle)))}"
    if bulk:
        text += f"; sessions also come from bulk collection ({bulk})"
    elif cycle > load.interval:
        rounded = format_duration(math.ceil(cycle / _ROUND_TO) * _ROUND_TO)
        remedies.append(f"set {load.setting} to {rounded}, or {load.fewer}")
    if share.account > QUOTA:
        used = f"all configured projects of this account make {_number(share.account)}"
        text += f"; {used}, and its documented quota is {_number(QUOTA)} per minute and operation"
        remedies.append("lower poll.rate_limit")
    elif remedies:
        remedies.append(f"raise poll.rate_limit only if nothing else uses the account's quota of {_number(QUOTA)}")
    return warn(REQUEST_BUDGET, text, "; ".join(remedies)) if remedies else ok(REQUEST_BUDGET, text)


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


def _number(rate: float) -> str:
    return f"{rate:.1f}".removesuffix(".0")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
