"""PromQL for the exporter's metrics, the same for all dashboards.

Two exporters that watch the same project report the same gauges, so each gauge counts once per project. Counters are
added up over all exporters: each counts what it has seen.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.bounds import LOCKS, SPIKE_WINDOW, USUAL_LOCKS
from exporter.metrics.exposition import PREFIX
from exporter.metrics.families import DESCRIPTIONS

MINIMUM_STEP = "1m"
"""The longest scrape interval that works. Grafana makes ``$__rate_interval`` four times as long."""

_LABELS = {description.name: description.labels for description in DESCRIPTIONS}


def series(name: str, where: str = "") -> str:
    """Select a metric of the chosen projects; ``where`` holds further matchers."""
    matchers = ", ".join(filter(None, ('project=~"$project"', where)))
    return f"{PREFIX}{name}{{{matchers}}}"


def gauge(name: str, where: str = "", of: str = "max") -> str:
    """Each project's gauge, once: the largest of all exporters, or the smallest with ``of="min"``."""
    return f"{of} by ({', '.join(('project', *_LABELS[name]))}) ({series(name, where)})"


def covered(where: str = "") -> str:
    """Each project's share of users with a fresh answer about sessions, and about accounts.

    Two operations may report each of them, for all users or user by user. The one with more users counts.
    """
    coverage = gauge("poll_coverage_ratio", where, of="min")
    return f'max by (project, kind) (label_replace({coverage}, "kind", "$1", "operation", "List(Session|User).*"))'


def total(name: str, *by: str, where: str = "") -> str:
    """A gauge, added up by these labels."""
    return f"sum{_by(by)} ({gauge(name, where)})"


def increase(name: str, *by: str, window: str, where: str = "") -> str:
    """The increase of a counter that exists from the start."""
    return f"sum{_by(by)} (increase({series(name, where)}[{window}]))"


def appearances(name: str, by: str, window: str) -> str:
    """The increase of a counter whose series begin with the first event, which increase() alone would not count.

    A series that returns after a gap must not count as new. The counter of all events shows the difference: it exists
    from the start.
    """
    counter, all_of_them = series(name), series(f"{name.partition('_by_')[0]}_total")
    born = (
        f"({counter} unless last_over_time({counter}[1h] offset {window}) and on (job, instance, project) "
        f"(last_over_time({all_of_them}[1h] offset {window}) or min_over_time({all_of_them}[{window}]) == 0))"
    )
    return f"sum by ({by}) ({born} or increase({counter}[{window}]))"


def known_failing_users(window: str) -> str:
    """Each project's distinct users with failed starts; absent if there are none, or no metrics about users."""
    users = appearances("session_init_failures_by_user_total", "project, user_name", window)
    return f"count by (project) ({users} > 0)"


def failing_users(window: str) -> str:
    """Each project's distinct users with failed starts; without metrics about users, its failed starts."""
    failures = increase("session_init_failures_total", "project", window=window)
    return f"({known_failing_users(window)} or {failures})"


def failed_share(window: str, *by: str) -> str:
    """Failed starts per starts, of each project, or by other labels; absent where nothing started."""
    labels = by or ("project",)
    return share(
        increase("session_init_failures_total", *labels, window=window),
        increase("session_starts_total", *labels, window=window),
    )


def minimum_users() -> str:
    """How many failing users make an incident, by project: as `exporter.fleet.spike.minimum_users`."""
    users = total("users", "project")
    return f"clamp_max(clamp({users}, 2, 3) > sqrt({users}) / 5 or sqrt({users}) / 5, 10)"


def affected(window: str = SPIKE_WINDOW) -> str:
    """The failed share of starts of the projects in which enough users fail: from SPIKE_SHARE on, an incident."""
    return f"({failed_share(window)} and on (project) {failing_users(window)} >= on (project) {minimum_users()})"


def account_locks(window: str) -> str:
    """Accounts of each project that became locked. Every exporter of a project counts all of them."""
    return f"max by (project) (increase({series('account_locks_total')}[{window}]))"


def many_locks() -> str:
    """The projects with as many locks in an hour as the alert needs: for their users, and for the time of the day."""
    users, locks = total("users", "project"), account_locks("1h")
    needed = f"{LOCKS} * {minimum_users()} < {users} or {users} > 1"
    earlier = (f"max_over_time(({locks})[2h:10m] offset {offset})" for offset in ("23h", "1d23h", "2d22h"))
    usual = "".join(f" unless {locks} <= {USUAL_LOCKS} * {each}" for each in earlier)
    return f"({locks} >= on (project) ({needed}){usual})"


def with_group_name(expression: str) -> str:
    """By project and server group, with the label `group`: the group's name, or its id if the name is unknown."""
    group = "project, app_server_group_id"
    info = f"max by ({group}, app_server_group_name) ({series('app_server_group_info')})"
    names = f'label_replace(topk by ({group}) (1, {info}), "group", "$1", "app_server_group_name", "(.*)")'
    unnamed = f'label_replace({expression}, "group", "$1", "app_server_group_id", "(.*)")'
    return f"({expression} * on ({group}) group_left (group) {names} or on ({group}) {unnamed})"


def with_version_order(expression: str, label: str) -> str:
    """With a label `order`, a text that sorts like the first four numbers of the version."""
    padded = ".".join(f"000000${part}" for part in range(1, 5))
    numbers = r"(\\d+)" + r"(?:\\.(\\d+))?" * 3 + ".*"
    cut = r"0*(\\d{6})" + r"\\.0*(\\d{6})" * 3
    ordered = f'label_replace({expression}, "order", "{padded}", "{label}", "{numbers}")'
    return f'label_replace({ordered}, "order", "$1.$2.$3.$4", "order", "{cut}")'


GROUP = "project", "app_server_group_id"
"""The labels of a server group."""


def registered_servers() -> str:
    """Servers of each group on which sessions can start."""
    return total("app_servers", *GROUP, where='status="REGISTERED"')


def used_capacity() -> str:
    """Sessions of each server group per session that its registered servers can hold."""
    sessions, capacity = (total(f"app_server_{name}", *GROUP) for name in ("sessions", "session_capacity"))
    return share(sessions, capacity)


def groups_without_servers() -> str:
    """Server groups without a registered server. Those without any server and start are not in use and left out."""
    starts = appearances("session_starts_by_server_group_total", ", ".join(GROUP), "1h")
    used = f"({total('app_servers', *GROUP)} > 0 or {starts} > 0)"
    return f"({registered_servers()} == 0 and on ({', '.join(GROUP)}) {used})"


def alerts(where: str = "") -> str:
    """Firing alerts of the shipped rules, also those without a project."""
    matchers = ", ".join(filter(None, ('alertstate="firing", alertname=~"Workspace.*", project=~"$project|"', where)))
    return f"ALERTS{{{matchers}}}"


def per_minute(name: str, *by: str, where: str = "", window: str = "$__rate_interval") -> str:
    """Events per minute."""
    return f"60 * sum{_by(by)} (rate({series(name, where)}[{window}]))"


def share(part: str, whole: str, least: int | None = None) -> str:
    """A ratio; absent where the whole is 0, or less than ``least``."""
    return f"{part} / ({whole} {'> 0' if least is None else f'>= {least}'})"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def now(expression: str, legend: str = "") -> Dataquery:
    """A query for the end of the time range."""
    return Dataquery().expr(expression).instant().legend_format(legend or "__auto")


def over_time(expression: str, legend: str = "", step: str = MINIMUM_STEP) -> Dataquery:
    """A query for the whole time range."""
    return Dataquery().expr(expression).range().legend_format(legend or "__auto").interval(step)


def rows(expression: str) -> Dataquery:
    """A query for the end of the time range, with a row per series."""
    return Dataquery().expr(expression).instant().format(PromQueryFormat.TABLE)
