"""Faults on purpose: a share of the calls is answered wrongly, late, half or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from random import Random

from exporter.simulator.errors import ApiError, GatewayError, ServiceError, throttled, unauthorized
from exporter.simulator.messages import Answer, Delivery
from exporter.simulator.routes import ROUTES

EVERY_OPERATION = "*"
GARBAGE = Answer(HTTPStatus.OK, b"<html><body><h1>Welcome</h1></body></html>", content_type="text/html")
"""What a captive portal or a broken proxy says."""

STATUS_ERRORS: Mapping[int, ApiError] = {
    200: ServiceError(200, "WKS.00010109", "The custom name of desktop is empty."),
    401: unauthorized("decrypt token fail"),
    403: GatewayError(403, "APIG.0302", "The IAM user is not authorized to access the API"),
    429: throttled(200),
    500: ServiceError(500, "WKS.00010500", "An internal service error occurred."),
    502: GatewayError(502, "APIG.0202", "Backend unavailable"),
    503: ServiceError(503, "WKS.00010503", "Service unavailable."),
    504: GatewayError(504, "APIG.0203", "Backend timeout"),
}
"""The usual statuses with the usual bodies; 200 is the documented oddity of an error code under that status."""

DELIVERIES: Mapping[str, Delivery] = {"hang": Delivery.HANG, "reset": Delivery.RESET}


@dataclass(frozen=True, slots=True)
class Fault:
    """Of the calls of an operation (`*`: of any), `ratio` meet this kind of fault.

    `kind` is an HTTP status, or `hang` (no answer), `reset` (the connection breaks amid the body) or `garbage`
    (200 with HTML).
    """

    kind: str
    ratio: float
    operation: str = EVERY_OPERATION

    @property
    def delivery(self) -> Delivery:
        """How an answer is handed over under this fault."""
        return DELIVERIES.get(self.kind, Delivery.WHOLE)

    def answer(self, request_id: str) -> Answer | None:
        """What stands in for the true answer; None where that is kept and only its delivery suffers."""
        if self.kind in DELIVERIES:
            return None
        if self.kind == "garbage":
            return GARBAGE
        status = int(self.kind)
        unusual = ServiceError(status, "WKS.00010999", "Injected fault.")
        return STATUS_ERRORS.get(status, unusual).answer(request_id)


@dataclass(frozen=True, slots=True)
class Latency:
    """The time to an answer: `seconds`, give or take up to `jitter` seconds."""

    seconds: float = 0.0
    jitter: float = 0.0

    def draw(self, dice: Random) -> float:
        """The delay of one call, in seconds."""
        return max(0.0, self.seconds + dice.uniform(-self.jitter, self.jitter))


def parse_faults(text: str) -> tuple[Fault, ...]:
    """Read `429=0.01,hang=0.01,ListUserDetail:503=1`.

    Raises:
        ValueError: with what is wrong about which part.
    """
    return tuple(parse_fault(part.strip()) for part in text.split(",") if part.strip())


def parse_fault(text: str) -> Fault:
    """Read one fault, `[OPERATION:]KIND=RATIO`.

    Raises:
        ValueError: with what is wrong about it.
    """
    what, equals, ratio_text = text.partition("=")
    operation, _, kind = what.rpartition(":")
    names = [route.operation for route in ROUTES]
    if operation and operation not in names:
        raise ValueError(f"{text!r}: no operation {operation!r}; there are {', '.join(names)}")
    if kind not in (*DELIVERIES, "garbage") and not (kind.isdecimal() and 200 <= int(kind) <= 599):  # noqa: PLR2004 - final statuses
        raise ValueError(f"{text!r}: the kind must be an HTTP status from 200 to 599, hang, reset or garbage")
    try:
        ratio = float(ratio_text) if equals else -1.0
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ValueError(f"{text!r}: the ratio after '=' must be a number from 0 to 1")
    return Fault(kind, ratio, operation or EVERY_OPERATION)


def draw_fault(faults: Sequence[Fault], operation: str, dice: Random) -> Fault | None:
    """The fault that a call meets, mostly none; the ratios of several add up."""
    chance = dice.random()
    for fault in faults:
        if fault.operation not in (EVERY_OPERATION, operation):
            continue
        if chance < fault.ratio:
            return fault
        chance -= fault.ratio
    return None
