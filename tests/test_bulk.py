"""Scans besides the queries for each user: the same numbers, sooner, with a fraction of the requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from support.fake_cloud import cloud_of, refused
from support.promises import Promise
from support.simulated_cloud import SimulatedCloud
from support.spans import busiest
from support.virtual_time import EPOCH, run_virtually, wall_clock
from support.watches import after, by_state, polled, status, statuses, watch_of

from exporter import config
from exporter.cloud.errors import Unreachable
from exporter.cloud.models import Session, UserDetail
from exporter.metrics.exposition import PREFIX, TEXT, Exposition
from exporter.metrics.families import render, user_lines
from exporter.metrics.labels import Labelling
from exporter.polling import loop
from exporter.simulator import Script, Simulator, SimulatorOptions
from exporter.status import ProcessStatus

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence

    from exporter.cloud.models import SessionPage, UserPage
    from exporter.status import ProjectStatus

Poll = dict[str, float]

HOUR = 3600.0
SESSIONS, SWEEP = "ListSessionByUserName", "ListSessions"
DETAIL, LISTING = "ListUserDetail", "ListUsers"
OWN = ("poll_", "api_", "exporter_", "credentials_", "clock_", "label_")
"""Metrics on the polling itself, which differs."""
TIMED = ("account_locks_total",)
"""What asks whether an hour has passed, and may differ where answers come seconds apart."""


def told(status: ProjectStatus, lagging: Sequence[str]) -> dict[str, str]:
    """Return every sample about the cloud, except sessions in such states: name and labels with the value."""
    exposition = Exposition(CollectorRegistry())
    process = ProcessStatus("1", "2", "3", loaded_at=0.0)
    exposition.publish(render([status], Labelling.of(config.Metrics()), process, user_lines()))
    samples = dict(
        line.removeprefix(PREFIX).rsplit(" ", 1)
        for line in exposition.get(TEXT).body.decode().splitlines()
        if not line.startswith("#")
    )
    others = (*OWN, *TIMED)
    return {
        name: value
        for name, value in samples.items()
        if not name.startswith(others) and not any(f'session_state="{state}"' in name for state in lagging)
    }


async def compare(seed: int, users: int, script: Script | None, per_user: Poll, bulk: Poll, *lagging: str) -> None:
    """The simulated day advances every half hour. Then both have time to poll, and every sample is the same.

    Sessions in states that are ``lagging`` are not compared. Failures scans are off: they only make it faster.
    """
    step = HOUR / 2

    def stepwise() -> float:
        return wall_clock() // step * step

    simulator = Simulator(SimulatorOptions(seed=seed, users=users, quota=0, incident=script), clock=stepwise)
    names = [*simulator.population.names(), "nobody"]
    watches = [
        watch_of(SimulatedCloud(simulator), *names, source="per_user", failures_interval=0.0, **per_user),
        watch_of(SimulatedCloud(simulator), *names, source="bulk", failures_interval=0.0, **bulk),
    ]
    times = [step * n - 1 for n in range(1, 48)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_RECHECK", 60.0)  # idle loops that wake every few seconds take most of the time
        seen = await asyncio.gather(*(statuses(watch, *times) for watch in watches))
    for number, (one, other) in enumerate(zip(*seen, strict=True)):
        expected = told(one, lagging)
        assert told(other, lagging) == expected, number
        assert len(expected) > 2 * users
        assert other.source.name == "bulk"


days = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # a day is long, and does not get clearer by shrinking
    suppress_health_check=[HealthCheck.too_slow],
)
incidents = st.sampled_from([None, Script(at=2 * HOUR, duration=HOUR)])


@pytest.mark.timeout(400)
@days
@given(st.integers(0, 1000), incidents)
def test_scans_alone_show_the_same_over_a_day(seed: int, script: Script | None) -> None:
    """Each user is queried every half hour at most. So all news comes from scans, or from queries ahead of others.

    Scans do not list sessions at SignedOut. Only the user's next query shows that one has gone.
    """
    per_user: Poll = {"interval": 1500.0, "user_interval": 1500.0, "rate_limit": 600.0}
    bulk: Poll = {"interval": 300.0, "user_interval": 600.0, "rate_limit": 5.0}
    run_virtually(compare(seed, 150, script, per_user, bulk, "SignedOut"))


@pytest.mark.timeout(400)
@days
@given(st.integers(0, 1000), st.sampled_from([1, 3]), incidents)
def test_bulk_shows_the_same_where_sessions_are_older_than_the_look_back_window(
    seed: int, lookback: int, script: Script | None
) -> None:
    per_user: Poll = {"interval": 1500.0, "user_interval": 1500.0, "rate_limit": 60.0}
    bulk: Poll = {"interval": 300.0, "user_interval": 600.0, "rate_limit": 60.0, "bulk_lookback": lookback * HOUR}
    run_virtually(compare(seed, 30, script, per_user, bulk))


def events(logged: Sequence[Mapping[str, Any]], event: str) -> list[tuple[object, object]]:
    return [(line["source"], line["reason"]) for line in logged if line["event"] == event]


def test_users_that_fit_the_interval_are_queried_one_by_one_and_nothing_is_scanned() -> None:
    cloud, names = cloud_of(180)
    with capture_logs() as logged:
        (status,) = after(cloud, names, 300)
    assert status.source.name == "per_user"
    assert status.operations.keys() == {SESSIONS, DETAIL}
    assert len(cloud.times(SWEEP)) == 1, "whether starts may be scanned"
    assert events(logged, "source_chosen") == [("per_user", "180 requests per interval, 180 allowed")]


def test_one_user_more_than_fits_the_interval_is_scanned_with_all_others() -> None:
    cloud, names = cloud_of(181)
    with capture_logs() as logged:
        (status,) = after(cloud, names, 300)
    assert status.source.name == "bulk"
    assert status.operations.keys() == {SESSIONS, SWEEP, LISTING}
    assert not cloud.times(DETAIL)
    assert {name: operation.fresh for name, operation in status.operations.items()} == {
        SESSIONS: 181,
        SWEEP: 181,
        LISTING: 181,
    }
    assert events(logged, "source_chosen") == [("bulk", "181 requests per interval, 180 allowed")]


def test_of_many_users_everybody_is_known_within_seconds_and_every_change_within_an_interval() -> None:
    cloud, names = cloud_of(2000)
    watch = watch_of(cloud, *names)

    async def main() -> list[Counter[str]]:
        seen = []
        async with polled(watch):
            for _ in range(3):
                await asyncio.sleep(70)
                seen.append(by_state(status(watch)))
                for name in names:
                    state = "InitFail" if name.endswith("7") else "Disconnected"
                    cloud.sessions[name] = (Session.of(id=f"of-{name}", session_state=state),)
        assert watch.fleet.attempts.failures.total == 200
        return seen

    first, *later = run_virtually(main())
    assert first == {"Active": 2000}
    assert later == [{"Disconnected": 1800, "InitFail": 200}] * 2


def test_no_operation_is_called_more_often_than_its_rate_and_scans_leave_the_other_queries_alone() -> None:
    cloud, names = cloud_of(2000)
    after(cloud, names, 1800)
    for operation in (SESSIONS, SWEEP, LISTING):
        times = cloud.times(operation)
        assert busiest(times, 60 - 1e-6) <= 180, operation
    assert len(cloud.times(SESSIONS)) >= 0.95 * 180 * 30
    assert len(cloud.times(SWEEP)) <= 30 * (2000 / 90 + 1)


@pytest.mark.promise(Promise.FORBIDDEN)
def test_where_scans_are_not_allowed_it_continues_user_by_user_and_says_so_until_they_are() -> None:
    cloud, names = cloud_of(400)

    def not_allowed(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        if operation == SWEEP and asyncio.get_running_loop().time() < 600:
            raise refused(operation, 403)

    cloud.fault = not_allowed
    with capture_logs() as logged:
        early, late = after(cloud, names, 400, 700)
    assert (early.source.name, late.source.name) == ("per_user", "bulk")
    assert (early.ready, early.up) == (True, True)
    assert (early.counts.queried, early.counts.scanned, late.counts.scanned) == (400, 0, 400)
    assert by_state(early) == by_state(late) == {"Active": 400}
    assert [source for source, _ in events(logged, "source_chosen")] == ["bulk", "per_user", "bulk"]
    assert events(logged, "source_chosen")[1][1] == "ListSessions fails (403)"
    failing = [line for line in logged if line["event"] == "requests_failing" and line["operation"] == SWEEP]
    assert [line.get("scan") for line in failing] == [None, "starts"]
    assert {line["missing_iam_action"] for line in failing} == {"workspace:session:listSessions"}


def test_where_the_list_of_all_users_is_not_to_be_had_accounts_are_queried_one_by_one_until_it_is() -> None:
    cloud, names = cloud_of(400)
    cloud.details["id-of-user0007"] = UserDetail(locked=True)

    def not_allowed(operation: str, who: str) -> None:
        listing = operation == LISTING and who.startswith("from")
        if listing and asyncio.get_running_loop().time() < 600:
            raise refused(operation, 403)

    cloud.fault = not_allowed
    early, late = after(cloud, names, 400, 1000)
    assert early.operations.keys() == {SESSIONS, SWEEP, LISTING, DETAIL}
    assert late.operations.keys() == {SESSIONS, SWEEP, LISTING}
    assert (early.counts.accounts, early.counts.locked) == (late.counts.accounts, late.counts.locked) == (400, 1)
    assert cloud.times(DETAIL)[-1] < 1000


def test_users_are_not_scanned_for_among_so_many_others_that_queries_for_each_take_fewer_calls() -> None:
    cloud, names = cloud_of(40_000)
    with capture_logs() as logged:
        (status,) = after(cloud, names[:200], 400)
    assert status.source == ("per_user", "200 requests for all users, 445 for a scan of all sessions")
    assert by_state(status) == {"Active": 200}
    assert len(cloud.times(SWEEP)) <= 8, "a page an interval, to see whether it has become worth it"
    assert [source for source, _ in events(logged, "source_chosen")] == ["bulk", "per_user"]


def test_sessions_older_than_the_look_back_window_are_queried_one_by_one() -> None:
    cloud, names = cloud_of(400)
    cloud.started = {f"of-{name}": 0.0 for name in names[:100]}
    early, late = after(cloud, names, 20, 200)
    assert by_state(early)["Active"] in range(300, 380)
    assert by_state(late) == {"Active": 400}


def test_a_session_that_grows_too_old_for_scans_counts_on() -> None:
    cloud, names = cloud_of(400)
    cloud.started = {f"of-{name}": EPOCH - HOUR + 900 + n for n, name in enumerate(names)}
    seen = after(cloud, names, *range(300, 3000, 20), bulk_lookback=HOUR)
    assert {by_state(status)["Active"] for status in seen} == {400}


@pytest.mark.bad_input
def test_a_scan_whose_pages_do_not_fit_together_ends_nothing_and_is_reported() -> None:
    cloud, names = cloud_of(400)
    whole = cloud.list_sessions

    async def torn(begin: float, end: float, session_states: Sequence[str], offset: int) -> SessionPage:
        page = await whole(begin, end, session_states, offset)
        late = asyncio.get_running_loop().time() > 100
        return page._replace(sessions=page.sessions[:50], total=1000) if late else page

    cloud.list_sessions = torn  # type: ignore[method-assign] # a cloud that pages oddly
    (status,) = after(cloud, names, 200)
    assert by_state(status) == {"Active": 400}
    assert status.source.name == "per_user"
    (failure,) = status.operations[SWEEP].failures
    assert failure.error.outcome == "invalid_response"


def test_smaller_pages_are_requested_if_the_cloud_allows_no_larger_ones() -> None:
    cloud, names = cloud_of(400)
    whole = cloud.list_users

    async def picky(
        user_names: Sequence[str], offset: int, limit: int = 100, filters: Sequence[tuple[str, str]] = ()
    ) -> UserPage:
        page = await whole(user_names, offset, limit, filters)
        if limit > 100:
            raise refused(LISTING, 400)
        return page

    cloud.list_users = picky  # type: ignore[method-assign] # a cloud with a most
    (status,) = after(cloud, names, 60)
    assert status.counts.accounts == 400
    assert len(cloud.times(LISTING)) == 1 + 5
    assert not cloud.times(DETAIL)


@pytest.mark.promise(Promise.PAUSED)
def test_rejected_credentials_pause_scans_as_well() -> None:
    cloud, names = cloud_of(400)

    def wrong_key(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        raise refused(operation, 401)

    cloud.fault = wrong_key
    (status,) = after(cloud, names, 3600)
    assert not status.up
    assert status.paused
    assert [round(time / 60) for time, _, _ in cloud.calls] == [0, 1, 3, 7, 15, 30, 45]


@pytest.mark.promise(Promise.STALE)
def test_without_fresh_scans_only_queried_users_count_and_without_these_nobody() -> None:
    cloud, names = cloud_of(400)

    def away(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        if asyncio.get_running_loop().time() > 65:
            raise Unreachable(operation, "timeout")

    cloud.fault = away
    soon, later, last = after(cloud, names, 70, 300, 1000)
    assert by_state(soon) == {"Active": 400}
    assert later.counts.scanned == 0
    assert by_state(later) == {"Active": later.counts.queried}
    assert 100 < later.counts.queried < 300
    assert (last.counts.queried, by_state(last), last.up, last.sessions_known) == (0, {}, False, False)


def test_a_cloud_that_is_gone_is_seen_within_three_intervals_though_rounds_take_long() -> None:
    cloud, names = cloud_of(4000)

    def away(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        if asyncio.get_running_loop().time() > 600:
            raise Unreachable(operation, "timeout")

    cloud.fault = away
    before, soon, later = after(cloud, names, 590, 640, 800)
    assert (before.up, soon.up, later.up) == (True, True, False)


def test_it_is_up_where_only_scans_are_rejected() -> None:
    cloud, names = cloud_of(4000)

    def not_allowed(operation: str, who: str) -> None:  # noqa: ARG001 - whoever it is about
        if operation == SWEEP:
            raise refused(operation, 403)

    cloud.fault = not_allowed
    assert [status.up for status in after(cloud, names, 30, 700)] == [True, True]
