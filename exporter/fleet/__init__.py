"""What is known about every watched user of a project, and the counts over it.

Plain data with pure rules: no HTTP, no Prometheus, no clock. Callers pass times, in seconds of one monotonic clock.
"""

from exporter.fleet.counts import MOST_VALUES, Counts, InitFailures
from exporter.fleet.fleet import Fleet
from exporter.fleet.members import DOCUMENTED_STATES, INIT_FAIL, LIVE_STATES, OTHER, UNKNOWN, FreshUser, Member, Watched
from exporter.fleet.names import best
from exporter.fleet.roster import STEP, in_steps
from exporter.fleet.sessions import REMEMBERED

__all__ = [
    "DOCUMENTED_STATES",
    "INIT_FAIL",
    "LIVE_STATES",
    "MOST_VALUES",
    "OTHER",
    "REMEMBERED",
    "STEP",
    "UNKNOWN",
    "Counts",
    "Fleet",
    "FreshUser",
    "InitFailures",
    "Member",
    "Watched",
    "best",
    "in_steps",
]
