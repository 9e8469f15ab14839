"""A project under watch whose cloud is any object that answers the poller's questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from support.fake_cloud import unjudged
from support.virtual_time import wall_clock

from exporter import config
from exporter.cloud.auth import Token
from exporter.cloud.connect import Connection
from exporter.cloud.credentials import Kept
from exporter.cloud.telemetry import Telemetry
from exporter.fleet import Fleet
from exporter.polling.poller import Poller
from exporter.watch import Plan, Watch

if TYPE_CHECKING:
    from exporter.cloud.client import Client
    from exporter.cloud.connect import Terms
    from exporter.polling.cloud import Cloud


async def _nothing_to_close() -> None:
    pass


def watch_of(cloud: Cloud, *names: str, **poll: float | str) -> Watch:
    """A watch over these users, in virtual time."""
    fleet = Fleet((name, None) for name in names)
    settings = config.Poll.model_validate(poll)
    poller = Poller(fleet, cloud, settings, wall_clock, unjudged("berlin"))
    connection = Connection(cast("Client", cloud), Kept(lambda: Token("t")), Telemetry(), _nothing_to_close)
    project = config.Project(project_id="berlin")
    return Watch(Plan(project, settings, cast("Terms", None)), connection, fleet, poller, wall_clock)
