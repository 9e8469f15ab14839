"""Scans that count session starts and failures, and listings of servers. In virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.fake_cloud import FakeCloud, refused
from support.promises import Promise
from support.spans import busiest
from support.virtual_time import run_virtually, until, wall_clock
from support.watches import polled, reload, status, watch_of

from exporter.cloud.errors import CloudError, Unreachable
from exporter.cloud.models import Server, ServerGroup, Session, SessionPage
from exporter.polling.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.cloud.models import ListedSession
    from exporter.status import ProjectStatus
    from exporter.watch import Watch

LIST_SESSIONS, LIST_SERVERS, LIST_SERVER_GROUPS = "ListSessions", "ListServers", "ListServerGroups"
HOUR = 3600.0
SOON = 7.0
"""Seconds within which a failure is published."""


@dataclass
class Cloud(FakeCloud):
    """A cloud with sessions that start while it is polled. Its clock may be ahead of ours."""

    counting: bool = True
    ahead: float = 0.0
    """Seconds that its clock is ahead of the exporter's."""
    over: dict[str, tuple[Session, ...]] = field(default_factory=dict)
    """Sessions that only ListSessions lists, by user."""
    count: Callable[[int], int | None] = lambda found: found
    """What it reports about the number of sessions."""
    order: Callable[[list[ListedSession]], list[ListedSession]] = lambda listed: listed
    spoil: Callable[[str], CloudError | None] = lambda _scan: None
    """By scan, the error that is sent instead of a page."""
    after_page: Callable[[str], None] = lambda _scan: None
    scans: list[tuple[float, str]] = field(default_factory=list)
    """Time and scan of each page of ListSessions."""

    def start(self, name: str, session_id: str, state: str = "Active", *, over: bool = False) -> None:
        """Let a user's session start now. One that is ``over`` is not listed by the user's own query."""
        sessions = self.over if over else self.sessions
        sessions[name] = (*sessions.get(name, ()), Session.of(id=session_id, session_state=state))
        self.started[session_id] = wall_clock() + self.ahead

    async def list_sessions(self, begin: float, end: float, session_states: Sequence[str], offset: int) -> SessionPage:
        scan = {0: "starts", 1: "failures"}.get(len(session_states), "live")
        self.scans.append((asyncio.get_running_loop().time(), scan))
        if error := self.spoil(scan):
            await asyncio.sleep(10.0 if error.outcome == "timeout" else self.latency)
            raise error
        await self._call(LIST_SESSIONS, f"from {offset}")
        if not self.counting:
            raise refused(LIST_SESSIONS, 403)
        now = wall_clock()
        found = [
            self._listed(name, session, 0.0)._replace(utc=True)
            for users in (self.sessions, self.over)
            for name, sessions in users.items()
            for session in sessions
            if begin <= self._start(session, now) <= end
            and (not session_states or session.session_state in session_states)
        ]
        page = self.order(found)[offset : offset + 100]
        self.after_page(scan)
        return SessionPage(tuple(page), self.count(len(found)), 0)

    def times_of(self, scan: str) -> list[float]:
        return [time for time, which in self.scans if which == scan]


def cloud_of(users: int, **options: object) -> tuple[Cloud, list[str]]:
    """A cloud with users who have no sessions yet."""
    cloud = Cloud(**options)  # type: ignore[arg-type] # options of the cloud
    names = [f"user{number:04}" for number in range(users)]
    for name in names:
        cloud.add(name)
    return cloud, names


async def sampled(watch: Watch, end: float, step: float = 0.25) -> list[tuple[float, int, int]]:
    """The time with the published starts and failures, again and again until the end."""
    seen = []
    now = asyncio.get_running_loop().time
    while now() < end:
        await asyncio.sleep(step)
        attempts = status(watch).attempts
        seen.append((now(), attempts.starts.total, attempts.failures.total))
    return seen


def numbers(watch: Watch) -> tuple[int, int]:
    """The published starts and failures."""
    attempts = status(watch).attempts
    return attempts.starts.total, attempts.failures.total


def test_rejected_credentials_of_an_optional_operation_pause_only_that_operation() -> None:
    """The cloud accepts them for the others. It is tried again after some minutes."""
    cloud, names = cloud_of(3)

    def reject(operation: str, _who: str) -> None:
        if operation == LIST_SERVERS:
            raise refused(operation, 401)

    cloud.fault = reject

    async def main() -> list[ProjectStatus]:
        watch = watch_of(cloud, *names)
        seen = []
        async with polled(watch):
            for second in range(5, 900, 5):
                await until(float(second))
                seen.append(status(watch))
        return seen

    seen = run_virtually(main())
    assert all(each.up and not each.paused and each.counts.queried == 3 for each in seen)
    assert len(cloud.times(LIST_SERVERS)) == 3
    assert LIST_SERVERS not in seen[-1].operations
    assert [failure.error.outcome for failure in seen[-1].unavailable] == ["401"]


def test_servers_are_listed_again_when_sessions_fail_but_not_with_each_failure() -> None:
    """A group may have lost its servers, and on-call must not read minutes later that it has them."""
    cloud, names = cloud_of(3)

    async def main() -> list[float]:
        watch = watch_of(cloud, *names)
        async with polled(watch):
            await until(100.0)
            for number in range(30):
                cloud.start(names[0], f"new-{number}", "InitFail")
                await asyncio.sleep(1.0)
        return [time for time in cloud.times(LIST_SERVERS) if time > 100]

    times = run_virtually(main())
    assert times[0] < 100 + SOON
    assert len(times) <= 2


def test_failures_are_announced_as_soon_as_they_are_published() -> None:
    cloud, names = cloud_of(3)
    announced: list[tuple[float, int]] = []

    async def main() -> None:
        watch = watch_of(cloud, *names)
        watch.failures_found = lambda: announced.append((asyncio.get_running_loop().time(), numbers(watch)[1]))
        async with polled(watch):
            await until(100.0)
            cloud.start(names[0], "new", "InitFail")
            await until(200.0)

    run_virtually(main())
    assert [failures for _, failures in announced] == [1]
    assert announced[0][0] < 100 + SOON


@pytest.mark.parametrize("moment", [130.0, 131.5, 133.0, 134.9, 179.0])
@pytest.mark.parametrize("users", [20, 400])
def test_a_failure_is_published_within_seconds_with_its_start_and_its_peers(users: int, moment: float) -> None:
    cloud, names = cloud_of(users)

    async def main() -> list[tuple[float, int, int]]:
        watch = watch_of(cloud, *names)
        async with polled(watch):
            await until(moment)
            for number, name in enumerate(names[:10]):
                cloud.start(name, f"new-{name}", "InitFail" if number == 3 else "Active")
            return await sampled(watch, 260.0)

    seen = run_virtually(main())
    assert {starts for _, starts, failures in seen if failures} == {10}
    assert min(time for time, _, failures in seen if failures) < moment + SOON
    assert seen[-1][1:] == (10, 1)


def test_failures_that_continue_are_published_with_their_starts() -> None:
    """Each second a session starts, and each third one fails."""
    cloud, names = cloud_of(30)

    async def main() -> None:
        watch = watch_of(cloud, *names)
        async with polled(watch):
            await until(130.0)
            for number in range(120):
                cloud.start(names[number % 30], f"new-{number}", "Active" if number % 3 else "InitFail")
                await asyncio.sleep(1.0)
                starts, failures = numbers(watch)
                assert 3 * failures - 3 <= starts <= number + 1
            await asyncio.sleep(70)
            assert numbers(watch) == (120, 40)

    run_virtually(main())


def timeout(scan: str) -> CloudError | None:
    return Unreachable(LIST_SESSIONS, "timeout") if scan == "failures" else None


def broken(scan: str) -> CloudError | None:
    return refused(LIST_SESSIONS, 500) if scan == "failures" else None


def throttled(scan: str) -> CloudError | None:
    return refused(LIST_SESSIONS, 429) if scan == "failures" else None


@pytest.mark.promise(Promise.LANES)
@pytest.mark.parametrize("fault", [timeout, broken, throttled, None, "nothing"])
def test_nothing_depends_on_the_failures_scan_alone(fault: Callable[[str], CloudError | None] | str | None) -> None:
    """It fails, hangs, is throttled, is off, or lists nothing: the same is counted within an interval."""
    cloud, names = cloud_of(20)
    if callable(fault):
        cloud.spoil = fault
    if fault == "nothing":
        cloud.order = lambda listed: [] if all(e.session.session_state == "InitFail" for e in listed) else listed

    async def main() -> list[tuple[float, int, int]]:
        watch = watch_of(cloud, *names, failures_interval=5.0 if fault else 0.0)
        async with polled(watch):
            await until(130.0)
            for number, name in enumerate(names[:10]):
                cloud.start(name, f"new-{name}", "Active" if number % 3 else "InitFail")
            cloud.start(names[0], "short", "InitFail", over=True)
            return await sampled(watch, 130 + 75)

    seen = run_virtually(main())
    assert all(starts >= failures for _, starts, failures in seen)
    assert seen[-1][1:] == (11, 5)
    if fault is None:
        assert not cloud.times_of("failures")


COUNTS: dict[str, Callable[[int], int | None]] = {
    "none": lambda _: None,
    "nothing": lambda _: 0,
    "too few": lambda found: found // 2,
    "one too few": lambda found: found - 1,
    "one too many": lambda found: found + 1,
    "too many": lambda found: 10 * found + 1,
    "the page's": lambda found: min(found, 100),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("shuffled", [False, True], ids=["in order", "in any order"])
@pytest.mark.parametrize("count", COUNTS.values(), ids=COUNTS)
def test_neither_count_nor_order_of_a_listing_matters(count: Callable[[int], int | None], *, shuffled: bool) -> None:
    cloud, names = cloud_of(20, count=count)
    if shuffled:
        cloud.order = lambda listed: sorted(listed, key=lambda each: random.Random(each.session.id).random())  # noqa: S311 - no secret

    async def main() -> tuple[int, int]:
        watch = watch_of(cloud, *names)
        async with polled(watch):
            await until(130.0)
            for number in range(250):
                state = "Active" if number % 50 else "InitFail"
                cloud.start(names[number % 20], f"new-{number}", state, over=True)
            await until(130 + SOON)
            soon = numbers(watch)
            await until(260)
            assert numbers(watch) == soon
            return soon

    assert run_virtually(main()) == (250, 5)


@pytest.mark.bad_input
def test_sessions_that_move_while_they_are_read_are_counted_once() -> None:
    """A new one comes in before all others with each page, and one disappears."""
    cloud, names = cloud_of(20)
    cloud.order = lambda listed: sorted(listed, key=lambda each: -(each.started or 0.0))
    new = 250

    def move(scan: str) -> None:
        nonlocal new
        if scan == "starts" and 130 < asyncio.get_running_loop().time() < 250:
            cloud.start(names[0], f"new-{new}", over=True)
            cloud.over[names[1]] = cloud.over[names[1]][1:]
            new += 1

    cloud.after_page = move

    async def main() -> tuple[int, int]:
        watch = watch_of(cloud, *names)
        async with polled(watch):
            await until(130.0)
            for number in range(250):
                cloud.start(names[number % 20], f"new-{number}", over=True)
            await until(400)
            return numbers(watch)

    assert run_virtually(main()) == (new, 0)
    assert new > 253


def test_more_than_a_page_of_failures_is_counted_at_no_more_than_a_third_of_the_pace() -> None:
    cloud, names = cloud_of(30)

    async def main() -> None:
        watch = watch_of(cloud, *names)
        async with polled(watch):
            await until(130.0)
            for number in range(400):
                cloud.start(names[number % 30], f"first-{number}", "InitFail", over=True)
            await until(150.0)
            assert numbers(watch) == (400, 400)
            for number in range(5):
                cloud.start(names[number], f"then-{number}", "InitFail", over=True)
            await until(170.0)
            assert numbers(watch) == (405, 405)
            await until(20 * 60.0)
            assert numbers(watch) == (405, 405)

    run_virtually(main())
    assert most_in_a_minute([cloud], "failures") <= 60
    assert max(_gaps(cloud.times_of("failures"))) < 60


def _gaps(times: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]


def most_in_a_minute(clouds: Sequence[Cloud], *scans: str, since: float = 120.0) -> int:
    """The most pages of these scans within any minute."""
    times = (time for cloud in clouds for time, scan in cloud.scans if time >= since and scan in scans)
    return busiest(times, 60 - 1e-6)


@pytest.mark.promise(Promise.PACED)
@pytest.mark.parametrize(("projects", "interval"), [(1, 5.0), (10, 10.0), (40, 40.0)])
def test_failures_scans_of_all_projects_use_at_most_a_third_of_the_pace_that_they_share(
    projects: int, interval: float
) -> None:
    clouds = [cloud_of(3) for _ in range(projects)]
    pace: dict[str, Pace] = {}

    async def main() -> None:
        watches = [watch_of(cloud, *names) for cloud, names in clouds]
        for watch, (cloud, _) in zip(watches, clouds, strict=True):
            watch.poller.apply(cloud, watch.spec.poll, watch.poller.access, lambda name: pace.setdefault(name, Pace()))
        async with polled(*watches):
            await until(120.0)
            for number in range(60):
                for cloud, names in clouds:
                    cloud.start(names[0], f"new-{number}", "InitFail" if number % 2 else "Active", over=True)
                await asyncio.sleep(5.0)
            await asyncio.sleep(120)
            assert {numbers(watch) for watch in watches} == {(60, 30)}

    run_virtually(main())
    every = [cloud for cloud, _ in clouds]
    starts = projects * 5  # the starts scans of five minutes, which wait like others
    pages = [scan for cloud in every for time, scan in cloud.scans if 120 <= time < 420]
    assert pages.count("failures") <= 5 * 60 + 2 * projects
    assert len(pages) <= 5 * 120 + starts + 2 * projects, "with the starts that they catch up on, two thirds"
    assert most_in_a_minute(every, "failures", "starts") <= 180
    quiet = [gap for cloud in every for gap in _gaps([time for time in cloud.times_of("failures") if time > 460])]
    assert all(gap == pytest.approx(interval, rel=0.25) for gap in quiet)


def test_failures_scans_go_ahead_of_a_long_live_scan() -> None:
    """The live scan takes 56 pages, which is most of a minute at 60 requests per minute."""
    cloud, names = cloud_of(500)

    async def main() -> list[tuple[float, int, int]]:
        for number in range(5000):
            cloud.start(names[number % 500], f"old-{number}")
            cloud.started[f"old-{number}"] -= 2 * HOUR
        watch = watch_of(cloud, *names, rate_limit=60.0, source="bulk")
        async with polled(watch):
            await until(200.0)
            assert status(watch).operations[LIST_SESSIONS].cycles.current
            cloud.start(names[0], "new", "InitFail")
            return await sampled(watch, 200 + SOON + 3)

    seen = run_virtually(main())
    assert seen[-1][2] == 1
    assert {starts for _, starts, failures in seen if failures} == {seen[-1][1]}


@pytest.mark.promise(Promise.SLOWED)
def test_429_slows_scans_down_and_loses_nothing() -> None:
    cloud, names = cloud_of(20)
    cloud.spoil = lambda scan: (
        refused(LIST_SESSIONS, 429) if 100 < asyncio.get_running_loop().time() < 400 and scan else None
    )

    async def main() -> tuple[int, int]:
        watch = watch_of(cloud, *names)
        async with polled(watch):
            await until(150.0)
            for number, name in enumerate(names):
                short = number % 4 > 0
                cloud.start(name, f"new-{name}", "SignedOut" if short else "InitFail", over=short)
            await until(600.0)
            return numbers(watch)

    assert run_virtually(main()) == (20, 5)
    assert sum(120 < time < 400 for time, _ in cloud.scans) < 60


@pytest.mark.promise(Promise.FORBIDDEN, Promise.NAMED)
@pytest.mark.parametrize("code", [403, 404])
def test_an_optional_operation_that_is_not_permitted_is_tried_once_an_hour_and_logged_once(code: int) -> None:
    cloud, names = cloud_of(5)
    optional = (LIST_SESSIONS, LIST_SERVERS, LIST_SERVER_GROUPS)

    def fault(operation: str, _who: str) -> None:
        if operation in optional:
            raise refused(operation, code)

    cloud.fault = fault
    with capture_logs() as logged:
        (end,) = run_virtually(_after(cloud, names, 3 * HOUR + 100))
    for operation in optional:
        assert len(cloud.times(operation)) == 4
        assert sum(line["event"] == "requests_failing" and line["operation"] == operation for line in logged) == 1
        assert operation not in end.operations
    assert (end.short_sessions_counted, end.servers) == (False, None)


async def _after(cloud: Cloud, names: list[str], *times: float) -> list[ProjectStatus]:
    watch = watch_of(cloud, *names)
    seen = []
    async with polled(watch):
        for time in times:
            await until(time)
            seen.append(status(watch))
    return seen


def test_a_reload_with_other_credentials_tries_what_was_not_permitted_at_once() -> None:
    poor, names = cloud_of(5, counting=False)
    rich, _ = cloud_of(5)

    async def main() -> None:
        watch = watch_of(poor, *names)
        async with polled(watch):
            await until(300.0)
            assert not status(watch).short_sessions_counted
            await reload(watch, poor, *names)
            await until(310.0)
            before = len(poor.scans)
            await reload(watch, rich, *names)
            await until(320.0)
            assert len(poor.scans) == before
            now = status(watch)
            assert now.short_sessions_counted
            assert {LIST_SESSIONS, LIST_SERVERS, LIST_SERVER_GROUPS} <= now.operations.keys()

    run_virtually(main())


@pytest.mark.parametrize("minutes", [5, 40, 90])
def test_a_starts_scan_that_fails_catches_up_on_at_most_an_hour_without_counting_twice(minutes: int) -> None:
    cloud, names = cloud_of(20)
    begin, end = 200.0, 200.0 + minutes * 60
    cloud.spoil = lambda _: refused(LIST_SESSIONS, 500) if begin < asyncio.get_running_loop().time() < end else None

    async def main() -> tuple[int, int]:
        watch = watch_of(cloud, *names)
        async with polled(watch):
            await until(begin - 10)
            cloud.start(names[0], "before")
            for minute in range(minutes):
                await until(begin + 60 * minute + 30)
                short = minute % 2 == 1
                cloud.start(names[minute % 20], f"at-{minute}", "SignedOut" if short else "InitFail", over=short)
            await until(end + 150)
            cloud.start(names[0], "after")
            await until(end + 300)
            return numbers(watch)

    starts, failures = run_virtually(main())
    if minutes < 60:
        assert (starts, failures) == (minutes + 2, -(-minutes // 2))
    else:
        assert failures == minutes // 2, "users' own queries find them"
        assert starts - failures == pytest.approx(60 // 2 + 2, abs=2)


def test_users_queries_that_find_failures_which_the_scan_does_not_list_are_reported_once() -> None:
    cloud, names = cloud_of(20)
    cloud.order = lambda listed: [each for each in listed if each.session.session_state != "InitFail"]

    async def main() -> list[bool]:
        seen = []
        cloud.start(names[0], "known")  # tells the zone
        watch = watch_of(cloud, *names)
        async with polled(watch):
            await until(130.0)
            for name in names:
                seen.append(status(watch).failures_scan_incomplete)
                cloud.start(name, f"new-{name}", "InitFail")
                await asyncio.sleep(20)
            seen.append(status(watch).failures_scan_incomplete)
            cloud.order = lambda listed: listed
            for name in names:
                cloud.start(name, f"later-{name}", "InitFail")
                await asyncio.sleep(20)
            assert numbers(watch)[1] == 40
        return seen

    with capture_logs() as logged:
        seen = run_virtually(main())
    assert (seen[0], seen[-1], sorted(seen) == seen) == (False, True, True)
    assert sum(line["event"] == "failures_scan_incomplete" for line in logged) == 1


def test_sessions_that_begin_and_end_between_two_polls_are_counted() -> None:
    cloud, names = cloud_of(5)

    async def main() -> tuple[int, int]:
        watch = watch_of(cloud, *names)
        async with polled(watch):
            await until(130.0)
            for number in range(60):
                cloud.start(names[number % 5], f"short-{number}", "SignedOut", over=True)
                await asyncio.sleep(7)
            await asyncio.sleep(70)
            return numbers(watch)

    assert run_virtually(main()) == (60, 0)


@pytest.mark.parametrize("zone", [0.0, 8 * HOUR, -5 * HOUR], ids=["UTC", "+8 h", "-5 h"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("ahead", [-600.0, 0.0, 600.0])
def test_neither_the_clock_nor_the_zone_of_the_cloud_matters(ahead: float, zone: float, *, known: bool) -> None:
    cloud, names = cloud_of(20, ahead=ahead, zone=zone, clock_skew=ahead if known else None)

    async def main() -> list[tuple[float, int, int]]:
        for name in names:
            cloud.start(name, f"old-{name}")
            cloud.started[f"old-{name}"] -= HOUR
        watch = watch_of(cloud, *names)
        async with polled(watch):
            await until(730.0)
            for number, name in enumerate(names[:10]):
                cloud.start(name, f"new-{name}", "InitFail" if number == 3 else "Active")
            cloud.start(names[11], "short", "SignedOut", over=True)
            return await sampled(watch, 860.0)

    seen = run_virtually(main())
    # Times of a clock that is behind, nobody knows how far, look as if the user's own query had denied the session.
    limit = SOON if known or ahead >= 0 else 60.0 + SOON
    assert min(time for time, _, failures in seen if failures) < 730 + limit
    assert seen[-1][1:] == (11, 1)


SERVERS = (
    Server("s1", "g1", "Group 1", "REGISTERED", 3, 10),
    Server("s2", "g1", "Group 1", "UNREGISTER", 0, 10),
)


@pytest.mark.promise(Promise.STALE)
@pytest.mark.parametrize("code", [403, 500])
def test_servers_are_known_until_their_listing_is_stale(code: int) -> None:
    cloud, names = cloud_of(5, servers=SERVERS, server_groups=(ServerGroup("g1", "Group 1"), ServerGroup("g2", "Two")))

    def fault(operation: str, _who: str) -> None:
        if operation == LIST_SERVERS and asyncio.get_running_loop().time() > 700:
            raise refused(operation, code)

    cloud.fault = fault
    known, still, stale = run_virtually(_after(cloud, names, 650, 600 + 880, 600 + 920))
    assert known.servers
    assert known.servers == still.servers
    registered = Counter(known.servers.servers)
    assert (registered["g1", "REGISTERED"], registered["g1", "UNREGISTER"], registered["g2", "REGISTERED"]) == (1, 1, 0)
    assert (known.servers.sessions["g1"], known.servers.capacity["g1"]) == (3, 10)
    assert known.group_names == {"g1": "Group 1", "g2": "Two"}
    assert stale.servers is None
