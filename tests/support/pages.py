"""The page for people, and the projects that tests show on it."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any

from support.fleets import answered, watching
from support.virtual_time import EPOCH
from support.web_clients import PROCESS

from exporter.cloud.models import Session, UserDetail
from exporter.cloud.telemetry import Telemetry
from exporter.fleet import Attempts, Fleet, Point, Recent, ServerCounts
from exporter.polling.cycles import Cycle, Cycles, Failure
from exporter.polling.source import Source
from exporter.status import OperationStatus, ProjectStatus, Published
from exporter.web.page import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.cloud.errors import CloudError

SESSIONS, DETAIL = "ListSessionByUserName", "ListUserDetail"
NOW = EPOCH
DONE = Cycles(last=Cycle(2, NOW - 60, answered=2), last_duration=58.2, last_ended=NOW - 4, next_at=NOW + 2)


def all_answered(*names: str, locked: int = 0, missing: int = 0, sessions: Sequence[Session] = ()) -> Fleet:
    """A fleet with an answer about each user. The first has the sessions; the first are locked, the last missing."""
    fleet = Fleet(watching([(name, f"id-of-{name}") for name in names]))
    for number, member in enumerate(fleet.members):
        gone = number >= len(names) - missing
        answered(fleet, member, None if gone else sessions if number == 0 else (), at=1)
        fleet.account_answered(member, None if gone else UserDetail(locked=number < locked), 1)
    return fleet


def status(name: str = "berlin", **changes: Any) -> ProjectStatus:
    """A project in which all is well, apart from the changes; of two users, or of a ``fleet``."""
    fleet = changes.pop("fleet", None) or all_answered("a", "b")
    counts = changes.pop("counts", None) or fleet.counts()
    operations = changes.pop("operations", {kind: OperationStatus(DONE, 60.0, 2, 2) for kind in (SESSIONS, DETAIL)})
    values = {
        "project": name,
        "taken_at": NOW,
        "counts": counts,
        "users": fleet.users(),
        "attempts": fleet.attempts,
        "account_locks": fleet.account_locks,
        "operations": operations,
        "source": Source("per_user", "2 users fit"),
        "up": True,
        "ready": all(operation.cycles.last for operation in operations.values()),
        "paused": False,
        "rate_limit": 180.0,
        "telemetry": Telemetry(),
        "credentials_expire_at": None,
        "short_sessions_counted": True,
        "ages": counts.ages(NOW),
        "data_age": 6.0,
        "recent": Recent(points=points(60)),
    }
    return ProjectStatus(**{**values, **changes})


def points(known: int, failing: int = 0) -> tuple[Point, ...]:
    """An hour with known last minutes. Starts fail in the last of them."""
    return tuple(
        Point(
            number, (20 + number % 7, 4, number % 2, 1, 0, 0), 6, 3 if number >= 60 - failing else 0, 6.0 + number % 5
        )
        for number in range(60 - known, 60)
    )


def incident(name: str = "berlin", **changes: Any) -> ProjectStatus:
    """A project whose starts fail in one server group, which has lost its servers; for four minutes now."""
    recent = Recent(31, 13, 11, {"f": 12, "s": 1}, 252.0, points(60, failing=5))
    failed = [Session.of(str(number), "InitFail", app_server_group_id="f") for number in range(13)]
    servers = ServerCounts({("f", "REGISTERED"): 0, ("f", "UNREGISTER"): 5, ("s", "REGISTERED"): 4}, {}, {})
    fleet = changes.pop("fleet", None) or all_answered(*(f"u{number}" for number in range(60)), sessions=failed)
    values = {"recent": recent, "group_names": {"f": "Finance & Co", "s": "Sales"}, "servers": servers, "fleet": fleet}
    return status(name, **{**values, **changes})


def first_cycle(name: str = "berlin") -> ProjectStatus:
    """A project without any known number."""
    operations = {kind: OperationStatus(Cycles(), 60.0, 2, 0) for kind in (SESSIONS, DETAIL)}
    fleet = Fleet(watching([("a", "1"), ("b", "2")]))
    return status(name, operations=operations, up=False, fleet=fleet, data_age=None, recent=Recent())


def failing(error: CloudError, since: float = NOW - 420) -> dict[str, OperationStatus]:
    """The operations of a project, one with an error."""
    return {
        SESSIONS: OperationStatus(DONE, 60.0, 2, 1, (Failure(error, since),)),
        DETAIL: OperationStatus(DONE, 300.0, 2, 2),
    }


def failed_starts(*groups: str | None, starts: int = 0) -> Attempts:
    """Starts that failed, each in this group, and as many others."""
    attempts = Attempts()
    for group in groups:
        session = Session.of(app_server_group_id=group, failed_code="WKS.1")
        attempts.starts.add(session)
        attempts.failures.add(session)
    for _ in range(starts):
        attempts.starts.add(Session.of())
    return attempts


def html_of(*statuses: ProjectStatus, refresh_interval: float = 0.0, path: str = "/metrics", **process: Any) -> str:
    """The whole page."""
    return "".join(render(path, Published(replace(PROCESS, **process), statuses), refresh_interval))


def text_of(html: str) -> str:
    """The text that a browser shows."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.partition("<body>")[2])))


def shown(*statuses: ProjectStatus, **process: Any) -> str:
    """The text that a browser shows of these projects."""
    return text_of(html_of(*statuses, **process))


def headline(*statuses: ProjectStatus, **process: Any) -> str:
    """The title without the name of the program."""
    html = html_of(*statuses, **process)
    title = unescape(html.partition("<title>")[2].partition("</title>")[0]).removesuffix(" | Workspace exporter")
    lines = title.partition(": ")[2].split("; ")
    assert all(line in text_of(html).partition(" Metrics ")[0] for line in lines), "the title is the headline"
    return title


def headings(html: str) -> list[str]:
    """The heading of each project with its level."""
    found = re.findall(r'<h2 id="project-\d+">(.*?)</h2>', html)
    return [unescape(re.sub(r"<[^>]+>", "", each)) for each in found]
