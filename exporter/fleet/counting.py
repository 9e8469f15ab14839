"""Counts each started and each failed session once, whichever answer or scan shows it first."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.cloud.models import ListedSession, Session
from exporter.fleet.members import (
    ACTIVE,
    APPC_INIT,
    INIT_FAIL,
    NOT_COUNTED,
    Failure,
    Member,
    Scan,
    SessionRecord,
    Start,
)

# Seconds for which a session is remembered after it was last listed, in case it is listed again.
REMEMBERED = 3600.0
LONGEST_INIT = 3600.0  # seconds from the start of a session to Active; longer ones are mistakes
ORDER_MARGIN = 2.0  # seconds by which times are compared wrongly, because the clocks are compared by the second


@dataclass(slots=True)
class Changes:
    """The changes that result from an answer for one user."""

    records: tuple[SessionRecord, ...] = ()  # the user's new ones
    started: list[Session] = field(default_factory=list)  # to count as new starts
    failed: list[Session] = field(default_factory=list)  # to count as new failures
    init_durations: list[float] = field(default_factory=list)  # seconds
    disconnects: int = 0
    reconnects: int = 0


class Look(NamedTuple):
    """How a user is looked at by an answer or a page."""

    at: float  # when it arrived
    clock: float  # the cloud's time, in seconds since 1970, at time 0
    own: bool  # whether it is the answer to the user's own query, otherwise the page of a scan
    covered: bool  # whether a complete scan has ever covered the user

    def first(self, member: Member) -> bool:
        """Return whether nothing has been known about the user's sessions before."""
        return not member.queried and (self.own or not self.covered)

    def seen(self, member: Member) -> float | None:
        """Return when a change is seen, in the cloud's time; None at the first look."""
        return None if self.first(member) else self.at + self.clock


def after_sighting(member: Member, listed: Iterable[ListedSession], look: Look) -> Changes:
    """Apply a page of a scan of new or failed sessions: they are counted, and change nothing else."""
    current = {session.id: session for session in member.fresh.listed}
    records = {record.session.id: record for record in member.records}
    changes = Changes()
    for each in listed:
        session_id, was = each.session.id, current.get(each.session.id)
        record, is_known = records.get(session_id), was is not None or session_id in records
        if (record and record.scan in NOT_COUNTED) or (not is_known and _may_be_forgotten(each, look)):
            continue
        record = record or SessionRecord(was or each.session, queried_at=member.queried_at if was else None)
        count_session(record, each, was, member, look, changes, is_known=is_known)
        if record.scan is Scan.SILENT:
            record.scanned_at = look.at
        if is_counted(record):
            records[session_id] = record
    changes.records = tuple(records.values())
    return changes


def _may_be_forgotten(each: ListedSession, look: Look) -> bool:
    """Return whether a session started so early that its record may have been dropped."""
    return each.utc and each.started is not None and each.started < look.at + look.clock - REMEMBERED


def count_session(  # noqa: PLR0913, PLR0917 - all that decides
    record: SessionRecord,
    each: ListedSession,
    was: Session | None,
    member: Member,
    look: Look,
    changes: Changes,
    *,
    is_known: bool,
) -> None:
    """Count the start and the failure of a session, each once, if they are new.

    They are new if they happened after the user joined. Where that time is not known, they are new if the session was
    not there at the first look at the user, or was in another state.
    """
    session = each.session
    first_look = look.first(member)
    times = (each.started, each.changed) if each.utc else (None, None)
    if record.start is Start.NONE and _is_new(times[0], member, look, otherwise=not is_known and not first_look):
        record.start = Start.COUNTED
        changes.started.append(session)
    if session.session_state == INIT_FAIL and record.failure not in {Failure.COUNTED, Failure.OLD}:
        order = {Failure.NONE: not first_look, Failure.EXISTED: False, Failure.AWAITING_SCAN: not look.own}
        failed_at = max((time for time in times if time is not None), default=None)
        changed = record.failure is Failure.NONE and was is not None and was.session_state != INIT_FAIL
        if (
            changed
            or record.start is not Start.NONE
            or _is_new(failed_at, member, look, otherwise=order[record.failure])
        ):
            record.failure = Failure.COUNTED
            changes.failed.append(session)
            if record.start is Start.NONE:
                record.start = Start.COUNTED
                changes.started.append(session)
        elif failed_at is not None:  # the cloud may move this time later, though the state stays
            record.failure = Failure.OLD
        elif record.failure is Failure.NONE:
            record.failure = Failure.AWAITING_SCAN if look.own and look.covered else Failure.EXISTED
    if record.start is Start.COUNTED and session.session_state != APPC_INIT:
        record.start = Start.SETTLED
        if session.session_state == ACTIVE and each.started is not None and each.changed is not None:
            duration = each.changed - each.started
            if 0 <= duration <= LONGEST_INIT:
                changes.init_durations.append(duration)


def _is_new(time: float | None, member: Member, look: Look, *, otherwise: bool) -> bool:
    """Return whether something happened after a user joined, or else what its order among the answers says."""
    if time is None:
        return otherwise
    margin = ORDER_MARGIN if otherwise else 0.0
    return time >= member.joined_at + look.clock - margin


def counted_elsewhere(session: Session, owner: Member | None) -> SessionRecord | None:
    """Return a record for a session that counted for its former owner; None if it did not."""
    for record in owner.records if owner else ():
        if record.session.id == session.id and is_counted(record):
            return SessionRecord(record.session, start=record.start, failure=record.failure)
    return None


def is_counted(record: SessionRecord) -> bool:
    """Return whether a session's start or failure has been decided on, so that its record has to be kept."""
    return record.start is not Start.NONE or record.failure is not Failure.NONE
