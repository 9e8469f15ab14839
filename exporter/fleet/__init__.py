"""What is known of every configured user of a project, and the counts over them.

Plain data with pure rules: no HTTP, no Prometheus, no clock. Times are handed in, in seconds of one steady clock.
"""

from exporter.fleet.failures import MOST_VALUES, REMEMBERED, InitFailures
from exporter.fleet.fleet import Fleet
from exporter.fleet.members import DOCUMENTED_STATES, INIT_FAIL, OTHER, UNKNOWN, FreshUser, Member
from exporter.fleet.sweeps import LIVE_STATES
from exporter.fleet.tally import Counts

__all__ = [
    "DOCUMENTED_STATES",
    "INIT_FAIL",
    "LIVE_STATES",
    "MOST_VALUES",
    "OTHER",
    "REMEMBERED",
    "UNKNOWN",
    "Counts",
    "Fleet",
    "FreshUser",
    "InitFailures",
    "Member",
]
