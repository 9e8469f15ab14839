"""A simulator of Huawei Cloud: Workspace's sessions and users, and all that issues credentials, on one port.

It shares no code with the client, so that a mistake in one does not hide the same mistake in the other.
"""

from exporter.simulator.identity import (
    DEMO_ACCESS_KEY,
    DEMO_AGENCY_URN,
    DEMO_DOMAIN,
    DEMO_ID_TOKEN,
    DEMO_IDP_ID,
    DEMO_PASSWORD,
    DEMO_POD_TOKEN,
    DEMO_PROJECT_ID,
    DEMO_PROVIDER_URN,
    DEMO_SECRET_KEY,
    DEMO_TOKEN,
    DEMO_USERNAME,
    Account,
)
from exporter.simulator.population import StaticPopulation
from exporter.simulator.schema import Request, Response, SessionInfo, SessionState, UserDetail
from exporter.simulator.server import Calls, Fault, Latency, Simulator, SimulatorOptions, parse_faults
from exporter.simulator.simulation import PERSONAL_MARKS, Script

__all__ = [
    "DEMO_ACCESS_KEY",
    "DEMO_AGENCY_URN",
    "DEMO_DOMAIN",
    "DEMO_IDP_ID",
    "DEMO_ID_TOKEN",
    "DEMO_PASSWORD",
    "DEMO_POD_TOKEN",
    "DEMO_PROJECT_ID",
    "DEMO_PROVIDER_URN",
    "DEMO_SECRET_KEY",
    "DEMO_TOKEN",
    "DEMO_USERNAME",
    "PERSONAL_MARKS",
    "Account",
    "Calls",
    "Fault",
    "Latency",
    "Request",
    "Response",
    "Script",
    "SessionInfo",
    "SessionState",
    "Simulator",
    "SimulatorOptions",
    "StaticPopulation",
    "UserDetail",
    "parse_faults",
]
