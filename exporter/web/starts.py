"""The part of the page on session starts: how many fail, how long they take, and where they fail. Pure."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from html import escape
from itertools import accumulate

from exporter.cloud.client import IAM_ACTIONS, LIST_SESSIONS
from exporter.cloud.telemetry import Latencies
from exporter.fleet import INIT_FAIL, UNKNOWN, WINDOW, Recent
from exporter.status import ProjectStatus
from exporter.web.charts import hour
from exporter.web.formats import lasting, share
from exporter.web.problems import registered_servers
from exporter.wording import counted

_LATELY = f"{WINDOW / 60:.0f} min"
_MOST_GROUPS = 10  # named; the others are in the metrics


def start_numbers(recent: Recent) -> Iterator[tuple[str, str]]:
    """Yield how many sessions started lately and how many of these starts failed, with titles."""
    started, failed, minutes = hour(recent)
    yield f"starts, last {recent.minutes} min", str(recent.starts)
    yield f"failed, last {recent.minutes} min", share(recent.failed, recent.starts)
    if minutes > recent.minutes:
        yield f"starts, last {minutes} min", str(started)
        yield f"failed, last {minutes} min", share(failed, started)


def starts(status: ProjectStatus) -> str:
    """Return what is known of the session starts of a project; empty if there is nothing to report."""
    return "\n".join(_paragraphs(status))


def _paragraphs(status: ProjectStatus) -> Iterator[str]:
    attempts = status.attempts
    if started := attempts.starts.total:
        failed = share(attempts.failures.total, started)
        yield f"<p>Since the exporter started: {counted(started, 'session start')}, {failed} failed.</p>"
    if count := sum(attempts.init_durations.counts):
        yield f"<p>Time from start to Active: {_durations(attempts.init_durations, count)}.</p>"
    yield _groups(status)
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


def _groups(status: ProjectStatus) -> str:
    """Return a table of the server groups with failed starts, or with sessions at InitFail; empty without any."""
    lately, ever = status.recent.failures_by_group, status.attempts.failures.by_server_group
    current: Counter[str] = Counter()
    for kind, sessions in status.counts.sessions.items():
        if kind.session_state == INIT_FAIL:
            current[kind.app_server_group_id or UNKNOWN] += sessions
    groups = sorted(
        {*lately, *ever, *current},
        key=lambda group: (-lately.get(group, 0), -current[group], -ever.get(group, 0), group),
    )
    if not groups:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(status.group_names.get(group, group))}</th>'
        f"<td>{registered_servers(status, group) or 'unknown'}</td>"
        f"<td>{lately.get(group, 0)}</td><td>{current[group]}</td><td>{ever.get(group, 0)}</td></tr>\n"
        for group in groups[:_MOST_GROUPS]
    )
    more = f"<p>and {counted(len(groups) - _MOST_GROUPS, 'more group')}</p>" if len(groups) > _MOST_GROUPS else ""
    return f"""<table>
<caption>Failed starts and registered servers by group</caption>
<thead><tr><th scope="col">Group</th><th scope="col">Servers</th><th scope="col">Last {_LATELY}</th>\
<th scope="col">At InitFail</th><th scope="col">Since start</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
{more}"""
