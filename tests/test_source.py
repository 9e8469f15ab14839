"""What fits into the rate limit: fair shares, the length of a cycle, and the choice of the source."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import Layer, Poll, build
from exporter.polling.source import choose_source, cycle_seconds, fair_shares, fits, pages

LIMITS = st.floats(0.1, 10_000)
DEMANDS = st.lists(st.floats(0, 10_000), min_size=1, max_size=8)


def poll_of(**values: Any) -> Poll:
    project = {"project_id": "p", "region": "r", "users": ["u"]}
    return build(Layer("test", {"projects": [project], "poll": values})).poll


def used(limit: float, demands: list[float]) -> float:
    return sum(min(pair) for pair in zip(demands, fair_shares(limit, demands), strict=True))


@given(LIMITS, DEMANDS)
def test_shares_use_the_whole_limit_and_no_more(limit: float, demands: list[float]) -> None:
    assert used(limit, demands) == pytest.approx(min(limit, sum(demands)))


@given(LIMITS, DEMANDS)
def test_no_project_gets_less_than_an_equal_part(limit: float, demands: list[float]) -> None:
    assert all(limit / len(demands) <= share * (1 + 1e-9) for share in fair_shares(limit, demands))
    assert all(share <= limit * (1 + 1e-9) for share in fair_shares(limit, demands))


@given(LIMITS, DEMANDS)
def test_projects_whose_demand_does_not_fit_get_the_same_share(limit: float, demands: list[float]) -> None:
    shares = fair_shares(limit, demands)
    unmet = [share for demand, share in zip(demands, shares, strict=True) if demand > share * (1 + 1e-9)]
    assert not unmet or max(unmet) == pytest.approx(min(unmet)) == pytest.approx(max(shares))


@given(LIMITS, DEMANDS, st.floats(0, 10_000))
def test_equal_demands_get_equal_shares(limit: float, demands: list[float], demand: float) -> None:
    *_, first, second = fair_shares(limit, [*demands, demand, demand])
    assert first == second


@given(LIMITS, DEMANDS, st.floats(0, 10_000))
def test_a_share_falls_with_the_demand_of_others_and_ignores_its_own(
    limit: float, demands: list[float], more: float
) -> None:
    share, *others = fair_shares(limit, demands)
    share_of_more, *others_of_more = fair_shares(limit, [demands[0] + more, *demands[1:]])
    assert share_of_more == share
    assert all(after <= before * (1 + 1e-9) for before, after in zip(others, others_of_more, strict=True))


@pytest.mark.parametrize(
    ("demands", "shares"),
    [
        ([], []),
        ([500.0], [180.0]),
        ([30.0, 500.0], [90.0, 150.0]),
        ([60.0, 60.0], [120.0, 120.0]),
        ([200.0, 200.0, 200.0], [60.0, 60.0, 60.0]),
        ([10.0, 100.0, 100.0], [60.0, 85.0, 85.0]),
    ],
)
def test_a_project_that_needs_less_leaves_the_rest_to_the_others(demands: list[float], shares: list[float]) -> None:
    assert fair_shares(180.0, demands) == shares


def test_a_cycle_takes_the_configured_interval_or_longer() -> None:
    assert cycle_seconds(60.0, 100, 180.0) == 60.0
    assert cycle_seconds(60.0, 360, 180.0) == 120.0


def test_a_scan_reads_overlapping_pages() -> None:
    assert [pages(entries, 100) for entries in (0, 1, 90, 91, 180)] == [1, 1, 1, 2, 2]


def test_users_fit_up_to_the_rate_inclusive() -> None:
    assert fits(poll_of(interval="30s"), 90, 180.0)
    assert not fits(poll_of(interval="30s"), 91, 180.0)


@pytest.mark.parametrize(
    ("source", "users", "sessions", "rate", "chosen"),
    [
        ("auto", 60, None, 100.0, ("per_user", "60 requests per interval, 100 allowed")),
        ("auto", 101, None, 100.0, ("bulk", "101 requests per interval, 100 allowed")),
        ("auto", 101, 500, 100.5, ("bulk", "101 requests per interval, 100 allowed")),
        ("auto", 200, 40_000, 100.0, ("per_user", "200 requests for all users, 445 for a scan of all sessions")),
        ("bulk", 1, None, 100.0, ("bulk", "set by poll.source")),
        ("per_user", 9999, 1, 1.0, ("per_user", "set by poll.source")),
    ],
)
def test_bulk_is_chosen_once_the_users_exceed_the_share_and_a_scan_takes_fewer_requests(
    source: str, users: int, sessions: int | None, rate: float, chosen: tuple[str, str]
) -> None:
    assert choose_source(poll_of(source=source), users, sessions, rate) == chosen
