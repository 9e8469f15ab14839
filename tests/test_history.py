"""The last hour of a project, and its last five minutes."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from support.fake_cloud import refused
from support.fleets import answered, fleet_of, run
from support.virtual_time import run_virtually, until
from support.watches import polled, reload, status, watch_of
from test_scans import Cloud

from exporter.cloud.models import Session
from exporter.fleet import MINUTES, WINDOW, Attempts, History, Recent, is_spike

if TYPE_CHECKING:
    from exporter.status import ProjectStatus

MINUTE, HOUR = 60.0, 3600.0
UNKNOWN = (None, None, None, None)


class Project:
    """A project that is observed at these times, once a second by default."""

    def __init__(self) -> None:
        self.history = History()
        self.attempts = Attempts()
        self.failed: list[tuple[float, str]] = []

    def start(self, count: int = 1, *, failed: bool = False, group: str | None = None) -> None:
        self.attempts = self.attempts.copy()
        for _ in range(count):
            session = Session.of(app_server_group_id=group)
            self.attempts.starts.add(session)
            if failed:
                self.attempts.failures.add(session)

    def observe(
        self,
        at: float,
        *,
        failing_users: int = 0,
        active: int | None = 5,
        up: bool = True,
        age: float | None = 6.0,
    ) -> Recent:
        sessions = None if active is None else {"Active": active, "Hibernating": 2}
        return self.history.observe(
            at, self.attempts, users=100, failing_users=failing_users, sessions=sessions, up=up, age=age
        )


def test_starts_and_failures_count_for_five_minutes() -> None:
    project = Project()
    project.observe(0)
    project.start(4)
    project.start(2, failed=True, group="a")
    project.start(1, failed=True, group="b")
    recent = project.observe(5)
    assert (recent.starts, recent.failures, recent.failures_by_group) == (7, 3, {"a": 2, "b": 1})
    project.start(1)
    assert project.observe(5 + WINDOW).starts == 8
    recent = project.observe(20 + WINDOW)
    assert (recent.starts, recent.failures, recent.failures_by_group) == (1, 0, {})


def test_a_failure_whose_start_was_counted_before_is_a_failure_only() -> None:
    project = Project()
    project.start()
    project.observe(0)
    project.attempts = project.attempts.copy()
    project.attempts.failures.add(Session.of(app_server_group_id="a"))
    recent = project.observe(600)
    assert (recent.starts, recent.failures, recent.failures_by_group) == (0, 1, {"a": 1})


def test_each_minute_has_one_point_with_what_happened_in_it() -> None:
    project, recent = Project(), Recent()
    for second in range(0, 130, 10):
        project.start(2)
        if second == 70:
            project.start(1, failed=True)
        recent = project.observe(second, active=second, age=float(100 - second))
    points = [(each.minute, each.starts, each.failures, each.age) for each in recent.points]
    assert points == [(0, 12, 0, 100.0), (1, 13, 1, 40.0), (2, 2, 0, -20.0)]
    assert [each.sessions for each in recent.points] == [
        (50, 0, 0, 0, 0, 2),
        (110, 0, 0, 0, 0, 2),
        (120, 0, 0, 0, 0, 2),
    ]


def test_what_is_unknown_is_none_and_not_zero() -> None:
    project = Project()
    (first,) = project.observe(0, active=None, up=False, age=None).points
    assert (first.sessions, first.starts, first.failures, first.age) == UNKNOWN
    *_, second = project.observe(60, age=3.0).points
    assert (second.sessions, second.starts, second.failures, second.age) == ((5, 0, 0, 0, 0, 2), 0, 0, 3.0)


def test_a_minute_without_an_observation_has_no_point() -> None:
    project = Project()
    project.observe(0)
    assert [point.minute for point in project.observe(300).points] == [0, 5]


def test_a_point_is_forgotten_after_an_hour_even_without_others() -> None:
    project = Project()
    project.observe(0)
    assert [point.minute for point in project.observe(HOUR).points] == [60]


def test_memory_is_bounded() -> None:
    project, recent = Project(), Recent()
    for second in range(2 * int(HOUR)):
        if second % 3 == 0:
            project.start(failed=True, group=f"g{second}")
        recent = project.observe(second)
    assert len(recent.points) == MINUTES
    assert len(recent.failures_by_group) <= WINDOW / 3 + 10


def test_an_incident_lasts_from_its_first_observation_to_its_last() -> None:
    project = Project()
    assert project.observe(0, failing_users=4).spike_for == 0  # their failures are not counted yet
    project.start(5, failed=True)
    project.start(5)
    assert project.observe(30, failing_users=5).spike_for == 30
    assert project.observe(90, failing_users=2).spike_for is None
    assert project.observe(100, failing_users=5).spike_for == 0
    project.start(100)
    assert project.observe(101, failing_users=5).spike_for is None


@pytest.mark.parametrize("seed", range(5))
def test_an_incident_in_the_exact_window_is_never_without_failures(seed: int) -> None:
    """The window may be up to ten seconds longer, so that other starts dilute the share, but it never forgets."""
    chance, project = random.Random(seed), Project()  # noqa: S311 - repeatable, not secret
    events: list[tuple[int, bool]] = []
    for second in range(0, 1200, 7):
        if chance.random() < 0.2:
            failed = chance.random() < 0.3
            project.start(failed=failed)
            events.append((second, failed))
        exact = [failed for at, failed in events if at > second - WINDOW]
        users = sum(exact)
        recent = project.observe(second, failing_users=users)
        if is_spike(users=100, failing_users=users, failures=users, starts=len(exact)):
            assert recent.failures >= users > 0


def test_users_with_several_failed_starts_count_once() -> None:
    fleet = fleet_of("a", "b", "c")
    for member in fleet.members:
        answered(fleet, member, (), at=0)
    for at, number, failed in ((10, 0, "1"), (20, 1, "2"), (30, 0, "3")):
        answered(fleet, fleet.members[number], [Session.of(failed, "InitFail")], at=at)
    assert fleet.failing_users(since=10) == 2
    assert fleet.failing_users(since=20) == 2
    assert fleet.failing_users(since=21) == 1, "the one who failed twice"
    assert fleet.failing_users(since=31) == 0


def test_a_user_who_leaves_after_a_failed_start_still_counts() -> None:
    fleet = fleet_of("a")
    answered(fleet, fleet.members[0], (), at=0)
    answered(fleet, fleet.members[0], [Session.of("1", "InitFail")], at=10)
    run(fleet.update(()))
    assert fleet.failing_users(since=5) == 1
    assert fleet.failing_users(since=11) == 0


NAMES = [f"u{number}" for number in range(10)]


def test_a_running_project_reports_an_incident_and_a_reload_keeps_it() -> None:
    """Nobody opens the page meanwhile."""
    cloud = Cloud(sessions=dict.fromkeys(NAMES, ()))
    watch = watch_of(cloud, *NAMES)

    async def main() -> list[ProjectStatus]:
        seen = []
        async with polled(watch):
            for second in range(300, 600):
                await until(second)
                if second == 400:
                    for name in NAMES[:4]:
                        cloud.start(name, f"{name}-1", "InitFail")
                    cloud.start(NAMES[5], "u5-1")
                if second == 500:
                    await reload(watch, cloud, *NAMES)
                seen.append(status(watch))
        return seen

    seen = run_virtually(main())
    before, after = seen[99], seen[-1]
    assert (before.recent.failures, before.recent.failing_users, before.recent.spike_for) == (0, 0, None)
    assert (after.recent.starts, after.recent.failures, after.recent.failing_users) == (5, 4, 4)
    assert after.recent.spike_for is not None
    assert 185 < after.recent.spike_for < 200
    assert [(point.starts, point.failures) for point in after.recent.points] == [(0, 0), (5, 4), *[(0, 0)] * 3]


def test_the_age_of_the_data_is_that_of_the_newest_complete_information() -> None:
    cloud = Cloud(sessions=dict.fromkeys(NAMES, ()))
    watch = watch_of(cloud, *NAMES, stale_after=3600)

    def fail(_operation: str, _who: str) -> None:
        if asyncio.get_running_loop().time() > 300:
            raise refused("ListSessions", 500)

    async def ages(*times: float) -> list[float | None]:
        found = []
        async with polled(watch):
            for time in times:
                await until(time)
                found.append(status(watch).data_age)
        return found

    cloud.fault = fail
    first, *working, down, still_down = run_virtually(ages(0, 200, 250, 300, 400, 500))
    assert first is None
    assert all(age is not None and age < 12 for age in working)
    assert down is not None
    assert 99 < down < 111
    assert still_down == pytest.approx(down + 100)


def test_data_is_as_old_as_the_beginning_of_its_polling_cycle() -> None:
    """Without scans, a cycle takes most of a minute, and what it read first is as old as that at its end."""
    watch = watch_of(Cloud(sessions=dict.fromkeys(NAMES, ()), counting=False), *NAMES)

    async def ages() -> list[float]:
        found = []
        async with polled(watch):
            for second in range(300, 420):
                await until(second)
                found.append(status(watch).data_age or 0.0)
        return found

    found = run_virtually(ages())
    assert min(found) > 50
    assert max(found) < 120
