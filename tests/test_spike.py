"""The condition of an incident."""

import pytest

from exporter.fleet.spike import is_spike, minimum_users


@pytest.mark.parametrize(
    ("users", "minimum"), [(0, 2), (1, 2), (2, 2), (3, 3), (150, 3), (400, 4), (900, 6), (2_500, 10), (100_000, 10)]
)
def test_more_users_have_to_fail_in_a_large_fleet(users: int, minimum: int) -> None:
    assert minimum_users(users) == minimum


@pytest.mark.parametrize(
    ("failing_users", "failures", "starts", "spike"),
    [
        (0, 0, 0, False),
        (1, 20, 20, False),  # one user who tries again and again
        (2, 9, 9, False),
        (3, 3, 15, True),
        (3, 3, 16, False),  # less than a fifth
        (30, 30, 30, True),
    ],
)
def test_an_incident_needs_the_minimum_of_users_and_a_fifth_of_the_starts(
    failing_users: int, failures: int, starts: int, spike: bool
) -> None:
    assert is_spike(users=150, failing_users=failing_users, failures=failures, starts=starts) is spike
