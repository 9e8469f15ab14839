"""The condition of an incident: many users whose session starts fail, and a large share of all starts.

The alert WorkspaceInitFailSpike, the dashboards and the page share it. A test compares the alert's rule with it.
"""

from math import sqrt

WINDOW = 300.0
"""Seconds in which starts and failures are counted."""

SHARE = 0.2
"""Failed starts per starts, at least."""

_SMALL, _LARGE = 2, 10  # users


def minimum_users(users: int) -> float:
    """Return how many of these watched users have to fail: 3 as a rule, 2 of two, more in large fleets, at most 10.

    In a large fleet more starts fail at the same time by chance. That grows with the square root of the fleet.
    """
    return min(max(min(max(users, _SMALL), 3), sqrt(users) / 5), _LARGE)


def is_spike(*, users: int, failing_users: int, failures: int, starts: int) -> bool:
    """Return whether these counts of the last WINDOW are an incident in a fleet of this many watched users."""
    return failing_users >= minimum_users(users) and failures >= SHARE * starts
