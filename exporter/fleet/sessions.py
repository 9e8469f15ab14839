"""Rules for session records: what follows from a user's own query and from scans.

A scan (ListSessions) lists sessions in a live state that started within the look-back window. A user's own query
(ListSessionByUserName) lists all sessions of that user. So a session that a scan no longer lists has ended, unless it
may be outside the window. A session that only the user's own query listed may be outside the window, or have ended
right after its start. A session that only scans list under the user's name does not count. It has just started, or
belongs to somebody else with this name. In all cases the user is polled again, ahead of others.
"""

import math
from collections.abc import Container, Iterable, Mapping
from collections.abc import Set as AbstractSet

from msgspec.structs import replace

from exporter.cloud.models import ListedSession, Session
from exporter.fleet.counting import ORDER_MARGIN, REMEMBERED, Changes, Look, count_session, is_counted
from exporter.fleet.members import (
    ACTIVE,
    DISCONNECTED,
    LIVE_STATES,
    NOT_COUNTED,
    Failure,
    Member,
    Scan,
    SessionRecord,
)

CLOCK_MARGIN = 60.0  # seconds by which times of the cloud and of the exporter may be compared wrongly


def with_known_objects(
    known: tuple[Session, ...], listed: Iterable[ListedSession], seen: float | None
) -> tuple[Session, ...]:
    """Return the listed sessions, reusing objects already in memory for those that are known.

    Where the cloud does not say when a state last changed, that is when the change was ``seen``, in the cloud's time;
    None at the first look. A state that is older than the known one changes nothing.
    """
    by_id = {session.id: session for session in known}

    def known_object(now: Session) -> Session:
        before = by_id.get(now.id)
        if before is not None and _is_stale(now, before, seen):
            return before
        if now.changed is None:
            same = before is not None and before.session_state == now.session_state
            now = replace(now, changed=before.changed if before is not None and same else seen)
        return now if before is None else before if before == now else replace(now, id=before.id)

    now = tuple([known_object(each.session) for each in listed])
    return known if now == known else now


def _is_stale(now: Session, before: Session, seen: float | None) -> bool:
    """Return whether a listed state is older than the known one. A known state of the future proves nothing."""
    if now.id is None or now.changed is None or before.changed is None or seen is None:
        return False
    other = now.session_state != before.session_state
    return other and now.changed < before.changed - ORDER_MARGIN and before.changed <= seen + CLOCK_MARGIN


def is_live(session: Session) -> bool:
    """Return whether a session is in a state that scans list."""
    return session.session_state in LIVE_STATES


def after_answer(member: Member, listed: Iterable[tuple[ListedSession, Session]], look: Look) -> Changes:
    """Apply what the user's own query, or else a page of a scan of live sessions, lists for a user.

    Each session comes as it is listed, and as it is kept.
    """
    before = {session.id: session for session in member.fresh.listed}
    known = {record.session.id: record for record in member.records}
    records: list[SessionRecord] = []
    changes = Changes()
    for session_id, (each, session) in {kept.id: (each, kept) for each, kept in listed if kept.id}.items():
        was = before.pop(session_id, None)
        record = known.pop(session_id, None)
        is_known = was is not None or record is not None
        record = record or SessionRecord(session, queried_at=member.queried_at if was else None)
        record.session = session
        count_session(record, each, was, member, look, changes, is_known=is_known)
        changes.disconnects += (was and was.session_state, session.session_state) == (ACTIVE, DISCONNECTED)
        changes.reconnects += (was and was.session_state, session.session_state) == (DISCONNECTED, ACTIVE)
        if look.own:
            record.queried_at = look.at
        else:
            record.scanned_at = look.at
        record.scan = _scan(record.scan, session, own=look.own, expected=look.covered and was is None)
        if record.scan is not Scan.SILENT or is_counted(record):
            records.append(record)
    if look.own:
        gone = [*known.values(), *_new_records(before, known, member.queried_at)]
        changes.records = (*records, *_unlisted(gone, look.at))
    else:
        changes.records = (*records, *known.values())
    return changes


def _new_records(
    sessions: Mapping[str | None, Session], known: Container[str | None], queried_at: float | None
) -> list[SessionRecord]:
    """Return records of these sessions of a user that have none."""
    return [
        SessionRecord(session, queried_at=queried_at)
        for session_id, session in sessions.items()
        if session_id and session_id not in known
    ]


def denials(member: Member, new: Iterable[ListedSession], clock: float) -> list[Session]:
    """Return those sessions of a page of a scan that the user's own query denied. Somebody else with the name has them.

    ``new`` are the sessions that do not count for the user yet. Without a record, those are denied that started before
    the query, and are live. ``clock`` is as in Look.
    """
    records = {record.session.id: record for record in member.records}
    oldest = -math.inf
    if member.queried_at is not None and not member.fresh.missing:
        oldest = member.queried_at + clock - CLOCK_MARGIN

    def denied(each: ListedSession) -> bool:
        if record := records.get(each.session.id):
            return record.scan in NOT_COUNTED
        return each.utc and is_live(each.session) and each.started is not None and each.started < oldest

    return [each.session for each in new if denied(each)]


def with_denied(records: Iterable[SessionRecord], denied: Iterable[Session], at: float) -> tuple[SessionRecord, ...]:
    """Return the records with those of denied sessions, which a scan has just listed."""
    others = {record.session.id: record for record in records}
    for session in denied:
        record = others.setdefault(session.id, SessionRecord(session, scan=Scan.DENIED))
        record.scanned_at = at
    return tuple(others.values())


def after_scan(
    member: Member, listed_ids: AbstractSet[str], began: float, oldest: float
) -> tuple[set[str | None], bool]:
    """Apply the end of a complete scan. Return the ids of ended sessions, and whether to poll the user again.

    A session that started before ``oldest`` may be outside the look-back window.
    """
    ended = set[str | None]()
    poll = False
    for record in member.records:
        session = record.session
        asked_before = record.queried_at is None or record.queried_at < began
        if record.failure is Failure.AWAITING_SCAN and asked_before:
            record.failure = Failure.EXISTED
        listed = session.id in listed_ids
        if record.scan is Scan.EXPECTED and asked_before:
            record.scan = Scan.SILENT
            poll = poll or not listed
        elif record.scan is Scan.LISTED and not listed and (record.scanned_at or 0.0) < began:
            poll = True
            if not asked_before:  # the user's answer is newer than the scan
                record.scan = Scan.EXPECTED
            elif session.started is None or session.started < oldest:
                record.scan, record.scanned_at = Scan.OUTSIDE, began
            else:
                ended.add(session.id)
        elif record.scan in NOT_COUNTED and not listed and (record.scanned_at or 0.0) < began:
            ended.add(session.id)
        elif record.scan is Scan.DENIED and listed and (member.queried_at or 0.0) < began:
            record.scan, poll = Scan.REJECTED, True
    return ended, poll


def expire_scans(records: Iterable[SessionRecord], outside_since: float, last_page: float | None) -> float:
    """Undo what scans left OUTSIDE before a time, and listed up to a page. Return when the oldest OUTSIDE began."""
    oldest = math.inf
    for record in records:
        scanned_at = -math.inf if record.scanned_at is None else record.scanned_at
        if record.scan is Scan.OUTSIDE:
            if scanned_at < outside_since:
                record.scan = Scan.SILENT
            else:
                oldest = min(oldest, scanned_at)
        elif last_page is not None and scanned_at <= last_page:
            record.scan = Scan.SILENT
        if last_page is not None and record.failure is Failure.AWAITING_SCAN:
            record.failure = Failure.EXISTED
    return oldest


def without(member: Member, gone: AbstractSet[str | None]) -> tuple[SessionRecord, ...]:
    """Return the records that remain without these sessions."""
    left = [record for record in member.records if record.session.id not in gone]
    known = {record.session.id: record for record in member.records if record.session.id in gone}
    listed = {session.id: session for session in member.fresh.listed if session.id in gone}
    return (*left, *_remembered([*known.values(), *_new_records(listed, known, member.queried_at)]))


def outdated(member: Member, since: float) -> set[str | None]:
    """Return the ids of the records of sessions that are not listed, and were last listed before this time."""
    listed = {session.id for session in member.fresh.listed}
    return {
        record.session.id
        for record in member.records
        if record.session.id not in listed and record.scan is Scan.SILENT and _last_listed(record) <= since
    }


def _last_listed(record: SessionRecord) -> float:
    return max(time for time in (record.queried_at, record.scanned_at, -math.inf) if time is not None)


def _scan(before: Scan, session: Session, *, own: bool, expected: bool) -> Scan:
    """Return what scans say about a session that the user's own query, or else a scan, has just listed."""
    if not is_live(session):
        return Scan.SILENT
    if not own:
        return Scan.LISTED
    if before is Scan.SILENT and expected:
        return Scan.EXPECTED
    if before in NOT_COUNTED:
        return Scan.LISTED
    return Scan.SILENT if before is Scan.OUTSIDE else before


def _unlisted(left: Iterable[SessionRecord], at: float) -> list[SessionRecord]:
    """Return the records that remain of sessions which the user's own query does not list."""
    denied: list[SessionRecord] = []
    gone: list[SessionRecord] = []
    for record in left:
        if record.scan is Scan.LISTED:
            record.scan = Scan.DENIED
        (denied if record.scan in NOT_COUNTED else gone).append(record)
    return denied + _remembered(gone, at - REMEMBERED)


def _remembered(gone: Iterable[SessionRecord], since: float = -math.inf) -> list[SessionRecord]:
    """Return the records of the user's sessions, now no longer listed, that were last listed since then."""
    remembered = []
    for record in gone:
        if (record.scan not in NOT_COUNTED or is_counted(record)) and _last_listed(record) >= since:
            record.scan = Scan.SILENT
            remembered.append(record)
    return remembered
