"""A stand-in for Huawei Cloud: Workspace's sessions and users, IAM and the ECS metadata service on one port.

It is the cloud seen from the other side and shares no code with the client, so that no mistake of the one is excused
by the same mistake of the other.
"""

from exporter.simulator.credentials import (
    DEMO_ACCESS_KEY,
    DEMO_DOMAIN,
    DEMO_PASSWORD,
    DEMO_PROJECT_ID,
    DEMO_SECRET_KEY,
    DEMO_TOKEN,
    DEMO_USERNAME,
    Account,
)
from exporter.simulator.faults import Fault, Latency, parse_faults
from exporter.simulator.incidents import Script
from exporter.simulator.messages import Delivery, Request, Response
from exporter.simulator.population import Population, StaticPopulation
from exporter.simulator.records import PERSONAL_MARKS
from exporter.simulator.schema import SessionInfo, SessionState, UserDetail
from exporter.simulator.simulator import Simulator, SimulatorOptions

__all__ = [
    "DEMO_ACCESS_KEY",
    "DEMO_DOMAIN",
    "DEMO_PASSWORD",
    "DEMO_PROJECT_ID",
    "DEMO_SECRET_KEY",
    "DEMO_TOKEN",
    "DEMO_USERNAME",
    "PERSONAL_MARKS",
    "Account",
    "Delivery",
    "Fault",
    "Latency",
    "Population",
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
