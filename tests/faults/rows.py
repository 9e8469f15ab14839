"""A row of the table of faults, and what rows are made of."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from support.faulty_server import Fault, http

from exporter.cloud.client import LIST_SESSION_BY_USER_NAME, LIST_USER_DETAIL, LIST_USERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.truth import Account, Sessions
    from support.faulty_server import Then

Bend: TypeAlias = "Callable[[bytes], Fault]"
"""What is sent instead of an answer with this body."""

OPERATIONS = (LIST_SESSION_BY_USER_NAME, LIST_USER_DETAIL, LIST_USERS)

BROKEN = "connection_error"
TIMEOUT = "timeout"
INVALID = "invalid_response"


@dataclass(frozen=True)
class Row:
    """A fault, and what each answer that it hits must be counted as.

    Where the code is 200 the answer is to be believed, and ``sessions`` and ``account`` are what it says of a user.
    """

    name: str
    code: str
    bend: Bend
    operations: tuple[str, ...] = OPERATIONS
    """Those that it can hit."""
    sessions: Sessions | None = None
    account: Account | None = None

    @property
    def believed(self) -> bool:
        """Whether it is an answer, though an odd one."""
        return self.code == "200"

    def fault(self, body: bytes) -> Fault:
        """What is sent instead of an answer with this body."""
        fault = self.bend(body)
        return fault if fault.kind else replace(fault, kind=self.name)


def json_of(value: object) -> bytes:
    return json.dumps(value).encode()


def always(fault: Fault) -> Bend:
    """The same, whatever the good answer was."""
    return lambda _: fault


def ok(body: bytes, **headers: str) -> Bend:
    return always(Fault(http(body=body, **headers)))


def status(line: str, body: bytes = b"", **headers: str) -> Bend:
    return always(Fault(http(line, body, **headers)))


def bent(bend: Callable[[bytes], bytes], then: Then = "keep", **headers: str) -> Bend:
    """The good body made into another."""
    return lambda body: Fault(http(body=bend(body), **headers), then)


def cut(length: Callable[[bytes], int], then: Then, **headers: str) -> Bend:
    """The good answer up to some length, counted from its end if negative."""
    return lambda body: Fault(http(body=body, **headers)[: length(body)], then)


def amid_the_headers(_: bytes) -> int:
    return 30


def before_the_body(body: bytes) -> int:
    return -len(body)


def amid_the_body(_: bytes) -> int:
    return -9


def same(body: bytes) -> bytes:
    return body


def listing(*sessions: object) -> bytes:
    return json_of({"session_info_list": sessions})


def detail(account: object) -> bytes:
    return json_of({"user_detail": account})


def page(*users: object, total: object = 1) -> bytes:
    return json_of({"users": users, "total_count": total})


LONG = "9" * 1_000_000
"""A text of 1 MB."""

ODD = 'a"b\\c\nd\0e\u2028\U0001f600'
"""A text that has to be escaped in more than one way."""

HUGE = int("9" * 60)
"""A number past 64 bits."""

OF_SESSIONS = (LIST_SESSION_BY_USER_NAME,)
OF_ACCOUNTS = (LIST_USER_DETAIL,)
OF_LOOKUPS = (LIST_USERS,)

ONE = {"id": "z1", "session_state": "Active", "client_version": "9", "agent_version": "9"}
GOOD = listing(ONE)
ZOE = {"id": "id-of-zoe", "user_name": "zoe"}
