"""All checks of one project, in their order: each finding is told as soon as it is there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from exporter import config
from exporter.cloud import chain
from exporter.cloud.client import LIST_SESSION_BY_USER_NAME, LIST_USER_DETAIL, LIST_USERS
from exporter.cloud.connect import connected, proxy_for
from exporter.cloud.errors import CloudError, Unauthorized
from exporter.doctor import answers, clock, credentials, endpoints, listings
from exporter.doctor.findings import CREDENTIALS, Finding, fail, skip
from exporter.doctor.interview import REFUSED, SILENT, TIMEOUT, UNREACHED, Interview, NotAsked
from exporter.doctor.listings import Totals
from exporter.doctor.probe import Outcome, Unanswered, probe
from exporter.polling.source import decided

if TYPE_CHECKING:
    import ssl

    from exporter.cloud.connect import Connection
    from exporter.cloud.credentials import Credentials
    from exporter.doctor.credentials import Way

T = TypeVar("T")
Tell = Callable[[Finding], None]


@dataclass
class Trust:
    """What is known of credentials that several projects may share; one of them at a time asks."""

    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    refused_in: str | None = None
    """The project in which they were refused."""


@dataclass(frozen=True)
class Surroundings:
    """What all examinations share. ``now`` gives the wall clock, in seconds since 1970."""

    settings: config.Settings
    tls: ssl.SSLContext
    now: Callable[[], float]
    tasks: asyncio.TaskGroup
    probes: dict[tuple[str, str | None], asyncio.Task[Outcome]] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    """Endpoints that are not to be asked any more, with the reason: what hangs is waited for only once."""

    def probe(self, project: config.Project, endpoint: str) -> asyncio.Task[Outcome]:
        """The question to an endpoint, which is asked once, however many projects it serves."""
        proxy = proxy_for(self.settings.http, project)(endpoint)
        if (endpoint, proxy) not in self.probes:
            asking = probe(endpoint, proxy, self.tls, self.settings.poll.timeout, self.now)
            self.probes[endpoint, proxy] = self.tasks.create_task(asking)
        return self.probes[endpoint, proxy]


async def examine(project: config.Project, trust: Trust, surroundings: Surroundings, tell: Tell) -> Totals:
    """Tell every finding about a project's line to the cloud; how long the listings are, as far as they are read."""
    try:
        link = chain.first_link(os.environ) if project.auth == config.Auth() else None
    except (OSError, ValueError) as error:  # the SDK's credentials file, which was right a moment ago
        tell(fail(CREDENTIALS, str(error), "see Credentials in the README"))
        barred = NotAsked("there are no credentials")
        return Totals(barred, barred)
    way = credentials.way_of(project, link)
    corrected = clock.CorrectedClock(surroundings.now)
    async with connected(project, surroundings.settings, surroundings.tls, corrected) as connection:
        skew = await _examine_endpoints(project, way, connection, surroundings, tell)
        tell(clock.judge(skew, signing=way.signing))
        corrected.correct(skew)
        async with trust.asking:
            interview = Interview(connection.client, project.users, surroundings.closed)
            await _introduce(interview, way, trust, connection.credentials, tell)
            await _examine_answers(interview, way, connection.credentials.expires_at, tell)
            totals = await _examine_listings(interview, surroundings.settings.poll, corrected(), tell)
            if interview.barred == REFUSED:
                trust.refused_in = project.name
    return totals


async def _examine_endpoints(
    project: config.Project, way: Way, connection: Connection, surroundings: Surroundings, tell: Tell
) -> float | None:
    """Tell how each endpoint is reached; the cloud's clock less ours, in seconds, where any tells the time."""
    purposes = endpoints.used(connection.client.endpoints, way.lenders)
    probes = {endpoint: surroundings.probe(project, endpoint) for endpoint in purposes}
    own_authorities = surroundings.settings.http.ca_file is not None
    skew = None
    for endpoint, asked in probes.items():
        outcome = await asked
        if isinstance(outcome, Unanswered):
            surroundings.closed[endpoint] = UNREACHED
        elif skew is None:
            skew = outcome.skew
        tell(endpoints.judge(purposes[endpoint], outcome, own_authorities=own_authorities, now=surroundings.now()))
    return skew


async def _introduce(interview: Interview, way: Way, trust: Trust, offered: Credentials, tell: Tell) -> None:
    """Have the interview use the credentials; without them it is barred, and why is told here."""
    if trust.refused_in is not None:
        interview.barred = f"the same credentials are refused in project {trust.refused_in}"
        tell(skip(CREDENTIALS, f"{way.source}: not tried, {interview.barred}"))
    elif reasons := [interview.closed[lender] for lender in way.lenders.values() if lender in interview.closed]:
        interview.barred = "there are no credentials"
        tell(skip(CREDENTIALS, f"{way.source}: not asked for, {reasons[0]}"))
    else:
        try:
            interview.client = interview.client.sending(await offered.current())
        except CloudError as error:
            interview.barred = REFUSED if isinstance(error, Unauthorized) else "there are no credentials"
            if error.outcome == TIMEOUT:
                interview.closed.update(dict.fromkeys(way.lenders.values(), SILENT))
            tell(credentials.not_obtained(way, error))


async def _examine_answers(interview: Interview, way: Way, expires_at: float | None, tell: Tell) -> None:
    """Ask, and tell what the answers say of credentials, permissions and one user."""
    introduced = interview.barred is None
    if not interview.users:
        interview.barred = interview.barred or "no user is configured"
    sessions, page = await interview.sessions(), await interview.found_users()
    if introduced:
        tell(credentials.judge(way, (sessions, page), expires_at))
    tell(answers.permission(LIST_SESSION_BY_USER_NAME, _unless_told(sessions)))
    every_id_given = all(user.id for user in interview.users)
    tell(answers.permission(LIST_USERS, _unless_told(page), needed=not every_id_given))
    if not interview.users:
        tell(answers.permission(LIST_USER_DETAIL, await interview.detail(None)))
        tell(answers.nobody())
        return
    user_id = interview.user.id or answers.found_id(page, interview.user.name)
    detail = await interview.detail(user_id)
    tell(answers.permission(LIST_USER_DETAIL, detail))
    unlisted = user_id is None and not answers.lists_all(page)
    tell(
        answers.one_user(
            interview.position,
            _unless_told(sessions),
            NotAsked("no id is known") if unlisted else detail,
            has_id=user_id is not None,
        )
    )


async def _examine_listings(interview: Interview, poll: config.Poll, now: float, tell: Tell) -> Totals:
    """Ask for a page of each listing that is read in bulk, where so many users would have it read."""
    if decided(poll, len(interview.users), None).name != "bulk":
        unread = NotAsked("it is not read for so few users")
        return Totals(unread, unread)
    sessions = _unless_told(await interview.listed_sessions(now - poll.bulk_lookback, now))
    tell(listings.sessions(sessions, interview.users, poll))
    users = _unless_told(await interview.listed_users())
    tell(listings.users(users, poll))
    return Totals(listings.total(sessions), listings.total(users))


def _unless_told(answer: T) -> T | NotAsked:
    """The answer, unless it is a refusal of the credentials, which are told of by themselves."""
    return NotAsked(REFUSED) if isinstance(answer, Unauthorized) else answer
