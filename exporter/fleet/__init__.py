"""What is known about every watched user of a project, and the counts over it.

Plain data with pure rules: no HTTP, no Prometheus, no clock. Callers pass times, in seconds of one monotonic clock.
"""

from exporter.fleet.counting import REMEMBERED
from exporter.fleet.counts import AGES, MOST_VALUES, Attempts, Counts, Tally
from exporter.fleet.fleet import Fleet
from exporter.fleet.history import CHARTED_STATES, MINUTES, History, Point, Recent
from exporter.fleet.members import DOCUMENTED_STATES, INIT_FAIL, LIVE_STATES, OTHER, UNKNOWN, FreshUser, Member, Watched
from exporter.fleet.names import best
from exporter.fleet.roster import STEP, in_steps
from exporter.fleet.servers import REGISTERED, SERVER_STATUSES, ServerCounts, Servers
from exporter.fleet.spike import WINDOW, is_spike

__all__ = [
    "AGES",
    "CHARTED_STATES",
    "DOCUMENTED_STATES",
    "INIT_FAIL",
    "LIVE_STATES",
    "MINUTES",
    "MOST_VALUES",
    "OTHER",
    "REGISTERED",
    "REMEMBERED",
    "SERVER_STATUSES",
    "STEP",
    "UNKNOWN",
    "WINDOW",
    "Attempts",
    "Counts",
    "Fleet",
    "FreshUser",
    "History",
    "Member",
    "Point",
    "Recent",
    "ServerCounts",
    "Servers",
    "Tally",
    "Watched",
    "best",
    "in_steps",
    "is_spike",
]
