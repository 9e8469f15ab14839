"""What passes between a client and the simulated cloud, free of any HTTP library."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


class Delivery(enum.Enum):
    """How the transport hands an answer over."""

    WHOLE = "whole"
    HANG = "hang"  # never: the connection stays open and silent
    RESET = "reset"  # half of the body, then a TCP reset


@dataclass(frozen=True, slots=True)
class Request:
    """A request as received: the target and the headers are the client's own bytes, not re-encoded."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target's path, still percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The target's query, still percent-encoded."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> str | None:
        """A header's value, whatever the case of its name; None where it is missing."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation says: a status and a body, with headers of its own."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with all its headers, and how the transport is to deliver it: `delay` in seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    delay: float = 0.0
    delivery: Delivery = Delivery.WHOLE
