"""The part of the page on session starts: how many fail, how long they take, and where they fail. Pure."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from html import escape
from itertools import accumulate

from exporter.cloud.client import IAM_ACTIONS, LIST_SESSIONS
from exporter.cloud.telemetry import Latencies
from exporter.fleet import INIT_FAIL, REGISTERED, UNKNOWN, Attempts
from exporter.status import ProjectStatus
from exporter.web.formats import lasting, percent

_MOST_GROUPS = 10  # named; the others are in the metrics


def start_numbers(attempts: Attempts) -> Mapping[str, str]:
    """Return how many sessions started and how many of these starts failed, by title."""
    started, failed = attempts.starts.total, attempts.failures.total
    share = f" ({percent(failed, started)})" if started else ""
    return {"starts since exporter start": str(started), "failed starts since exporter start": f"{failed}{share}"}


def starts(status: ProjectStatus) -> str:
    """Return paragraphs on the session starts of a project; empty if there is nothing to report."""
    return "\n".join(_paragraphs(status))


def _paragraphs(status: ProjectStatus) -> Iterator[str]:
    if count := sum(status.attempts.init_durations.counts):
        yield f"<p>Time from start to Active: {_durations(status.attempts.init_durations, count)}.</p>"
    if failed := status.attempts.failures.by_server_group:
        yield _by_group("Failed starts by server group since exporter start", failed, status)
    at_init_fail: Counter[str] = Counter()
    for kind, sessions in status.counts.sessions.items():
        if kind.session_state == INIT_FAIL:
            at_init_fail[kind.app_server_group_id or UNKNOWN] += sessions
    if at_init_fail:
        yield _by_group("Sessions at InitFail by server group, as of the last poll", at_init_fail, status)
    if status.ready and not status.short_sessions_counted:
        yield (
            '<p class="warning">Sessions that begin and end between two polls are not counted, and failed starts show '
            "up to a polling cycle late: ListSessions is "
            + (f"not permitted ({IAM_ACTIONS[LIST_SESSIONS]}).</p>" if _forbidden(status) else "failing.</p>")
        )
    if status.failures_scan_incomplete:
        yield (
            '<p class="warning">Failed starts may be counted up to a polling cycle late. The scan for sessions at '
            "InitFail did not list all failures that the queries of single users found.</p>"
        )


def _forbidden(status: ProjectStatus) -> bool:
    return any(failure.error.operation == LIST_SESSIONS for failure in status.unavailable)


def _durations(durations: Latencies, count: int) -> str:
    """Return the mean and, from the buckets, an upper bound of the median in words."""
    mean = lasting(durations.seconds / count)
    bucket = bisect_left(list(accumulate(durations.counts)), count / 2)
    bounds = durations.bounds
    half = f"at most {lasting(bounds[bucket])}" if bucket < len(bounds) else f"more than {lasting(bounds[-1])}"
    return f"{mean} on average, {half} for half of the starts"


def _by_group(title: str, counts: Mapping[str, int], status: ProjectStatus) -> str:
    """Return a paragraph with the groups that have the highest counts, and with their servers."""
    highest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    groups = [f"{_group(group, status)}: {count}" for group, count in highest[:_MOST_GROUPS]]
    if len(highest) > _MOST_GROUPS:
        groups.append(f"and {len(highest) - _MOST_GROUPS} more")
    return f'<p class="warning"><strong>{title}:</strong> {escape(", ".join(groups))}</p>'


def _group(group: str, status: ProjectStatus) -> str:
    name = status.group_names.get(group, group)
    statuses = status.servers.servers if status.servers else {}
    if (group, REGISTERED) not in statuses:
        return name
    servers = sum(count for (each, _), count in statuses.items() if each == group)
    return f"{name} ({statuses[group, REGISTERED]} of {servers} servers registered)"
