"""How many session starts and failures are counted of those that really happened, in virtual time.

Users join and leave, settings are reloaded, requests fail, and listings change while they are read. Each life is judged
by the plan of its sessions. With many users it is shorter, so that it takes minutes and not hours.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.figures import Figure
from support.session_traffic import DAY
from support.traffic_cloud import Life

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.plan import Plan, Tell

NAME = "starts"
MOST_USERS = 10_000
LARGEST = 1_000
"""Users up to which the whole span is simulated. Larger fleets get a seventh of it."""

FAULTS = (0.0, 0.1)
"""Shares of requests that fail."""

LEAST_WITH_FAULTS = 99.9
_OTHER_POLL = {"interval": 90, "source": "bulk", "failures_interval": 7}


def run(plan: Plan, tell: Tell) -> Iterator[Figure]:
    """The share of starts and failures that are counted, at each size without and with faults."""
    for users in [users for users in plan.fleets if users <= MOST_USERS]:
        length = plan.days * DAY / (1 if users <= LARGEST else 7)
        for faults in FAULTS:
            what = f"{length / DAY:.1f} days, {100 * faults:.0f} % faults"
            tell(f"{users:,} users, {what}")
            began = time.process_time()
            found = Life(users=users, length=length, other_poll=_OTHER_POLL, faults=faults, tell=tell).run()
            for name, counted, true in (
                ("starts", found.attempts.starts.total, len(found.starts)),
                ("failures", found.attempts.failures.total, len(found.failures)),
            ):
                at_least = LEAST_WITH_FAULTS if faults else 100.0
                yield Figure(NAME, f"{what}: true {name}", true, "", users)
                share = 100 * counted / true if true else 100.0
                yield Figure(NAME, f"{what}: {name} counted", share, "%", users, at_least=at_least, at_most=100.0)
            tell(f"requests: {found.cloud.calls}; {time.process_time() - began:,.0f} s of processor time")
