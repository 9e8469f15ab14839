"""The page for people at `/`. Pure: status in, HTML out, without script."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib import metadata, resources

from exporter import __version__
from exporter.status import ProjectStatus, Published
from exporter.web.formats import date_and_time, lasting, lately, share
from exporter.web.problems import Kind, Level, Problem, level, problems_of, problems_of_process
from exporter.web.project import badge, section, wrong
from exporter.wording import counted

STYLE = (resources.files(__package__) / "page.css").read_text("utf-8")

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""No script at all, and no style but the page's own."""

MOST_SECTIONS = 20  # projects that are all shown in full. More projects become a table.
MOST_IN_TABLE = 10  # projects with problems that are shown in full below the table, the worst first
_ROWS = 25  # of the table in one part


@dataclass(frozen=True, slots=True)
class _Project:
    number: int  # in the configuration
    status: ProjectStatus
    problems: list[Problem]
    level: Level

    @property
    def order(self) -> tuple[float, ...]:
        """The worst projects come first."""
        worst = min((each for each in self.problems if each.level is self.level), key=lambda p: p.kind, default=None)
        return -self.level, worst.kind if worst else 0, -worst.size if worst else 0, self.number


def render(telemetry_path: str, published: Published, refresh_interval: float = 0.0) -> Iterator[str]:
    """Yield the page in parts. Its links are relative, since a proxy may serve it below a prefix.

    A browser loads it again after each refresh interval, in seconds; 0 turns that off.
    """
    projects = []
    process = published.process
    now = max((status.taken_at for status in published.projects), default=process.loaded_at)
    now = max(now, process.publish_failed_at or now)
    # The last numbers before a failed publish are no longer true, as in the metrics.
    for number, status in enumerate(published.projects if process.publish_failed_at is None else ()):
        problems = problems_of(status, process)
        projects.append(_Project(number, status, problems, level(problems)))
    own = list(problems_of_process(process))
    yield _head(telemetry_path, projects, own, now, refresh_interval)
    in_full = projects
    if len(projects) > MOST_SECTIONS:
        worst_first = sorted(projects, key=lambda project: project.order)
        in_full = [project for project in worst_first if project.level is not Level.FINE][:MOST_IN_TABLE]
        yield from _table(worst_first, {project.number for project in in_full})
    for project in in_full:
        yield section(project.number, project.status, project.level, project.problems)
    yield f"""</main>
<footer id="documentation">
<h2>Documentation</h2>
<ul>
<li>{_document("METRICS.md", "All metrics")}.</li>
<li>{_document("deploy/RUNBOOK.md", "What to do about each alert")}.</li>
<li><code>workspace-exporter doctor</code> checks the connection to the cloud.</li>
<li><code>workspace-exporter --help</code> lists all settings.</li>
</ul>
<p>Version {escape(__version__)}</p>
</footer>
</body>
</html>
"""


def _head(
    telemetry_path: str, projects: Sequence[_Project], own: list[Problem], now: float, refresh_interval: float
) -> str:
    overall, (first, *others) = _headline(projects, own)
    title = "; ".join(text for _, text in (first, *others))
    more = "".join(f"<li>{badge(each)} {escape(text)}</li>\n" for each, text in others)
    refresh, often = "", ""
    if refresh_interval:
        refresh = f'\n<meta http-equiv="refresh" content="{max(round(refresh_interval), 1)}">'
        often = f" Refreshes every {lasting(max(round(refresh_interval), 1))}."
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">{refresh}
<title>{overall.word.capitalize()}: {escape(title)} | Workspace exporter</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>Huawei Cloud Workspace exporter</h1>
<div class="headline {overall.word}">
<p>{badge(first[0])} {escape(first[1])}</p>
{f"<ul>{more}</ul>" if more else ""}
</div>
<nav aria-label="Links">
<a href="./{escape(telemetry_path.removeprefix("/"))}">Metrics</a>
<a href="#documentation">Documentation</a>
<a href="./-/healthy">Health</a>
<a href="./-/ready">Readiness</a>
</nav>
<p>As of <time>{date_and_time(now)}</time>.{often} <a href="./">Refresh now</a></p>
</header>
<main>
{_itself(own, now)}
"""


def _itself(problems: list[Problem], now: float) -> str:
    """Return a section with the problems of the exporter itself; nothing without problems."""
    if not problems:
        return ""
    worst = level(problems)
    return f"""<section aria-labelledby="exporter" class="{worst.word}">
<h2 id="exporter">The exporter itself {badge(worst)}</h2>
{wrong(problems, now)}
</section>"""


def _headline(projects: Sequence[_Project], own: list[Problem]) -> tuple[Level, list[tuple[Level, str]]]:
    """Return the worst level, and a line with its level for each kind of problem; or a line that all is well."""
    lines = []
    for kind in Kind:
        lines += [(problem.level, problem.what) for problem in own if problem.kind is kind]
        found = [(project, problem) for project in projects for problem in project.problems if problem.kind is kind]
        if found:
            project, worst = max(found, key=lambda each: (each[1].level, each[1].size))
            name = f"{project.status.project}: " if len(projects) > 1 else ""
            others = len({project.number for project, _ in found}) - 1
            more = f" (the same in {counted(others, 'more project')})" if others else ""
            lines.append((worst.level, f"{name}{worst.what}{more}"))
    if lines:
        return max(each for each, _ in lines), lines
    if not projects:
        return Level.WAITING, [(Level.WAITING, "No project belongs to this shard")]
    users = sum(project.status.configured for project in projects)
    started = sum(project.status.recent.starts for project in projects)
    window = lately(min(project.status.recent.minutes for project in projects))
    starts = f"{counted(started, 'session start')} {window}, none failed" if started else f"no start {window}"
    return Level.FINE, [(Level.FINE, f"{counted(len(projects), 'project')}, {counted(users, 'user')}, {starts}")]


def _table(projects: Sequence[_Project], in_full: set[int]) -> Iterator[str]:
    columns = ("State", "Project", "Users", "Active", "Failed, 5 min", "Coverage", "Age", "Problem")
    heads = "".join(f'<th scope="col">{column}</th>' for column in columns)
    yield f"""<section aria-labelledby="projects">
<h2 id="projects">{counted(len(projects), "project")}</h2>
<div class="scroll" role="region" aria-label="Table of projects" tabindex="0">
<table class="projects">
<thead><tr>{heads}</tr></thead>
<tbody>
"""
    for start in range(0, len(projects), _ROWS):
        yield "".join(_row(project, project.number in in_full) for project in projects[start : start + _ROWS])
    troubled = sum(project.level is not Level.FINE for project in projects)
    more = (
        f"<p>The worst {len(in_full)} of {troubled} projects with problems follow.</p>"
        if troubled > len(in_full)
        else ""
    )
    yield f"</tbody>\n</table>\n</div>\n{more}\n</section>\n"


def _row(project: _Project, is_in_full: bool) -> str:
    status, recent, counts = project.status, project.status.recent, project.status.counts
    name = escape(status.project)
    link = f'<a href="#project-{project.number}">{name}</a>' if is_in_full else name
    covered = max(counts.queried, counts.scanned)
    known = status.sessions_known
    cells = (
        str(status.configured),
        str(status.sessions_by_state["Active"]) if known else "unknown",
        share(recent.failed, recent.starts) if known else "unknown",
        f"{100 * covered // status.configured} %" if status.configured else "unknown",
        "unknown" if status.data_age is None else lasting(status.data_age),
        escape(project.problems[0].what) if project.problems else "none",
    )
    return (
        f'<tr><td>{badge(project.level)}</td><th scope="row">{link}</th>'
        f"{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>\n"
    )


def _repository() -> str:
    """Return the address of the repository as the package's metadata name it; empty if they do not."""
    try:
        urls = metadata.metadata("huaweicloud-workspace-exporter").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return ""
    named = {label.strip().lower(): url.strip() for label, _, url in (each.partition(",") for each in urls)}
    address = next((named[label] for label in ("repository", "source", "homepage") if label in named), "")
    return address.removesuffix("/") if address.startswith("https://") else ""


REPOSITORY = _repository()


def _document(path: str, title: str) -> str:
    """Return a link to a document of the repository; its name if the address is unknown."""
    if REPOSITORY:
        return f'<a href="{escape(REPOSITORY)}/blob/HEAD/{path}">{title}</a>'
    return f"{title}: <code>{path}</code>"
