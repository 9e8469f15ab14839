"""The app server groups and their machines."""

from dataclasses import dataclass
from functools import lru_cache

from exporter.simulator.chance import dashed_identifier, stream

MACHINES_PER_GROUP = 5
USERS_PER_GROUP = 250
SMALLEST_FARM = 3


@dataclass(frozen=True, slots=True)
class ServerGroup:
    """An app server group, and the app group that it serves."""

    id: str
    name: str
    app_group_id: str


@dataclass(frozen=True, slots=True)
class Machine:
    """An app server; `share` in [0, 1) is its place in the queue for a new agent."""

    name: str
    sid: str
    ip: str
    share: float


def group_count(users: int) -> int:
    """How many server groups so many users need."""
    return max(SMALLEST_FARM, users // USERS_PER_GROUP)


@lru_cache(1024)
def server_group(seed: int, number: int) -> ServerGroup:
    """The server group with this number."""
    return ServerGroup(
        id=dashed_identifier(seed, "group", number),
        name=f"server-group-{number + 1}",
        app_group_id=str(stream(seed, "app-group", number).randrange(10**17, 10**18)),
    )


@lru_cache(1024)
def machine(seed: int, group: int, number: int) -> Machine:
    """A machine of a server group."""
    dice = stream(seed, "machine", group, number)
    name = "".join(dice.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=10))
    domain = "-".join(str(dice.randrange(10**8, 2 * 10**9)) for _ in range(3))
    return Machine(
        name=f"APS-{name}",
        sid=f"S-1-5-21-{domain}-{dice.randrange(1000, 9999)}",
        ip=f"172.16.{group % 250}.{number + 10}",
        share=dice.random(),
    )
