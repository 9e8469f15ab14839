"""One project under watch: its connection, its users, its polling, and how they stand together."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from exporter.cloud.connect import Terms, connect
from exporter.fleet import Fleet
from exporter.polling.poller import Poller
from exporter.polling.refusals import Refusals
from exporter.status import OperationStatus, ProjectStatus

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from exporter import config
    from exporter.cloud.connect import Connection
    from exporter.polling.refusals import Standing

_RESTART_PAUSE = 60.0  # seconds after a mistake of our own ended the polling

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Plan:
    """All that a watch follows from: where they are equal, a watch may stay as it is."""

    project: config.Project
    poll: config.Poll
    terms: Terms

    @classmethod
    def of(cls, project: config.Project, settings: config.Settings, tls: ssl.SSLContext) -> Plan:
        """The plan for a project. Raises what :meth:`Terms.of` does."""
        return cls(project, settings.poll, Terms.of(project, settings, tls))


@dataclass(frozen=True, eq=False)
class Watch:
    """A project with all that watching it takes. ``now`` gives the wall clock, in seconds since 1970."""

    plan: Plan
    connection: Connection
    fleet: Fleet
    poller: Poller
    now: Callable[[], float]

    async def run(self) -> None:
        """Poll until cancelled. Not even a mistake of our own ends it, or touches another project."""
        self._tell_budget()
        while True:
            try:
                await self.poller.run()
            except Exception:
                _logger.exception("polling_crashed", project=self.plan.project.name, restart_in_seconds=_RESTART_PAUSE)
                await asyncio.sleep(_RESTART_PAUSE)

    def status(self) -> ProjectStatus:
        """The project as it stands."""
        poller = self.poller
        counts = poller.counts()
        return ProjectStatus(
            project=self.plan.project.name,
            taken_at=self.now(),
            counts=counts,
            users=self.fleet.users(),
            init_failures=self.fleet.init_failures.copy(),
            account_locks=self.fleet.account_locks,
            operations={
                operation.name: OperationStatus(
                    deepcopy(operation.rounds),
                    operation.interval,
                    operation.calls(),
                    poller.fresh(operation, counts),
                    operation.log.troubles,
                )
                for operation in poller.operations
            },
            source=poller.source,
            up=poller.up and counts.sessions_known,
            ready=poller.ready,
            paused=poller.refusals.pausing,
            rate_limit=self.plan.poll.rate_limit,
            telemetry=deepcopy(self.connection.telemetry),
            credentials_expire_at=self.connection.credentials.expires_at,
        )

    def _tell_budget(self) -> None:
        """One line: what the configured intervals ask for against what is allowed, and what comes of it."""
        facts: dict[str, object] = {}
        stretched = []
        users = len(self.fleet.members)
        for kind, operation in (("session", self.poller.sessions), ("user", self.poller.accounts)):
            interval = operation.interval
            facts |= {
                f"{kind}_calls_wanted_per_minute": round(users * 60 / operation.configured_interval, 1),
                f"{kind}_calls_per_minute": round(users * 60 / interval, 1),
                f"{kind}_interval_seconds": round(interval, 3),
            }
            if interval > operation.configured_interval:
                stretched.append(operation.name)
        facts |= {"users": users, "rate_limit": self.plan.poll.rate_limit}
        if stretched and not self.poller.sweeping:
            reason = "so many users need more calls than poll.rate_limit allows in the configured interval"
            _logger.warning("call_budget", project=self.plan.project.name, stretched=stretched, reason=reason, **facts)
        else:
            _logger.info("call_budget", project=self.plan.project.name, **facts)


def watch(plan: Plan, standing: Standing, now: Callable[[], float], before: Watch | None = None) -> Watch:
    """The watch over a project; :meth:`Watch.run` starts the polling, and its owner has to close the connection.

    It goes on from the one ``before``: users who stay keep their numbers, and counters go on. Where nothing at all has
    changed it is the same.
    """
    if before is None:
        return _watch(plan, connect(plan.terms, now), standing, now, None)
    if plan == before.plan:
        return before
    if plan.project == before.plan.project:
        plan = replace(plan, project=before.plan.project)  # which has its users in memory already
    same_line = plan.terms == before.plan.terms
    connection = before.connection if same_line else connect(plan.terms, now, before.connection.telemetry)
    going_on = _watch(plan, connection, standing, now, before.fleet)
    going_on.poller.go_on_from(before.poller)
    return going_on


def _watch(
    plan: Plan, connection: Connection, standing: Standing, now: Callable[[], float], known: Fleet | None
) -> Watch:
    name, users = plan.project.name, plan.project.users
    fleet = Fleet(((user.name, user.id) for user in users), known)
    refusals = Refusals(name, connection.credentials.fingerprint, standing)
    return Watch(plan, connection, fleet, Poller(fleet, connection.client, plan.poll, now, refusals), now)
