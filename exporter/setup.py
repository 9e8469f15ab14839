"""From settings to all that runs by them. Whatever may fail fails here, before anything in force has been touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter import config
from exporter.cloud.transport import tls_context
from exporter.metrics.labels import Labelling
from exporter.polling.refusals import Standing
from exporter.watch import Plan, Watch, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True)
class Setup:
    """Everything that settings amount to."""

    settings: config.Settings
    watches: tuple[Watch, ...]
    labelling: Labelling


def prepared(settings: config.Settings, now: Callable[[], float], before: Setup | None = None) -> Setup:
    """The setup for settings, which goes on from the one ``before``: what has not changed is the same in both.

    Raises:
        ConfigError: a file that the settings rely on is of no use.
    """
    try:
        labelling = Labelling.of(settings.metrics)
        tls = tls_context(settings.http.ca_file)
        plans = [Plan.of(project, settings, tls) for project in settings.watched]
    except (OSError, ValueError) as error:
        raise config.ConfigError([config.Mistake("configuration", "", str(error))]) from error
    return Setup(settings, tuple(_watches(plans, now, before.watches if before else ())), labelling)


def _watches(plans: Sequence[Plan], now: Callable[[], float], before: Sequence[Watch]) -> Iterator[Watch]:
    """The watches over these projects; those with the same credentials share how these stand with the cloud."""
    known = {_identity(watch.plan): watch for watch in before}
    standings = {watch.plan.project.auth: watch.poller.refusals.standing for watch in before}
    for plan in plans:
        standing = standings.setdefault(plan.project.auth, Standing())
        yield watch(plan, standing, now, known.get(_identity(plan)))


def _identity(plan: Plan) -> tuple[str, str]:
    """What makes a project the same one after a reload."""
    return plan.project.name, plan.project.project_id
