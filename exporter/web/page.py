"""The page for a person who opens the exporter's address in a browser. Pure: status in, HTML out."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from html import escape
from importlib import resources
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.cloud.causes import explain
from exporter.fleet import DOCUMENTED_STATES, INIT_FAIL
from exporter.metrics.families import DESCRIPTIONS
from exporter.web.times import ago, clock, date_and_time, lasting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exporter.polling.failure_log import Trouble
    from exporter.status import OperationStatus, ProjectStatus

STYLE = (resources.files(__package__) / "page.css").read_text("utf-8")

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""No script at all, and no style but the page's own."""

_WHAT = {
    "ListSessionByUserName": "Sessions",
    "ListUserDetail": "Accounts",
    "ListSessions": "Sessions, swept",
    "ListUsers": "Accounts, listed",
}


def render(telemetry_path: str, statuses: Sequence[ProjectStatus]) -> str:
    """The whole page, as of the time when the statuses were taken."""
    now = max((status.taken_at for status in statuses), default=0.0)
    projects = "\n".join(_project(number, status, now) for number, status in enumerate(statuses))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(_headline(statuses))} | Workspace exporter</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>Huawei Cloud Workspace exporter</h1>
<p class="headline">{escape(_headline(statuses))}</p>
<nav aria-label="What else is here">
<a href="{escape(telemetry_path)}">Metrics</a>
<a href="#documentation">Documentation</a>
<a href="/-/healthy">Health</a>
<a href="/-/ready">Readiness</a>
</nav>
<p>As of <time>{escape(date_and_time(now))}</time>. <a href="/">Look again</a></p>
</header>
<main>
{projects}
</main>
<footer id="documentation">
<h2>What the metrics mean</h2>
<p>Their names begin with <code>huaweicloud_workspace_</code>. What is not known is absent, and never 0.</p>
<dl>
{"".join(f"<dt><code>{escape(d.name)}</code></dt><dd>{escape(d.help)}</dd>" for d in DESCRIPTIONS)}
</dl>
<p>Version {escape(__version__)}. <code>workspace-exporter doctor</code> examines the line to the cloud,
<code>workspace-exporter --help</code> lists all settings.</p>
</footer>
</body>
</html>
"""


def _headline(statuses: Sequence[ProjectStatus]) -> str:
    troubled = [status for status in statuses if _state(status) in (_TROUBLE, _DOWN)]
    waiting = [status for status in statuses if _state(status) is _WAITING]
    if troubled:
        return f"{_projects(len(troubled))} of {len(statuses)} in trouble"
    if not statuses:
        return "No project is this shard's"
    if waiting:
        return f"{_projects(len(waiting))} of {len(statuses)} still in the first round"
    return f"All is well: {_projects(len(statuses))}"


def _projects(number: int) -> str:
    return f"{number} project{'' if number == 1 else 's'}"


_FINE = ("fine", "fine")
_WAITING = ("waiting", "first round under way")
_TROUBLE = ("trouble", "in trouble")
_DOWN = ("down", "no answers")
"""The states of a project: the style's class, and the words."""


def _state(status: ProjectStatus) -> tuple[str, str]:
    if not status.up and (status.ready or status.paused):
        return _DOWN
    if any(operation.troubles for operation in status.operations.values()):
        return _TROUBLE
    return _FINE if status.ready else _WAITING


def _project(number: int, status: ProjectStatus, now: float) -> str:
    style, words = _state(status)
    operations = "\n".join(
        _operation(f"{number}-{name}", name, operation, status, now) for name, operation in status.operations.items()
    )
    return f"""<section aria-labelledby="project-{number}" class="{style}">
<h2 id="project-{number}">{escape(status.project)} <span class="state">{words}</span></h2>
{_troubles(status, now)}
{_numbers(status)}
<p>{escape(_source(status))}</p>
<div class="operations">
{operations}
</div>
</section>"""


def _troubles(status: ProjectStatus, now: float) -> str:
    troubles = [trouble for operation in status.operations.values() for trouble in operation.troubles]
    if not troubles:
        return ""
    items = "\n".join(_trouble(trouble, now) for trouble in sorted(troubles, key=lambda trouble: trouble.since))
    return f'<h3>What fails</h3>\n<ul class="troubles">\n{items}\n</ul>'


def _trouble(trouble: Trouble, now: float) -> str:
    cause = explain(trouble.error)
    return (
        f"<li><strong>{escape(trouble.error.operation)}</strong>: {escape(cause.what)}, "
        f"since <time>{escape(date_and_time(trouble.since))}</time> ({escape(ago(now - trouble.since))})."
        f"<br>What to do: {escape(cause.remedy)}.</li>"
    )


def _numbers(status: ProjectStatus) -> str:
    states = Counter[str]()
    for (state, _, _), count in status.counts.sessions.items():
        states[state if state in DOCUMENTED_STATES else "other states"] += count
    told: list[tuple[str, str]] = [("users", str(status.configured))]
    if status.sessions_known:
        told += [(state, str(states[state])) for state in DOCUMENTED_STATES]
        told += [("other states", str(states["other states"]))] if states["other states"] else []
        told.append((f"{INIT_FAIL} since the start", str(status.init_failures.total)))
    if status.accounts_known:
        counts = status.counts
        told += [("locked", str(counts.locked)), ("expired", str(counts.expired)), ("disabled", str(counts.disabled))]
    told += [("unknown to the cloud", str(status.counts.missing))] if status.counts.missing else []
    return _facts("numbers", told)


def _source(status: ProjectStatus) -> str:
    how = {
        "per_user": "asked for user by user",
        "bulk": "swept for all users at once, and asked for user by user in turn",
    }
    return f"Sessions are {how[status.source.name]}: {status.source.reason}."


def _operation(ident: str, name: str, operation: OperationStatus, status: ProjectStatus, now: float) -> str:
    facts = _facts("", _course(operation, status, now))
    return f"""<article aria-labelledby="operation-{escape(ident)}">
<h3 id="operation-{escape(ident)}">{escape(_WHAT.get(name, name))} <small>{escape(name)}</small></h3>
<p><label>{operation.fresh} of {status.configured} users covered
{_bar("meter", operation.fresh, status.configured)}</label></p>
{_under_way(operation)}
{facts}
</article>"""


def _under_way(operation: OperationStatus) -> str:
    current = operation.rounds.current
    if current is None:
        return ""
    return f"""<p><label>Round under way: {current.asked} of {current.total} {current.entries}
{_bar("progress", current.asked, current.total)}</label></p>"""


def _bar(element: str, value: int, most: int) -> str:
    return f'<{element} value="{value}" max="{max(most, 1)}">{value} of {most}</{element}>'


def _course(operation: OperationStatus, status: ProjectStatus, now: float) -> Iterator[tuple[str, str]]:
    """The facts on how the polling goes."""
    rounds = operation.rounds
    if rounds.last and rounds.last_duration is not None and rounds.last_ended is not None:
        failed = ", ".join(f"{users} failed with {outcome}" for outcome, users in rounds.last.failed.most_common())
        ended = f"took {lasting(rounds.last_duration)}, ended {ago(now - rounds.last_ended)}"
        yield "last round", f"{ended}, {failed or 'all answered'}"
    else:
        yield "last round", "none yet"
    if status.paused:
        until = f", until {clock(rounds.next_at)} UTC at the latest" if rounds.next_at and rounds.next_at > now else ""
        yield "next round", f"paused, since the cloud refuses the credentials{until}"
    elif rounds.next_at is not None:
        yield "next round", f"in {lasting(rounds.next_at - now)}" if rounds.next_at > now else "when this one ends"
    yield "interval", lasting(operation.interval)
    calls = 0.0 if status.paused else operation.calls * 60 / operation.interval
    yield "calls a minute", f"{calls:.0f} of {status.rate_limit:g} allowed"


def _facts(style: str, facts: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<dl class="{style}">{items}</dl>' if style else f"<dl>{items}</dl>"
