"""The numbers from which on something is orange or red. Where an alert has the same bound, a test compares the two."""

from __future__ import annotations

from exporter.fleet import spike

SPIKE_MINUTES = spike.WINDOW / 60
SPIKE_WINDOW = f"{SPIKE_MINUTES:g}m"
SPIKE_SHARE = spike.SHARE
"""WorkspaceInitFailSpike fires from this failed share of starts on, if enough users fail."""

SLOW = (60, 120)
"""Seconds to Active. WorkspaceSessionStartsSlow fires above 60."""

CAPACITY = (0.85, 0.95)
"""Used share of a server group's capacity at which WorkspaceServerCapacityLow fires, as a warning and as critical."""

STUCK = 'session_state="AppcInit", age!~"0-5m|unknown"'
"""Matches the sessions that WorkspaceSessionsStuck counts."""

ABANDONED = 'session_state="Disconnected", age="72h+"'
"""Matches the sessions that WorkspaceSessionsAbandoned counts."""

REGRESSING, REGRESSING_FAILURES = (2, 3), 5
"""A version's failed share of starts per that of all others, with at least so many failures.

WorkspaceVersionRegressing fires above 3.
"""

BUDGET = (0, 0.25)
"""Remaining share of the error budget."""

LOCKS, USUAL_LOCKS = 2, 3
"""WorkspaceUsersLocked needs this many times the users of WorkspaceInitFailSpike.

It also needs this many times the locks at the same time on the days before.
"""

SOON = 14
"""Days in which an account expires soon. WorkspaceAccountsExpiring has the same bound."""

COVERAGE = (0.9, 0.99)
"""Share of users with a fresh answer. WorkspaceCoverageLow fires below 90 %."""

BEHIND = (3, 6)
"""Polling cycles without success: from 3 on answers become stale, and above 6 WorkspaceNumbersStale fires."""

CREDENTIALS = (20 * 60, 30 * 60)
"""Seconds. Tokens are renewed 40 minutes before they expire; with 20 left, WorkspaceCredentialsExpiring fires."""

SKEW = (60, 600)
"""Seconds above which WorkspaceClockSkew fires, as a warning and as critical."""

THROTTLED = (0.05, 0.2)
"""Share of throttled requests. WorkspaceThrottled fires above 5 %."""

FAILED = (0.05, 0.2)
"""Share of failed requests. Retries make up for a few."""


def percent(share: float) -> str:
    """Return a share as people write it, such as `20 %`."""
    return f"{share:.0%}".replace("%", " %")
