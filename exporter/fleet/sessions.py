"""Rules for session records: what follows from a user's own query and from scans.

A scan (ListSessions) lists sessions in a live state that started within the look-back window. A user's own query
(ListSessionByUserName) lists all sessions of that user. So a session that a scan no longer lists has ended, unless it
may be outside the window. A session that only the user's own query listed may be outside the window, or have ended
right after its start. A session that scans list under the user's name, and the user's own query does not, has just
started, or belongs to somebody else with this name: it does not count. In all cases the user is polled again, ahead of
others.
"""

import math
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from msgspec.structs import replace

from exporter.cloud.models import Session
from exporter.fleet.members import INIT_FAIL, LIVE_STATES, Failure, Member, Scan, SessionRecord

# Seconds for which a failed session is remembered after it was last listed, in case it is listed again.
REMEMBERED = 3600.0
NOT_COUNTED = (Scan.DENIED, Scan.REJECTED)
COUNTS_ALONE = (Scan.LISTED, Scan.OUTSIDE)  # sessions that count even without a fresh answer to their user's own query
# A user's new records, and the sessions to count as new failures.
Changes = tuple[tuple[SessionRecord, ...], list[Session]]


def with_known_objects(known: tuple[Session, ...], listed: tuple[Session, ...]) -> tuple[Session, ...]:
    """Return the listed sessions, reusing objects already in memory for those that are known."""
    if listed == known:
        return known
    by_id = {session.id: session for session in known}

    def known_object(now: Session) -> Session:
        before = by_id.get(now.id)
        return now if before is None else before if before == now else replace(now, id=before.id)

    return tuple(map(known_object, listed))


def is_live(session: Session) -> bool:
    """Return whether a session is in a state that scans list."""
    return session.session_state in LIVE_STATES


def after_answer(member: Member, listed: Iterable[Session], at: float, *, own: bool, covered: bool) -> Changes:
    """Apply what the user's ``own`` query, or else a page of a scan, lists for a user.

    ``covered`` says whether a complete scan has ever covered the user. Before an own answer or such a scan, a failure
    is not new, except if its session was known in another state.
    """
    before = {session.id: session for session in member.fresh.listed}
    known = {record.session.id: record for record in member.records}
    first_look = not member.asked and (own or not covered)
    records: list[SessionRecord] = []
    failed: list[Session] = []
    for session_id, session in {session.id: session for session in listed if session.id}.items():
        was = before.get(session_id)
        record = known.pop(session_id, None) or SessionRecord(session, asked_at=member.asked_at if was else None)
        record.session = session
        changed = was is not None and was.session_state != session.session_state
        if changed or (was is None and not first_look):
            record.state_since = at
        if not own and record.failure is Failure.AWAITING_SCAN:
            record.failure = Failure.NONE
        if session.session_state == INIT_FAIL and record.failure is Failure.NONE:
            record.failure = Failure.SETTLED
            if changed or not first_look:
                failed.append(session)
            elif own and covered:
                record.failure = Failure.AWAITING_SCAN
        if own:
            record.asked_at = at
        else:
            record.scanned_at = at
        record.scan = _scan(record.scan, session, own=own, expected=covered and was is None)
        if record.scan is not Scan.SILENT or record.state_since is not None or record.failure is not Failure.NONE:
            records.append(record)
    return (*records, *(_unlisted(known.values(), at) if own else known.values())), failed


def denials(member: Member, new: Sequence[Session], started_before: float) -> list[Session]:
    """Return those sessions of a page of a scan that the user's own query denied. Somebody else with the name has them.

    ``new`` are the sessions that do not count for the user yet. Without a record, those are denied that started
    ``started_before`` (in seconds since 1970, of time 0) the query.
    """
    if not new:
        return []
    records = {record.session.id: record for record in member.records}
    oldest = -math.inf if member.asked_at is None or member.fresh.missing else member.asked_at + started_before

    def denied(session: Session) -> bool:
        if record := records.get(session.id):
            return record.scan in NOT_COUNTED
        return session.started is not None and session.started < oldest

    return [session for session in new if denied(session)]


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
        asked_before = record.asked_at is None or record.asked_at < began
        if record.failure is Failure.AWAITING_SCAN and asked_before:
            record.failure = Failure.SETTLED
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
        elif record.scan is Scan.DENIED and listed and (member.asked_at or 0.0) < began:
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
            record.failure = Failure.SETTLED
    return oldest


def without(member: Member, gone: AbstractSet[str | None]) -> tuple[SessionRecord, ...]:
    """Return the records that remain without these sessions."""
    left = [record for record in member.records if record.session.id not in gone]
    return (*left, *_remembered(record for record in member.records if record.session.id in gone))


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
    """Return the records of failed sessions, now no longer listed, that were last listed after this time."""
    remembered = []
    for record in gone:
        last_listed = max(time for time in (record.asked_at, record.scanned_at, -math.inf) if time is not None)
        if record.failure is not Failure.NONE and last_listed > since:
            record.scan = Scan.SILENT
            remembered.append(record)
    return remembered
