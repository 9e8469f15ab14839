"""The section of a project on the page: what is wrong, its numbers, its last hour and its polling. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape

from exporter.cloud.causes import explain
from exporter.cloud.client import LIST_SESSIONS
from exporter.fleet import DOCUMENTED_STATES
from exporter.status import OperationStatus, ProjectStatus
from exporter.web.charts import charts
from exporter.web.formats import ago, amount, bar, date_and_time, facts, lasting
from exporter.web.problems import Level, Problem
from exporter.web.starts import start_numbers, starts
from exporter.wording import counted

_TITLES = {
    "ListSessionByUserName": "Sessions",
    "ListUserDetail": "Accounts",
    "ListUsers": "Accounts, list of all users",
    "ListServers": "Servers",
    "ListServerGroups": "Server groups",
}
_SCANS = {"per_user": "Session starts, scan of all users", "bulk": "Sessions, scan of all users"}  # by source
_SOURCES = {"per_user": "queried user by user", "bulk": "read by scans of all users, and each user is queried in turn"}


def section(number: int, status: ProjectStatus, level: Level, problems: list[Problem]) -> str:
    """Return the section of the project with this number on the page."""
    now = status.taken_at
    operations = "\n".join(
        _operation(f"{number}-{name}", name, operation, status, now) for name, operation in status.operations.items()
    )
    return f"""<section aria-labelledby="project-{number}" class="{level.word}">
<h2 id="project-{number}">{escape(status.project)} {badge(level)}</h2>
{wrong(problems, now)}
{_numbers(status)}
{charts(status.recent)}
{starts(status)}
{_unavailable(status, now)}
{_source(status)}
<div class="operations">
{operations}
</div>
</section>
"""


def _source(status: ProjectStatus) -> str:
    """Return where sessions come from; nothing without users, on whose number that depends."""
    source = status.source
    return f"<p>Sessions are {_SOURCES[source.name]}: {escape(source.reason)}.</p>" if status.configured else ""


def badge(level: Level) -> str:
    """Return a level as a coloured word."""
    return f'<span class="state {level.word}">{level.word}</span>'


def wrong(problems: list[Problem], now: float) -> str:
    """Return the problems with their start, their causes and what to do; nothing without problems."""
    items = "".join(
        f'<li class="{each.level.word}"><strong>{escape(each.what)}</strong>{_since(each.since, now)}'
        f"{f': {_in_code(each.details)}' if each.details else ''}.\n<br>What to do: {_in_code(each.remedy)}.</li>\n"
        for each in problems
        if each.level is not Level.WAITING
    )
    return f'<h3>What is wrong</h3>\n<ul class="problems">\n{items}</ul>' if items else ""


def _since(since: float | None, now: float) -> str:
    return "" if since is None else f", since <time>{date_and_time(since)}</time> ({ago(now - since)})"


def _in_code(text: str) -> str:
    """Return a text of causes or remedies as HTML: what is between backticks is code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))


def _unavailable(status: ProjectStatus, now: float) -> str:
    """Return the optional operations that are not permitted or do not exist."""
    items = []
    for failure in sorted(status.unavailable, key=lambda failure: failure.since):
        cause = explain(failure.error)
        items.append(
            f"<li><strong>{escape(failure.error.operation)}</strong>{_since(failure.since, now)}: "
            f"{_in_code(cause.what)}.\n<br>What to do: {_in_code(cause.remedy)}.</li>\n"
        )
    return f'<h3>Not available</h3>\n<ul class="problems">\n{"".join(items)}</ul>' if items else ""


def _numbers(status: ProjectStatus) -> str:
    counts = status.counts
    numbers: dict[str, int | str] = {"users": status.configured if status.users_known else "unknown"}
    if status.discovery:
        numbers["discovered users"] = status.discovery.users
    if status.sessions_known:
        states = status.sessions_by_state
        numbers |= {state: states[state] for state in DOCUMENTED_STATES}
        if others := states.total() - sum(states[state] for state in DOCUMENTED_STATES):
            numbers["other states"] = others
    else:
        numbers["sessions"] = "unknown"
    if status.accounts_known:
        numbers |= {"locked": counts.locked, "expired": counts.expired, "disabled": counts.disabled}
    else:
        numbers["accounts"] = "unknown"
    if counts.missing:
        numbers["unknown to the cloud"] = counts.missing
    starts = facts("numbers", start_numbers(status.recent)) if status.sessions_known else ""
    return starts + facts("numbers", ((name, str(number)) for name, number in numbers.items()))


def _operation(ident: str, name: str, operation: OperationStatus, status: ProjectStatus, now: float) -> str:
    title = _SCANS[status.source.name] if name == LIST_SESSIONS else _TITLES.get(name, name)
    current, cycle, coverage = operation.cycles.current, "", ""
    if operation.fresh is not None:
        meter = bar("meter", operation.fresh, status.configured)
        answered = f"Fresh answers for {operation.fresh} of {counted(status.configured, 'user')}"
        coverage = f"<p><label>{answered}\n{meter}</label></p>"
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
    yield "requests per minute", f"{amount(requests)} of {amount(status.rate_limit)} allowed"
