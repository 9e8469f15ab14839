"""The servers that sessions run on, and their groups: what lasts about them, and their states at a time."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from exporter.simulator.schema import AppServer, ServerGroup
from exporter.simulator.simulation import DOMAIN, dashed_identifier, identifier, stream

SERVERS_PER_GROUP = 5
CREATED = "2023-11-06T08:30:00Z"
OUT_OF_SERVICE = {1: "MAINTAINING", 2: "FREEZE"}
"""The states of the last server of some groups. No session starts there."""


class Machine(NamedTuple):
    """A server by the numbers of its group and of itself within the group."""

    group: int
    number: int

    @property
    def out_of_service(self) -> str | None:
        """The state of a server that never takes sessions, or None."""
        return OUT_OF_SERVICE.get(self.group) if self.number == SERVERS_PER_GROUP - 1 else None


def machines(groups: int) -> list[Machine]:
    """Return the servers of so many groups."""
    return [Machine(group, number) for group in range(groups) for number in range(SERVERS_PER_GROUP)]


def servers_in_service(group: int) -> int:
    """Return how many servers of a group take sessions, outside of incidents. They have the lowest numbers."""
    return SERVERS_PER_GROUP - (group in OUT_OF_SERVICE)


@lru_cache(1024)
def group_fields(seed: int, group: int) -> tuple[str, str]:
    """Return id and name of a server group."""
    return dashed_identifier(seed, "group", group), f"server-group-{group + 1}"


@lru_cache(4096)
def machine_fields(seed: int, machine: Machine) -> Mapping[str, str]:
    """Return the fields of a session about the server it runs on."""
    group, number = machine
    rng = stream(seed, "machine", group, number)
    name = "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=10))
    domain = "-".join(str(rng.randrange(10**8, 2 * 10**9)) for _ in range(3))
    sid = f"S-1-5-21-{domain}-{rng.randrange(1000, 9999)}"
    address = f"172.{16 + group // 250}.{group % 250}.{number + 10}"
    return {"machine_sid": sid, "machine_name": f"APS-{name}", "vm_ip": address}


def app_server(seed: int, machine: Machine, capacity: int, sessions: int, *, lost: bool) -> AppServer:
    """Return a server with its number of sessions. A `lost` one is shut off and no longer registered."""
    fields = machine_fields(seed, machine)
    group_id, group_name = group_fields(seed, machine.group)
    status, vm_status = machine.out_of_service or "REGISTERED", "ACTIVE"
    if lost and machine.out_of_service is None:
        status, vm_status = "UNREGISTER", "SHUTOFF"
    return AppServer(
        id=dashed_identifier(seed, "server", *machine),
        name=f"{group_name}-{machine.number + 1:04}",
        machine_name=fields["machine_name"],
        server_group_id=group_id,
        server_group_name=group_name,
        status=status,
        vm_status="FREEZE" if status == "FREEZE" else vm_status,
        session_count=sessions,
        maintain_status=status == "MAINTAINING",
        scaling_auto_create=machine.number == SERVERS_PER_GROUP - 2,
        freeze=[{"effect": 1, "scene": "ARREAR"}] if status == "FREEZE" else [],
        product_info={
            "product_id": identifier(seed, "product"),
            "flavor_id": "workspace.appstream.general.xlarge.2",
            "type": "BASE",
            "architecture": "x86",
            "cpu": "8",
            "memory": "16384",
            "is_gpu": False,
            "system_disk_type": "SAS",
            "system_disk_size": "80",
            "charge_mode": "1",
            "sessions": capacity,
            "package_type": "general",
        },
        host_address=[{"addr": fields["vm_ip"], "version": 4}],
        domain=DOMAIN,
        sid=fields["machine_sid"],
        os_type="Windows",
        create_time=CREATED,
        enterprise_project_id="0",
    )


def server_group(seed: int, group: int) -> ServerGroup:
    """Return a server group."""
    ident, name = group_fields(seed, group)
    return ServerGroup(
        id=ident,
        name=name,
        description=f"simulated group {group + 1}",
        app_type="SESSION_DESKTOP_APP" if group % 3 == 0 else "COMMON_APP",
        app_server_count=SERVERS_PER_GROUP,
        is_vdi=False,
        os_type="Windows",
        server_group_status=True,
        primary_server_group_ids=[],
        secondary_server_group_ids=[],
        tags=[{"key": "floor", "value": str(group % 4)}],
        create_time=CREATED,
        enterprise_project_id="0",
    )
