"""The page for people at `/`. Pure: status in, HTML out."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from importlib import resources

from exporter import __version__
from exporter.cloud.causes import explain
from exporter.cloud.client import LIST_SESSIONS
from exporter.fleet import DOCUMENTED_STATES, UNKNOWN
from exporter.metrics.families import DESCRIPTIONS
from exporter.polling.cycles import Failure
from exporter.status import OperationStatus, ProjectStatus
from exporter.web.formats import ago, bar, date_and_time, facts, lasting
from exporter.web.starts import start_numbers, starts

STYLE = (resources.files(__package__) / "page.css").read_text("utf-8")

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""No script at all, and no style but the page's own."""

_TITLES = {
    "ListSessionByUserName": "Sessions",
    "ListUserDetail": "Accounts",
    "ListUsers": "Accounts, list of all users",
    "ListServers": "Servers",
    "ListServerGroups": "Server groups",
}
_SCANS = {"per_user": "Session starts, scan of all users", "bulk": "Sessions, scan of all users"}  # by source

_SOURCES = {"per_user": "queried user by user", "bulk": "read by scans of all users, and each user is queried in turn"}
_FINE = ("fine", "working")
_WAITING = ("waiting", "first cycle running")
_TROUBLE = ("trouble", "API errors")
_DOWN = ("down", "no answers")  # the states of a project: class in the style sheet, and text


def render(telemetry_path: str, statuses: Sequence[ProjectStatus]) -> Iterator[str]:
    """Yield the page in parts, one per project. Its links are relative, since a proxy may serve it below a prefix."""
    now = max((status.taken_at for status in statuses), default=0.0)
    headline = escape(_headline(statuses))
    yield f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{headline} | Workspace exporter</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>Huawei Cloud Workspace exporter</h1>
<p class="headline">{headline}</p>
<nav aria-label="Links">
<a href="./{escape(telemetry_path.removeprefix("/"))}">Metrics</a>
<a href="#documentation">Documentation</a>
<a href="./-/healthy">Health</a>
<a href="./-/ready">Readiness</a>
</nav>
<p>As of <time>{date_and_time(now)}</time>. <a href="./">Refresh</a></p>
</header>
<main>
"""
    for number, status in enumerate(statuses):
        yield _project(number, status, now)
    yield f"""</main>
<footer id="documentation">
<h2>Metrics</h2>
<p>All names begin with <code>huaweicloud_workspace_</code>. Unknown values are absent, never 0.</p>
<dl>
{"".join(f"<dt><code>{escape(d.name)}</code></dt><dd>{escape(d.help)}</dd>" for d in DESCRIPTIONS)}
</dl>
<p>Version {escape(__version__)}. <code>workspace-exporter doctor</code> checks the connection to the cloud.
<code>workspace-exporter --help</code> lists all settings.</p>
</footer>
</body>
</html>
"""


def _headline(statuses: Sequence[ProjectStatus]) -> str:
    states = Counter(_state(status) for status in statuses)
    total = f"{len(statuses)} project{'' if len(statuses) == 1 else 's'}"
    if troubled := states[_TROUBLE] + states[_DOWN]:
        return f"API errors in {troubled} of {total}"
    if waiting := states[_WAITING]:
        return f"First cycle running in {waiting} of {total}"
    return f"{total} working" if statuses else "No project belongs to this shard"


def _state(status: ProjectStatus) -> tuple[str, str]:
    if not status.up and (status.ready or status.paused):
        return _DOWN
    if any(operation.failures for operation in status.operations.values()) or _discovery_failed(status):
        return _TROUBLE
    return _FINE if status.ready else _WAITING


def _project(number: int, status: ProjectStatus, now: float) -> str:
    style, words = _state(status)
    operations = "\n".join(
        _operation(f"{number}-{name}", name, operation, status, now) for name, operation in status.operations.items()
    )
    return f"""<section aria-labelledby="project-{number}" class="{style}">
<h2 id="project-{number}">{escape(status.project)} <span class="state">{words}</span></h2>
{_failures(status, now)}
{_discovery_warning(status)}
{_numbers(status)}
{starts(status)}
<p>Sessions are {_SOURCES[status.source.name]}: {escape(status.source.reason)}.</p>
<div class="operations">
{operations}
</div>
</section>
"""


def _failures(status: ProjectStatus, now: float) -> str:
    failures = [failure for operation in status.operations.values() for failure in operation.failures]
    return _errors("Current API errors", failures, now) + _errors("Not available", status.unavailable, now)


def _errors(title: str, failures: Iterable[Failure], now: float) -> str:
    items = []
    for failure in sorted(failures, key=lambda failure: failure.since):
        cause = explain(failure.error)
        items.append(
            f"<li><strong>{escape(failure.error.operation)}</strong>: {escape(cause.what)}, "
            f"since <time>{date_and_time(failure.since)}</time> ({ago(now - failure.since)})."
            f"<br>What to do: {escape(cause.remedy)}.</li>\n"
        )
    return f'<h3>{title}</h3>\n<ul class="troubles">\n{"".join(items)}</ul>\n' if items else ""


def _discovery_failed(status: ProjectStatus) -> bool:
    """Return whether the last listing was incomplete or implausible. Before the first cycle, none may have ended."""
    return status.ready and status.discovery is not None and not status.discovery.successful


def _discovery_warning(status: ProjectStatus) -> str:
    if not _discovery_failed(status):
        return ""
    return (
        "<h3>Discovery of users failed</h3>\n"
        '<p class="warning">The last listing of users was incomplete, empty or less than half as long as before. '
        "The exporter continues with the users that it knows.<br>What to do: fix the errors of ListUsers, if there "
        "are any above. Otherwise check the filters in <code>discover</code>, and whether the users still exist; "
        "<code>workspace-exporter doctor</code> shows how many users each entry matches.</p>"
    )


def _numbers(status: ProjectStatus) -> str:
    counts, states = status.counts, Counter[str]()
    for kind, count in counts.sessions.items():
        state = kind.session_state or UNKNOWN
        states[state if state in DOCUMENTED_STATES else "other states"] += count
    numbers: dict[str, int | str] = {"users": status.configured}
    if status.discovery:
        numbers["discovered users"] = status.discovery.users
    if status.sessions_known:
        numbers |= dict.fromkeys(DOCUMENTED_STATES, 0) | states
        numbers |= start_numbers(status.attempts)
    if status.accounts_known:
        numbers |= {"locked": counts.locked, "expired": counts.expired, "disabled": counts.disabled}
    if counts.missing:
        numbers["unknown to the cloud"] = counts.missing
    return facts("numbers", ((name, str(number)) for name, number in numbers.items()))


def _operation(ident: str, name: str, operation: OperationStatus, status: ProjectStatus, now: float) -> str:
    title = _SCANS[status.source.name] if name == LIST_SESSIONS else _TITLES.get(name, name)
    current, cycle, coverage = operation.cycles.current, "", ""
    if operation.fresh is not None:
        meter = bar("meter", operation.fresh, status.configured)
        coverage = f"<p><label>Fresh answers for {operation.fresh} of {status.configured} users\n{meter}</label></p>"
    if current:
        progress = bar("progress", current.done, current.total)
        cycle = f"<p><label>Current cycle: {current.done} of {current.total} {current.entries}\n{progress}</label></p>"
    return f"""<article aria-labelledby="operation-{escape(ident)}">
<h3 id="operation-{escape(ident)}">{escape(title)} <small>{escape(name)}</small></h3>
{coverage}
{cycle}
{facts("", _polling(operation, status, now))}
</article>"""


def _polling(operation: OperationStatus, status: ProjectStatus, now: float) -> Iterator[tuple[str, str]]:
    cycles = operation.cycles
    if cycles.last and cycles.last_duration is not None and cycles.last_ended is not None:
        failed = ", ".join(f"{users} failed with {outcome}" for outcome, users in cycles.last.failed.most_common())
        ended = f"took {lasting(cycles.last_duration)}, ended {ago(now - cycles.last_ended)}"
        yield "last cycle", f"{ended}, {failed or 'all answered'}"
    else:
        yield "last cycle", "none yet"
    if status.paused:
        until = ""
        if cycles.next_at and cycles.next_at > now:
            until = f", until {datetime.fromtimestamp(cycles.next_at, UTC):%H:%M:%S} UTC at the latest"
        yield "next cycle", f"paused because the cloud rejected the credentials{until}"
    elif cycles.next_at is not None:
        yield "next cycle", f"in {lasting(cycles.next_at - now)}" if cycles.next_at > now else "after the current one"
    yield "interval", lasting(operation.interval)
    requests = 0.0 if status.paused else operation.requests
    yield "requests per minute", f"{requests:.2g} of {status.rate_limit:g} allowed"
