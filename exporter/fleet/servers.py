"""The servers behind the sessions, by server group: plain data with the counts over it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exporter.cloud.models import Server, ServerGroup
from exporter.fleet.members import UNKNOWN

REGISTERED = "REGISTERED"
# The documented values of a server's status.
SERVER_STATUSES = ("UNREGISTER", REGISTERED, "MAINTAINING", "FREEZE", "STOPPED", "NONE")
_MOST_GROUPS = 1000  # with a name


@dataclass(frozen=True, slots=True)
class ServerCounts:
    """The servers of a project at one moment, by id of their server group."""

    servers: Mapping[tuple[str, str], int]  # by group and status
    sessions: Mapping[str, int]  # on all servers of a group; only groups that report it
    capacity: Mapping[str, int]  # sessions that the registered servers can hold; only groups that know it


class Servers:
    """What the cloud last listed of servers and server groups."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}  # names of server groups by id
        self._groups: frozenset[str] = frozenset()  # ids of the groups that are listed
        self._servers: ServerCounts | None = None

    def name(self, groups: Iterable[tuple[str | None, str | None]]) -> None:
        """Note the names of server groups, given with their ids."""
        for group, name in groups:
            if group and name and (group in self.names or len(self.names) < _MOST_GROUPS):
                self.names[group] = name

    def groups_listed(self, groups: Iterable[ServerGroup] | None) -> None:
        """Apply a complete list of the server groups; None if it is stale. Their names remain."""
        listed = list(groups or ())
        self._groups = frozenset(group.id for group in listed if group.id)
        self.name((group.id, group.name) for group in listed)

    def servers_listed(self, servers: Iterable[Server] | None) -> None:
        """Apply a complete list of the servers; None if it is stale."""
        listed = list(servers or ())
        self.name((server.server_group_id, server.server_group_name) for server in listed)
        self._servers = None if servers is None else _counts(listed)

    def counts(self) -> ServerCounts | None:
        """Return the counts over the servers, None if nothing is known about them. Empty groups have no servers."""
        if self._servers is None:
            return None
        known = {group for group, _ in self._servers.servers}
        empty = {(group, status): 0 for group in self._groups - known for status in SERVER_STATUSES}
        return ServerCounts({**self._servers.servers, **empty}, self._servers.sessions, self._servers.capacity)


def _counts(servers: list[Server]) -> ServerCounts:
    by_group: dict[str, list[Server]] = {}
    for server in servers:
        by_group.setdefault(server.server_group_id or UNKNOWN, []).append(server)
    statuses: dict[tuple[str, str], int] = {}
    sessions, capacity = {}, {}
    for group, members in by_group.items():
        found = Counter(dict.fromkeys(SERVER_STATUSES, 0))
        found.update(server.status or UNKNOWN for server in members)
        statuses |= {(group, status): number for status, number in found.items()}
        running = [server.session_count for server in members if server.session_count is not None]
        if len(running) == len(members):
            sessions[group] = sum(running)
        able = [server.max_sessions for server in members if server.status == REGISTERED]
        known = [number for number in able if number is not None]
        if len(known) == len(able):
            capacity[group] = sum(known)
    return ServerCounts(statuses, sessions, capacity)
