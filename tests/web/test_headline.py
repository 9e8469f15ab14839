"""The headline of the page: its text, its order, and when it is red, yellow, grey or green."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pages import (
    DETAIL,
    DONE,
    NOW,
    SESSIONS,
    all_answered,
    failed_starts,
    failing,
    first_cycle,
    headings,
    headline,
    html_of,
    incident,
    points,
    shown,
    status,
)

from exporter.cloud.errors import refusal
from exporter.cloud.models import Session
from exporter.fleet import Attempts, Counts, History, Recent, is_spike
from exporter.polling.cycles import Cycle, Cycles, Failure
from exporter.status import DiscoveryStatus, OperationStatus, ProjectStatus

FIVE = ("a", "b", "c", "d", "e")
MANY = tuple(f"u{number}" for number in range(60))
REJECTED = refusal(SESSIONS, 401, "APIGW.0301", "r-1")
BROKEN = refusal(DETAIL, 500, "WKS.1", "r-1")
NO_ANSWER = Cycles(last=Cycle(2, NOW - 60, failed=Counter({"500": 2})), last_duration=1.0, last_ended=NOW - 50)


def paused(**changes: Any) -> ProjectStatus:
    return status(up=False, paused=True, operations=failing(REJECTED), counts=Counts(configured=2), **changes)


@pytest.mark.parametrize(
    ("project", "process", "expected"),
    [
        (
            incident(),
            {},
            (
                "Critical: Session starts are failing: 13 of 31 (41.9 %) in the last 5 minutes, 11 users, "
                "most in server group Finance & Co (registered servers: 0 of 5)"
            ),
        ),
        (
            status(recent=Recent(80, 1, 1, {"unknown": 1}, None, points(60))),
            {},
            "Attention: Some session starts failed: 1 of 80 (1.2 %) in the last 5 minutes, 1 user",
        ),
        (
            status(recent=Recent(0, 0, 4, {}, 0.0, points(60))),
            {},
            "Critical: Session starts are failing: 4 in the last 5 minutes, 4 users",
        ),
        (status(counts=Counts()), {}, "Attention: No user is watched"),
        (
            status(recent=Recent(3, points=points(1))),
            {},
            "Fine: 1 project, 2 users, 3 session starts in the last minute, none failed",
        ),
        (status(fleet=all_answered(*MANY, locked=1)), {}, "Attention: 1 account is locked"),
        (status(fleet=all_answered(*MANY, locked=12)), {}, "Critical: 12 accounts are locked"),
        (status(fleet=all_answered(*MANY, missing=2)), {}, "Attention: 2 users are unknown to the cloud"),
        (status(fleet=all_answered(*FIVE, missing=3)), {}, "Critical: 3 users are unknown to the cloud"),
        (
            status(up=False, operations={SESSIONS: OperationStatus(NO_ANSWER, 60.0, 2, 0)}),
            {},
            "Critical: The sessions are unknown: the cloud gives no usable answer",
        ),
        (
            status(counts=Counts(configured=5, queried=4, accounts=5)),
            {},
            "Attention: The sessions of 1 of 5 users are unknown",
        ),
        (
            status(counts=Counts(configured=5, queried=5, accounts=2)),
            {},
            "Attention: The accounts of 3 of 5 users are unknown",
        ),
        (
            status(),
            {"publish_failed_at": NOW - 60},
            "Critical: The exporter publishes no numbers because of a bug",
        ),
        (status(), {"reload_rejected_at": NOW - 60}, "Attention: The last reload of the configuration was rejected"),
        (status(), {"users_files_rejected": {"berlin": NOW - 60}}, "Attention: The users file was rejected"),
        (
            status(discovery=DiscoveryStatus(1, successful=False)),
            {},
            "Attention: Discovery of users failed",
        ),
        (status(credentials_expire_at=NOW + 1199), {}, "Attention: The credentials expire in 19 min 59 s"),
        (status(credentials_expire_at=NOW - 1), {}, "Attention: The credentials have expired"),
        (status(operations=failing(BROKEN)), {}, "Attention: ListUserDetail fails (500)"),
        (
            paused(),
            {},
            "Critical: The sessions are unknown: the cloud gives no usable answer; The credentials are rejected",
        ),
        (first_cycle(), {}, "Waiting: The first polling cycle is running"),
        (
            status(),
            {"users_files_rejected": {"another": NOW}},
            "Fine: 1 project, 2 users, no start in the last 5 minutes",
        ),
        (
            status(recent=Recent(31, points=points(60)), credentials_expire_at=NOW + 3600),
            {},
            "Fine: 1 project, 2 users, 31 session starts in the last 5 minutes, none failed",
        ),
    ],
)
def test_each_problem_has_its_line_and_its_level(
    project: ProjectStatus, process: dict[str, Any], expected: str
) -> None:
    assert headline(project, **process) == expected


def test_what_people_experience_comes_first_and_then_the_health_of_the_exporter() -> None:
    worst = incident(
        fleet=all_answered(*MANY, locked=1, missing=2),
        discovery=DiscoveryStatus(60, successful=False),
        credentials_expire_at=NOW + 60,
        operations=failing(BROKEN),
    )
    worst = replace(worst, counts=replace(worst.counts, queried=59))
    rejected = {"reload_rejected_at": NOW - 60, "users_files_rejected": {"berlin": NOW - 60}}
    level, _, lines = headline(worst, **rejected).partition(": ")
    starts = [line.split()[:3] for line in lines.split("; ")]
    assert level == "Critical"
    assert [" ".join(words) for words in starts] == [
        "Session starts are",
        "1 account is",
        "2 users are",
        "The sessions of",
        "The last reload",
        "The users file",
        "Discovery of users",
        "The credentials expire",
        "ListUserDetail fails (500)",
    ]


def test_the_problems_of_a_project_are_listed_in_the_same_order() -> None:
    """Whichever began first."""
    operations = {
        DETAIL: OperationStatus(DONE, 300.0, 2, 2, (Failure(BROKEN, NOW - 900),)),
        SESSIONS: OperationStatus(DONE, 60.0, 2, 2, (Failure(REJECTED, NOW - 60),)),
    }
    text = shown(status(operations=operations)).partition("What is wrong")[2]
    assert text.index("The credentials are rejected") < text.index("ListUserDetail fails (500)")


def test_of_several_projects_the_worst_is_named_for_each_problem() -> None:
    projects = [
        status("rome", fleet=all_answered(*MANY, locked=3)),
        status("oslo", fleet=all_answered(*MANY, locked=5, missing=1)),
        incident("munich"),
        status("bonn", fleet=all_answered(*MANY, locked=1)),
    ]
    html = html_of(*projects)
    lines = headline(*projects).split("; ")
    assert lines[0].startswith("Critical: munich: Session starts are failing: 13 of 31")
    assert lines[1:] == [
        "oslo: 5 accounts are locked (the same in 2 more projects)",
        "oslo: 1 user is unknown to the cloud",
    ]
    assert headings(html) == ["rome attention", "oslo attention", "munich critical", "bonn attention"]


def test_a_problem_of_one_project_leaves_the_others_green() -> None:
    html = html_of(status("rome"), incident("oslo"), first_cycle("bonn"))
    assert headings(html) == ["rome fine", "oslo critical", "bonn waiting"]


def test_without_projects_it_is_not_green() -> None:
    assert headline() == "Waiting: No project belongs to this shard"


def test_an_optional_operation_without_permission_is_no_problem() -> None:
    assert headline(status(short_sessions_counted=False)).startswith("Fine: ")


def test_it_names_no_user() -> None:
    fleet = all_answered("Wanda", "Xavier", "Yusuf", locked=1, missing=1)
    assert not any(name in html_of(incident(fleet=fleet)) for name in ("Wanda", "Xavier", "Yusuf"))


def test_an_incident_says_since_when_and_what_to_do() -> None:
    text = shown(incident())
    assert "(registered servers: 0 of 5) , since 2025-12-31 23:55:48 UTC (4 min 12 s ago)." in text
    assert "What to do: check whether the servers of the groups below are registered" in text


def test_a_rejected_reload_says_since_when_and_where_the_errors_are() -> None:
    text = shown(status(), reload_rejected_at=NOW - 60, users_files_rejected={"berlin": NOW - 120})
    assert "The last reload of the configuration was rejected , since 2025-12-31 23:59:00 UTC (1 min ago)" in text
    assert "the event reload_rejected in the log, or workspace-exporter --config.check , lists them" in text
    assert "The users file was rejected , since 2025-12-31 23:58:00 UTC (2 min ago)" in text
    assert "the event users_file_rejected in the log" in text


SMALL = st.integers(0, 12)


@st.composite
def projects_now(draw: st.DrawFn) -> ProjectStatus:
    """A project in any state that its polling may be in, whatever the configuration."""
    users = draw(st.sampled_from((0, 1, 2, 3, 9, 400, 3000)))
    counts = Counts(
        configured=users,
        queried=draw(st.integers(0, users)),
        scanned=draw(st.sampled_from((0, users))),
        accounts=draw(st.integers(0, users)),
        locked=draw(st.sampled_from((0, 0, min(users, 1)))),
    )
    starts, failures, failing_users = draw(SMALL), draw(SMALL), draw(SMALL)
    attempts = failed_starts(*["f"] * failures, starts=max(starts - failures, 0))
    history, up = History(), draw(st.booleans())
    history.observe(0.0, Attempts(), users=users, failing_users=0, sessions=None, up=draw(st.booleans()), age=None)
    recent = history.observe(
        draw(st.sampled_from((1.0, 299.0))),
        attempts,
        users=users,
        failing_users=failing_users,
        sessions=None,
        up=up,
        age=draw(st.sampled_from((None, 6.0, 7200.0))),
    )
    discovery = draw(st.sampled_from((None, DiscoveryStatus(users, successful=True), DiscoveryStatus(0, False))))
    return status(
        draw(st.sampled_from(("berlin", "oslo"))),
        counts=counts,
        recent=recent,
        up=up,
        ready=draw(st.booleans()),
        paused=draw(st.booleans()),
        discovery=discovery,
        operations=draw(st.sampled_from((failing(BROKEN), failing(REJECTED), {}))),
        short_sessions_counted=draw(st.booleans()),
    )


def is_incident(project: ProjectStatus) -> bool:
    recent = project.recent
    failures = max(recent.failures, recent.failing_users)
    return is_spike(
        users=project.configured, failing_users=recent.failing_users, failures=failures, starts=recent.starts
    )


@given(st.lists(projects_now(), max_size=3))
@hypothesis.settings(max_examples=300, deadline=None)
def test_in_no_state_is_it_green_while_the_condition_is_met_or_anything_is_unknown(
    projects: list[ProjectStatus],
) -> None:
    level = headline(*projects).partition(":")[0]
    if any(map(is_incident, projects)):
        assert level == "Critical"
    if level == "Fine":
        assert projects
        for each in projects:
            assert each.up
            assert each.ready
            assert not each.paused
            assert not each.operations
            assert (each.recent.failures, each.recent.failing_users, each.counts.locked) == (0, 0, 0)
            assert each.configured == max(each.counts.queried, each.counts.scanned) == each.counts.accounts > 0


@pytest.mark.parametrize("seed", range(20))
def test_it_is_never_green_while_the_condition_of_the_alert_is_met(seed: int) -> None:
    """And red, unless starts that are up to ten seconds older than the window dilute the share."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    history, attempts, fleet = History(), Attempts(), all_answered(*MANY)
    events: list[tuple[float, bool, int]] = []
    second, seen = 0.0, Counter[str]()
    while second < 1200:
        second += chance.choice((0.5, 1, 5, 40))
        attempts = attempts.copy()
        for _ in range(chance.choice((0, 0, 1, 4))):
            failed, session = chance.random() < 0.4, Session.of(app_server_group_id="f")
            attempts.starts.add(session)
            if failed:
                attempts.failures.add(session)
            events.append((second, failed, chance.randrange(8)))
        window = [event for event in events if event[0] > second - 300]
        users = len({user for _, failed, user in window if failed})
        recent = history.observe(second, attempts, users=60, failing_users=users, sessions={}, up=True, age=1.0)
        level = headline(status(fleet=fleet, recent=recent)).partition(":")[0]
        failures = sum(failed for _, failed, _ in window)
        if is_spike(users=60, failing_users=users, failures=failures, starts=len(window)):
            assert level != "Fine"
            seen[level] += 1
    assert seen["Critical"] > 10 * seen["Attention"]


def test_the_numbers_before_a_failed_publish_are_not_green() -> None:
    done = {kind: OperationStatus(DONE, 60.0, 2, 2) for kind in (SESSIONS, DETAIL)}
    assert headline(status(operations=done), publish_failed_at=NOW - 1).startswith("Critical: ")
