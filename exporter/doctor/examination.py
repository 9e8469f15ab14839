"""All checks of all projects. Each finding is printed at once. The other modules put the answers into words."""

import asyncio
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Literal, TextIO, TypeVar

from exporter.cloud.chain import Link
from exporter.cloud.client import (
    LIST_SERVER_GROUPS,
    LIST_SERVERS,
    LIST_SESSION_BY_USER_NAME,
    LIST_SESSIONS,
    LIST_USER_DETAIL,
    LIST_USERS,
    PAGE_SIZE,
    Client,
)
from exporter.cloud.connect import connected, issuer_of, proxy_for, sdk_link
from exporter.cloud.credentials import Credentials
from exporter.cloud.errors import CloudError, NotFound, Unauthorized
from exporter.cloud.models import Session, UserPage
from exporter.cloud.proxy import Proxy, UnusableProxyError
from exporter.cloud.sources import POD_OPERATION
from exporter.cloud.transport import tls_context
from exporter.config import Project, Settings, User, format_duration
from exporter.doctor import watched
from exporter.doctor.answers import (
    CLOCK_TOLERANCE,
    judge_clock,
    listing,
    one_user,
    optional,
    permission,
    session_listing,
    total,
)
from exporter.doctor.budget import Budget
from exporter.doctor.credentials import (
    POD,
    auth_method,
    judge_credentials,
    not_obtained,
    not_requested,
    of_pod,
    skipped_file,
    unusable_link,
)
from exporter.doctor.endpoints import METADATA, judge
from exporter.doctor.findings import (
    CREDENTIALS,
    ENDPOINT,
    Finding,
    NotQueried,
    Verdict,
    skip,
    summary,
)
from exporter.doctor.probe import Outcome, Unanswered, probe
from exporter.fleet import LIVE_STATES
from exporter.polling.discovery import Filters
from exporter.polling.gate import KeyGate
from exporter.polling.listings import NAMES_PER_LOOKUP, USERS_A_PAGE

T = TypeVar("T")

_MAX_USERS_TRIED = 3
_NOBODY = User("0" * 32)  # no user has this name or id; a 404 proves the permission, too

_REJECTED = "the credentials are rejected"
_SILENT = "the endpoint has stopped answering"
_NO_CREDENTIALS = "there are no credentials"


@dataclass
class SharedCredentials:
    """Credentials of one or more projects; one project at a time uses them."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    rejected_in: str | None = None  # the project in which the cloud rejected them


@dataclass(frozen=True)
class Context:
    """What all examinations share. ``now`` returns the time in seconds since 1970."""

    settings: Settings
    tls: SSLContext
    now: Callable[[], float]
    tasks: asyncio.TaskGroup
    budget: Budget
    probes: dict[tuple[str, object, float], asyncio.Task[Outcome]] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    """Endpoints that get no further request, with the reason: a silent one costs one timeout."""

    def probe(self, project: Project, link: Link | None, endpoint: str) -> asyncio.Task[Outcome]:
        """Return the probe of an endpoint, which all its projects share."""
        timeout = self.settings.poll_of(project).timeout
        try:
            proxy: Proxy | UnusableProxyError | None = proxy_for(self.settings.http, project, link)(endpoint)
        except UnusableProxyError as error:
            proxy = error
        if (endpoint, proxy, timeout) not in self.probes:
            probing = probe(endpoint, proxy, self.tls, timeout, self.now)
            self.probes[endpoint, proxy, timeout] = self.tasks.create_task(probing)
        return self.probes[endpoint, proxy, timeout]


class Examination:
    """The checks of one project: each permission once, about one user or all.

    Rejected credentials are not used again, so that no key is locked.
    """

    def __init__(self, project: Project, shared: SharedCredentials, context: Context) -> None:
        self.findings: asyncio.Queue[Finding | None] = asyncio.Queue()
        """Everything but the request budget; None at the end."""
        self._report = self.findings.put_nowait
        self._project = project
        self._shared = shared
        self._context = context
        self._client: Client
        self._blocked: str | None = None  # why no further request is sent
        self._clock_correction = 0.0
        self._users: Sequence[User] = ()  # watched users; the first that the cloud knows is checked
        self._position = 1
        self.task = context.tasks.create_task(self._examine())
        self.task.add_done_callback(lambda _: self.findings.put_nowait(None))

    async def _examine(self) -> None:
        project, context = self._project, self._context
        try:
            self._link = sdk_link(project)
            self._method = auth_method(project, self._link, issuer_of(project, self._link))
        except ValueError as error:
            self._report(unusable_link(error))
            return
        if skipped := skipped_file(self._link):
            self._report(skipped)
        async with connected(project, context.settings, context.tls, self._now, KeyGate()) as connection:
            self._client = connection.client
            skew = await self._check_endpoints()
            self._report(judge_clock(skew, signing=self._method.signs))
            if skew is not None and abs(skew) > CLOCK_TOLERANCE:
                self._clock_correction = skew  # so that no signature is rejected for its time
            async with self._shared.lock:
                await self._attach_credentials(connection.credentials)
                if (POD_OPERATION, "200") in connection.telemetry.attempts:
                    self._method = of_pod(self._method)
                await self._check_answers(connection.credentials)
                if context.budget.scans(project):
                    await self._check_listings()
                else:
                    await self._check_starts()
                await self._check_servers()
                if self._blocked == _REJECTED:
                    self._shared.rejected_in = project.name

    async def _check_endpoints(self) -> float | None:
        """Report how each endpoint is reached. Return the cloud's clock minus this machine's, in seconds, if known."""
        context, services, skew = self._context, self._client.endpoints, None
        purposes: dict[str, list[str]] = defaultdict(list)
        uses = {"sessions": services.sessions, "users": services.users, **self._method.token_endpoints}
        for purpose, endpoint in uses.items():
            purposes[endpoint].append(purpose)
        probes = {endpoint: context.probe(self._project, self._link, endpoint) for endpoint in purposes}
        own_authorities = context.settings.http.ca_file is not None
        for endpoint, probing in probes.items():
            outcome = await probing
            if isinstance(outcome, Unanswered):
                context.closed[endpoint] = "the endpoint is unreachable"
            elif skew is None:
                skew = outcome.skew
            finding = judge(purposes[endpoint], outcome, own_authorities=own_authorities, now=context.now())
            if isinstance(outcome, Unanswered) and purposes[endpoint] == [METADATA] and POD in uses:
                finding = skip(ENDPOINT, f"{finding.text}; the pod identity takes its place")
            self._report(finding)
        return skew

    async def _attach_credentials(self, credentials: Credentials) -> None:
        """Make the client send the credentials. If there are none, report it and block all requests."""
        method, closed = self._method, self._context.closed
        issuers = method.token_endpoints.values()
        if self._shared.rejected_in is not None:
            self._blocked = f"the same credentials are rejected in project {self._shared.rejected_in}"
            self._report(skip(CREDENTIALS, f"{method.source}: not tried, {self._blocked}"))
        elif issuers and closed.keys() >= set(issuers):
            self._blocked = _NO_CREDENTIALS
            self._report(not_requested(method, closed[next(iter(issuers))]))
        else:
            try:
                self._client = self._client.sending(await credentials.current())
            except CloudError as error:
                self._blocked = _REJECTED if isinstance(error, Unauthorized) else _NO_CREDENTIALS
                if error.outcome == "timeout":
                    closed.update(dict.fromkeys(issuers, _SILENT))
                self._report(not_obtained(method, error))

    async def _check_answers(self, credentials: Credentials) -> None:
        """Report what the answers say about credentials, permissions, the watched users and one of them."""
        attached, project = self._blocked is None, self._project
        pages = {filters: await self._sample(filters) for filters in watched.listings(project)}
        self._context.budget.counted(project, {filters: total(page) for filters, page in pages.items()})
        configured = watched.configured(project)
        known = [user for _, user in configured] or watched.sample(project, pages)
        self._users = known or [_NOBODY]
        if not (known or pages):
            self._blocked = self._blocked or "no user is configured"
        sessions = await self._sessions()
        listed = list(pages.values())
        if configured or not pages:
            names = [user.login[0] for _, user in configured[:NAMES_PER_LOOKUP]]
            listed.append(await self._send("users", lambda client: client.list_users(names, 0)))
        user_id = watched.id_of(self._user, listed[-1])
        detail = await self._send("users", lambda client: client.list_user_detail(user_id or _NOBODY.name))
        if attached:
            self._report(judge_credentials(self._method, (sessions, *listed), credentials.expires_at))
        self._report(permission(LIST_SESSION_BY_USER_NAME, _unless_rejected(sessions)))
        answer = next((page for page in listed if isinstance(page, CloudError)), listed[0])
        ids_needed = bool(pages) or not all(user.id for user in self._users)
        self._report(permission(LIST_USERS, _unless_rejected(answer), needed=ids_needed))
        self._report(permission(LIST_USER_DETAIL, detail))
        for finding in watched.findings(project, pages, configured[:NAMES_PER_LOOKUP], listed[-1]):
            self._report(finding)
        if not known:
            self._report(watched.nobody(project, pages))
            return
        account = detail if user_id else watched.account_of(self._user, listed[-1], detail)
        origin: Literal["configured", "discovered"] = "configured" if configured else "discovered"
        found = _unless_rejected(sessions)
        self._report(one_user(self._position, found, account, has_id=user_id is not None, origin=origin))

    async def _sample(self, filters: Filters) -> watched.Page:
        """Return a page of a listing of users, a larger one if the cloud does not say how many there are."""
        page = await self._send("users", lambda client: client.list_users((), 0, filters=filters))
        if isinstance(page, UserPage) and page.total_count is None and len(page.users) == PAGE_SIZE:
            larger = await self._send("users", lambda client: client.list_users((), 0, USERS_A_PAGE, filters))
            return larger if isinstance(larger, UserPage) else page
        return page

    async def _check_listings(self) -> None:
        """Query a page of each listing for bulk collection that has not been counted, and report on it."""
        project, budget, now = self._project, self._context.budget, self._now()
        poll = budget.poll(project)
        begin = now - poll.bulk_lookback
        sessions = await self._send("sessions", lambda client: client.list_sessions(begin, now, LIVE_STATES, 0))
        self._report(session_listing(sessions, project, poll))
        budget.sessions[project.name] = total(sessions)
        if not project.discover:
            users = await self._send("users", lambda client: client.list_users((), 0))
            self._report(listing(LIST_USERS, users, "users in total", poll))
            budget.counted(project, {(): total(users)})

    async def _check_starts(self) -> None:
        """Query what started within an interval, for a project that only scans for starts and failures."""
        project, budget, now = self._project, self._context.budget, self._now()
        interval = budget.poll(project).interval
        starts = await self._send("sessions", lambda client: client.list_sessions(now - interval, now, (), 0))
        self._report(optional(LIST_SESSIONS, starts, "session", f" started within {format_duration(interval)}"))
        budget.starts[project.name] = total(starts)

    async def _check_servers(self) -> None:
        """Query a page of the servers and one of their groups."""
        servers = await self._send("sessions", lambda client: client.list_servers(0))
        groups = await self._send("sessions", lambda client: client.list_server_groups(0))
        self._report(optional(LIST_SERVERS, servers, "server"))
        self._report(optional(LIST_SERVER_GROUPS, groups, "server group"))
        totals = {LIST_SERVERS: total(servers), LIST_SERVER_GROUPS: total(groups)}
        self._context.budget.servers[self._project.name] = totals

    def _now(self) -> float:
        return self._context.now() + self._clock_correction

    @property
    def _user(self) -> User:
        return self._users[self._position - 1]

    async def _sessions(self) -> tuple[Session, ...] | CloudError | NotQueried:
        """Query the first user's sessions, or the next one's if the user is unknown to the cloud."""
        while True:
            answer = await self._send("sessions", self._query_sessions)
            if not isinstance(answer, NotFound) or self._position == min(len(self._users), _MAX_USERS_TRIED):
                return answer
            self._position += 1

    async def _query_sessions(self, client: Client) -> tuple[Session, ...]:
        user_name, _ = self._user.login
        return watched.sessions_of(self._user, await client.list_session_by_user_name(user_name))

    async def _send(
        self, service: Literal["sessions", "users"], request: Callable[[Client], Awaitable[T]]
    ) -> T | CloudError | NotQueried:
        endpoint = getattr(self._client.endpoints, service)
        if reason := self._blocked or self._context.closed.get(endpoint):
            return NotQueried(reason)
        try:
            return await request(self._client)
        except CloudError as error:
            if isinstance(error, Unauthorized):
                self._blocked = _REJECTED
            if error.outcome == "timeout":
                self._context.closed[endpoint] = _SILENT
            return error


def _unless_rejected(answer: T) -> T | NotQueried:
    """Return the answer, unless it rejects the credentials, which have a finding of their own."""
    return NotQueried(_REJECTED) if isinstance(answer, Unauthorized) else answer


async def run(settings: Settings, out: TextIO | None = None, now: Callable[[], float] = time.time) -> bool:
    """Examine all projects at once, and write the findings in the configuration's order. Return whether none failed.

    Raises:
        OSError: http.ca_file cannot be used.
    """
    out = out or sys.stdout
    counts: Counter[Verdict] = Counter()

    def report(finding: Finding) -> None:
        counts[finding.verdict] += 1
        print(finding, file=out, flush=True)

    tls, budget = tls_context(settings.http.ca_file), Budget(settings)
    shared: dict[object, SharedCredentials] = defaultdict(SharedCredentials)
    async with asyncio.TaskGroup() as tasks:
        context = Context(settings, tls, now, tasks, budget)
        examinations = {
            project.name: Examination(project, shared[budget.keys[project.name]], context)
            for project in settings.watched
        }
        for project in settings.watched:
            print(f"project {project.name}", file=out, flush=True)
            while finding := await examinations[project.name].findings.get():
                report(finding)
            for name in examinations.keys() & budget.sharing(project):
                await examinations[name].task
            for finding in budget.findings(project):
                report(finding)
    print(summary(counts), file=out, flush=True)
    return not counts[Verdict.FAIL]
