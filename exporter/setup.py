"""From settings to all that runs by them. Whatever may fail fails here, before anything in force has been touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter import config
from exporter.cloud.connect import lockable
from exporter.cloud.transport import tls_context
from exporter.metrics.labels import Labelling
from exporter.polling.refusals import Standing
from exporter.watch import Plan, Watch, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Setup:
    """Everything that settings amount to. They themselves are let go of, since they may name many users."""

    web: config.Web
    watches: tuple[Watch, ...]
    labelling: Labelling
    standings: Mapping[object, Standing]
    """How keys and accounts stand with the cloud."""


def prepared(settings: config.Settings, now: Callable[[], float], before: Setup | None = None) -> Setup:
    """The setup for settings, which goes on from the one ``before``: what has not changed is the same in both.

    Raises:
        ConfigError: a file that the settings rely on is of no use.
    """
    try:
        labelling = Labelling.of(settings.metrics)
        tls = tls_context(settings.http.ca_file)
        plans = [Plan.of(project, settings, tls) for project in settings.watched]
        accounts = [lockable(project.auth) for project in settings.watched]
    except (OSError, ValueError) as error:
        raise config.ConfigError([config.Mistake("configuration", "", str(error))]) from error
    remembered = before.standings if before else {}
    standings = {account: remembered.get(account) or Standing() for account in accounts}
    known = {_identity(watch.plan): watch for watch in (before.watches if before else ())}
    watches = tuple(
        watch(plan, standings[account], now, known.get(_identity(plan)))
        for plan, account in zip(plans, accounts, strict=True)
    )
    # What has been refused a moment ago must not be forgotten, or taking it out and in again would lock it.
    gone = {account: standing for account, standing in remembered.items() if standing.matters}
    return Setup(settings.web, watches, labelling, gone | standings)


def _identity(plan: Plan) -> tuple[str, str]:
    """What makes a project the same one after a reload."""
    return plan.project.name, plan.project.project_id
