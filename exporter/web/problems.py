"""Current problems: their severity, their start, and their remedy. Pure.

The scale of the page:

| level | when | colour |
|---|---|---|
| critical | the condition of WorkspaceInitFailSpike is met | red |
| critical | a fifth of the users, and at least as many as in that condition, are locked or unknown to the cloud | red |
| critical | the sessions are unknown, the credentials are rejected, or nothing is published | red |
| attention | anything else that is not as it should be, even one failed start or locked account | yellow |
| waiting | the first polling cycle is running | grey |
| fine | none of these | green |
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from exporter.cloud.causes import explain
from exporter.cloud.errors import Unauthorized
from exporter.fleet import REGISTERED, UNKNOWN, is_spike
from exporter.status import ProcessStatus, ProjectStatus
from exporter.web.formats import date_and_time, lasting, lately, percent
from exporter.wording import counted

EXPIRING = 1200.0  # seconds before their end; credentials that can be renewed are renewed much earlier


class Level(IntEnum):
    """How bad something is."""

    FINE, WAITING, ATTENTION, CRITICAL = range(4)

    @property
    def word(self) -> str:
        """The level in the text of the page, and as a class in its style sheet."""
        return self.name.lower()


class Kind(IntEnum):
    """Kinds of problems in the order of the headline: first what people experience, then the exporter's own health."""

    STARTS, LOCKED, MISSING, UNKNOWN, PUBLISHING, RELOAD, USERS_FILE, DISCOVERY, CREDENTIALS, API, FIRST_CYCLE = range(
        11
    )


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, in words without user names."""

    kind: Kind
    level: Level
    what: str  # short, for the headline
    remedy: str
    details: str = ""
    since: float | None = None  # wall time in seconds since 1970
    size: float = 0.0  # larger is worse among equal levels


def level(problems: list[Problem]) -> Level:
    """Return the level of the worst problem."""
    return max((each.level for each in problems), default=Level.FINE)


def problems_of_process(process: ProcessStatus) -> Iterator[Problem]:
    """Yield the problems of the exporter itself."""
    if process.publish_failed_at is not None:
        yield Problem(
            Kind.PUBLISHING,
            Level.CRITICAL,
            "The exporter publishes no numbers because of a bug",
            "report the traceback of the event `publish_failed` in the log; a restart may help",
            since=process.publish_failed_at,
        )
    if process.reload_rejected_at is not None:
        yield Problem(
            Kind.RELOAD,
            Level.ATTENTION,
            "The last reload of the configuration was rejected",
            "fix the errors; the event `reload_rejected` in the log, or `workspace-exporter --config.check`, lists "
            "them",
            f"the configuration loaded at {date_and_time(process.loaded_at)} remains in effect; a restart would fail",
            process.reload_rejected_at,
        )


def problems_of(status: ProjectStatus, process: ProcessStatus) -> list[Problem]:
    """Return the problems of a project in the order of the headline."""
    found = [*_of_people(status), *_of_numbers(status), *_of_exporter(status, process), *_of_api(status)]
    if not status.ready:
        found.append(
            Problem(Kind.FIRST_CYCLE, Level.WAITING, "The first polling cycle is running", "wait until it ends")
        )
    return sorted(found, key=lambda problem: problem.kind)


def _of_people(status: ProjectStatus) -> Iterator[Problem]:
    recent, counts, users = status.recent, status.counts, status.configured
    if failures := recent.failed:
        is_incident = recent.spike_for is not None
        of_starts = f" of {recent.starts} ({percent(failures, recent.starts)})" if recent.starts >= failures else ""
        yield Problem(
            Kind.STARTS,
            Level.CRITICAL if is_incident else Level.ATTENTION,
            f"{'Session starts are failing' if is_incident else 'Some session starts failed'}: {failures}{of_starts} "
            f"{lately(recent.minutes)}, {counted(recent.failing_users, 'user')}{_worst_group(status)}",
            "check whether the servers of the groups below are registered; the dashboard Sessions shows error codes "
            "and client versions",
            since=None if recent.spike_for is None else status.taken_at - recent.spike_for,
            size=failures,
        )
    if status.accounts_known and counts.locked:
        yield Problem(
            Kind.LOCKED,
            _of_many(counts.locked, users),
            f"{_are(counts.locked, 'account')} locked",
            "unlock them in the Workspace console, or wait until the locks end; `huaweicloud_workspace_user_locked` "
            "and the dashboard Users name them",
            size=counts.locked,
        )
    if counts.missing:
        yield Problem(
            Kind.MISSING,
            _of_many(counts.missing, users),
            f"{_are(counts.missing, 'user')} unknown to the cloud",
            "correct or remove their names in the configuration; `huaweicloud_workspace_user_missing` names them",
            size=counts.missing,
        )


def _are(number: int, noun: str) -> str:
    return f"{counted(number, noun)} {'is' if number == 1 else 'are'}"


def _of_many(affected: int, users: int) -> Level:
    """Return the level of a problem of so many users: critical on the scale of failing starts, a fifth of them."""
    is_incident = is_spike(users=users, failing_users=affected, failures=affected, starts=users)
    return Level.CRITICAL if is_incident else Level.ATTENTION


def _worst_group(status: ProjectStatus) -> str:
    """Return the server group with the most failures in words, with its servers."""
    failed = {group: count for group, count in status.recent.failures_by_group.items() if group != UNKNOWN}
    if not failed:
        return ""
    group = min(failed, key=lambda each: (-failed[each], each))
    registered = registered_servers(status, group)
    servers = f" (registered servers: {registered})" if registered else ""
    return f", most in server group {status.group_names.get(group, group)}{servers}"


def registered_servers(status: ProjectStatus, group: str) -> str:
    """Return ``2 of 5``; nothing if it is unknown how many servers of a group are registered."""
    servers: Mapping[tuple[str, str], int] = status.servers.servers if status.servers else {}
    if (group, REGISTERED) not in servers:
        return ""
    total = sum(count for (each, _), count in servers.items() if each == group)
    return f"{servers[group, REGISTERED]} of {total}"


def _of_numbers(status: ProjectStatus) -> Iterator[Problem]:
    """Yield what is unknown and should be known."""
    counts, users = status.counts, status.configured
    since = None if status.data_age is None else status.taken_at - status.data_age
    doctor = "fix the errors below; without any, run `workspace-exporter doctor`"
    if not status.up and (status.ready or status.paused):
        yield Problem(
            Kind.UNKNOWN,
            Level.CRITICAL,
            "The sessions are unknown: the cloud gives no usable answer",
            doctor,
            "",
            since,
            users,
        )
    elif status.ready and (unknown := users - max(counts.queried, counts.scanned)) > 0:
        what = f"The sessions of {unknown} of {counted(users, 'user')} are unknown"
        yield Problem(Kind.UNKNOWN, Level.ATTENTION, what, doctor, size=unknown)
    if status.ready and status.users_known and not users:
        remedy = "name users in `users`, `users_file` or `discover`, and check which names `exclude` matches"
        yield Problem(Kind.UNKNOWN, Level.ATTENTION, "No user is watched", remedy)
    if status.ready and status.up and (unknown := users - counts.accounts) > 0:
        what = f"The accounts of {unknown} of {counted(users, 'user')} are unknown"
        yield Problem(Kind.UNKNOWN, Level.ATTENTION, what, doctor, size=unknown)


def _of_exporter(status: ProjectStatus, process: ProcessStatus) -> Iterator[Problem]:
    if (since := process.users_files_rejected.get(status.project)) is not None:
        yield Problem(
            Kind.USERS_FILE,
            Level.ATTENTION,
            "The users file was rejected",
            "fix the errors; the event `users_file_rejected` in the log, or `workspace-exporter --config.check`, lists "
            "them",
            "the users of its last valid version are watched",
            since,
        )
    if status.ready and status.discovery is not None and not status.discovery.successful:
        yield Problem(
            Kind.DISCOVERY,
            Level.ATTENTION,
            "Discovery of users failed",
            "fix the errors of ListUsers, if there are any below. Otherwise check the filters in `discover`, and "
            "whether the users still exist; `workspace-exporter doctor` shows how many users each entry matches",
            "the last listing of users was incomplete, empty or less than half as long as before, and the exporter "
            "continues with the users that it knows",
        )
    expires_at = status.credentials_expire_at
    if expires_at is not None and expires_at < status.taken_at + EXPIRING:
        left = expires_at - status.taken_at
        yield Problem(
            Kind.CREDENTIALS,
            Level.ATTENTION,
            f"The credentials expire in {lasting(left)}" if left > 0 else "The credentials have expired",
            "check their source; see Credentials in CONFIGURATION.md",
        )


def _of_api(status: ProjectStatus) -> Iterator[Problem]:
    failures = [failure for operation in status.operations.values() for failure in operation.failures]
    for failure in sorted(failures, key=lambda failure: failure.since):
        error, cause = failure.error, explain(failure.error)
        rejected = isinstance(error, Unauthorized)
        what = "The credentials are rejected" if rejected else f"{error.operation} fails ({error.outcome})"
        yield Problem(
            Kind.CREDENTIALS if rejected else Kind.API,
            Level.CRITICAL if rejected and status.paused else Level.ATTENTION,
            what,
            cause.remedy,
            f"{error.operation}: {cause.what}" if rejected else cause.what,
            failure.since,
        )
    if status.paused and not any(isinstance(failure.error, Unauthorized) for failure in failures):
        yield Problem(
            Kind.CREDENTIALS,
            Level.CRITICAL,
            "The credentials are rejected or cannot be obtained",
            "check them; `workspace-exporter doctor` tries each way to authenticate",
        )
