"""What makes a valid request fail or wait: the quota, injected faults and latency."""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from random import Random

from exporter.simulator.operations import OPERATIONS
from exporter.simulator.schema import ApiError, Delivery, GatewayError, Response, throttled, unauthorized

QUOTA_WINDOW = 60.0  # seconds
EVERY_OPERATION = "*"
GARBAGE = Response(HTTPStatus.OK, {"Content-Type": "text/html"}, b"<html><body><h1>Welcome</h1></body></html>")
"""The answer of a captive portal or a broken proxy."""

STATUS_ERRORS: Mapping[int, ApiError] = {
    200: ApiError(200, "WKS.00010109", "The custom name of desktop is empty."),
    401: unauthorized("decrypt token fail"),
    403: GatewayError(403, "APIG.0302", "The IAM user is not authorized to access the API"),
    429: throttled(200),
    500: ApiError(500, "WKS.00010500", "An internal service error occurred."),
    502: GatewayError(502, "APIG.0202", "Backend unavailable"),
    503: ApiError(503, "WKS.00010503", "Service unavailable."),
    504: GatewayError(504, "APIG.0203", "Backend timeout"),
}
"""The usual error of each status; 200 is documented, too: an error code in the body of a successful answer."""

DELIVERIES: Mapping[str, Delivery] = {"hang": "hang", "reset": "reset"}


class Quota:
    """A limit on the requests a minute of each operation, 0 = unlimited. Throttled requests do not count.

    The reference does not define its minute. A client that respects a sliding window respects any other.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._admitted: dict[str, deque[float]] = {}

    def admit(self, operation: str, now: float) -> None:
        """Count a request, or raise a 429 if the quota is used up."""
        if self._limit == 0:
            return
        admitted = self._admitted.setdefault(operation, deque())
        while admitted and admitted[0] <= now - QUOTA_WINDOW:
            admitted.popleft()
        if len(admitted) >= self._limit:
            raise throttled(self._limit)
        admitted.append(now)


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault that affects `ratio` of the requests of an operation, or of all (`*`)."""

    kind: str  # an HTTP status, hang (no answer), reset (within the body) or garbage (HTML with status 200)
    ratio: float
    operation: str = EVERY_OPERATION

    @property
    def delivery(self) -> Delivery:
        """How the server delivers the response."""
        return DELIVERIES.get(self.kind, "whole")

    def response(self, request_id: str) -> Response | None:
        """Return the response that replaces the real one, or None if the fault only affects the delivery."""
        if self.kind in DELIVERIES:
            return None
        if self.kind == "garbage":
            return GARBAGE
        unusual = ApiError(int(self.kind), "WKS.00010999", "Injected fault.")
        return STATUS_ERRORS.get(unusual.status, unusual).response(request_id)


@dataclass(frozen=True, slots=True)
class Latency:
    """The delay of answers: `seconds`, plus or minus up to `jitter` seconds."""

    seconds: float = 0.0
    jitter: float = 0.0

    def draw(self, rng: Random) -> float:
        """Return the delay of one answer, in seconds."""
        return max(0.0, self.seconds + rng.uniform(-self.jitter, self.jitter))


def parse_faults(text: str) -> tuple[Fault, ...]:
    """Return a list of faults such as `429=0.01,ListUserDetail:hang=1`; raise ValueError that quotes a wrong one."""
    return tuple(_parse_fault(part.strip()) for part in text.split(",") if part.strip())


def _parse_fault(text: str) -> Fault:
    what, _, ratio = text.partition("=")
    operation, _, kind = what.rpartition(":")
    names = [known.name for known in OPERATIONS]
    if operation and operation not in names:
        raise ValueError(f"{text!r}: unknown operation {operation!r}; the operations are {', '.join(names)}")
    if not re.fullmatch("[2-5][0-9][0-9]|hang|reset|garbage", kind):
        raise ValueError(f"{text!r}: the kind must be an HTTP status from 200 to 599, hang, reset or garbage")
    try:
        return Fault(kind, parse_ratio(ratio), operation or EVERY_OPERATION)
    except ValueError as error:
        raise ValueError(f"{text!r}: the ratio {error}") from None


def parse_ratio(text: str) -> float:
    """Return a number from 0 to 1; raise ValueError for anything else."""
    if not re.fullmatch(r"\d*\.?\d+(e-\d+)?", text) or float(text) > 1:
        raise ValueError(f"{text!r} must be a number from 0 to 1")
    return float(text)


def draw_fault(faults: Sequence[Fault], operation: str, rng: Random) -> Fault | None:
    """Return the fault that affects a request, or None. The ratios of several faults add up."""
    chance = rng.random()
    for fault in faults:
        if fault.operation in (EVERY_OPERATION, operation):
            if chance < fault.ratio:
                return fault
            chance -= fault.ratio
    return None
