"""The second half of the table: answers that are odd but accepted, and what each says of a user."""

from __future__ import annotations

from collections import Counter

from faults.rows import (
    GOOD,
    HUGE,
    INVALID,
    LONG,
    ODD,
    OF_ACCOUNTS,
    OF_LOOKUPS,
    OF_SESSIONS,
    ONE,
    ZOE,
    Row,
    always,
    detail,
    listing,
    ok,
    page,
)
from faults.truth import SESSIONS, Account
from support.faulty_server import Fault, http


def said(name: str, body: bytes, *sessions: tuple[str, str, str]) -> Row:
    """An answer that gives a user these sessions."""
    return Row(name, "200", ok(body), OF_SESSIONS, sessions=Counter(sessions))


NEW_STATES = [f"New{i:02}" for i in range(30)]
"""20 of them are distinguished."""

NOTHING = "unknown"

ODD_SESSIONS = (
    said("an absent list", b"{}"),
    said("a list that is null", b'{"session_info_list":null}'),
    said("duplicated keys", b'{"session_info_list":[],%s' % GOOD[1:], ("Active", "9", "9")),
    said("1,000 sessions", listing(*[ONE] * 1_000), *[("Active", "9", "9")] * 1_000),
    said("an id that is a number", listing(ONE | {"id": 7}), ("Active", "9", "9")),
    said("a state that is a list", listing(ONE | {"session_state": ["Active"]}), (NOTHING, "9", "9")),
    said("a client version that is a number", listing(ONE | {"client_version": 22.4}), ("Active", "22.4", "9")),
    said("an agent version that is an object", listing(ONE | {"agent_version": {}}), ("Active", "9", NOTHING)),
    said("an error code past 64 bits, of a session", listing(ONE | {"failed_code": HUGE}), ("Active", "9", "9")),
    said("a server group that is a flag", listing(ONE | {"app_server_group_id": True}), ("Active", "9", "9")),
    said("a start that is a number", listing(ONE | {"start_time": 7}), ("Active", "9", "9")),
    said("a session without id", listing({"session_state": "Active"}), ("Active", NOTHING, NOTHING)),
    said("a session of nulls", listing(dict.fromkeys(ONE)), (NOTHING, NOTHING, NOTHING)),
    said("the same id for two users", listing(SESSIONS["ann"][0]), ("Active", "1.0", "2.0")),
    said("the same id twice", listing(ONE, ONE), *[("Active", "9", "9")] * 2),
    said(
        "30 unknown states",
        listing(*({"session_state": state} for state in NEW_STATES)),
        *((state, NOTHING, NOTHING) for state in [*NEW_STATES[:20], *["other"] * 10]),
    ),
    said("versions of 1 MB", listing(ONE | {"client_version": LONG}), ("Active", "9" * 128, "9")),
    said("versions of any character", listing(ONE | {"agent_version": ODD}), ("Active", "9", ODD)),
    said("a state of any character", listing(ONE | {"session_state": ODD}), (ODD, "9", "9")),
    said("numbers past 64 bits", listing(ONE | {"x": HUGE, "y": [-HUGE]}), ("Active", "9", "9")),
    Row(
        "a second answer behind the first",
        "200",
        always(Fault(http() + http(body=GOOD))),
        OF_SESSIONS,
        sessions=Counter(),
    ),
)

CLEAR: Account = {"locked": False, "user_expired": False, "disabled": False, "account_expires": 0}


def without(flag: str) -> Account:
    return {name: value for name, value in CLEAR.items() if name != flag}


def flagged(name: str, body: bytes, account: Account) -> Row:
    """An answer that gives a user this account."""
    return Row(name, "200", ok(body), OF_ACCOUNTS, account=account)


ODD_ACCOUNTS = (
    flagged("an account of nothing", detail({}), {"account_expires": 0}),
    flagged("an account of nulls", detail(dict.fromkeys(CLEAR)), {"account_expires": 0}),
    flagged("duplicated flags", b'{"user_detail":{"locked":true},%s' % detail(CLEAR)[1:], CLEAR),
    flagged("an end before 1970", detail(CLEAR | {"account_expires": -1}), CLEAR),
    flagged("an end beyond the year 9999", detail(CLEAR | {"account_expires": 2**63 - 1}), CLEAR),
    flagged("an end past 64 bits", detail(CLEAR | {"account_expires": HUGE}), CLEAR),
    flagged("a lock that is a text", detail(CLEAR | {"locked": "no"}), without("locked")),
    flagged("an expiry that is a number", detail(CLEAR | {"user_expired": 1}), without("user_expired")),
    flagged("a disabled that is a list", detail(CLEAR | {"disabled": []}), without("disabled")),
    flagged("an end that is a text", detail(CLEAR | {"account_expires": "never"}), CLEAR),
    flagged("an end that is a fraction", detail(CLEAR | {"account_expires": 1.5}), CLEAR),
    flagged("fields that nobody knows", detail(CLEAR | {"x": HUGE, ODD: [LONG]}), CLEAR),
)


def found(name: str, body: bytes) -> Row:
    """A page without any of the queried users."""
    return Row(name, "200", ok(body), OF_LOOKUPS)


ODD_LOOKUPS = (
    found("users that are strangers", page(*({"id": f"{i}", "user_name": f"user{i}"} for i in range(3)), total=3)),
    found("a user with an id that is a list", page(ZOE | {"id": ["7"]})),
    found("a user with a name that is a list", page(ZOE | {"user_name": ["zoe"]})),
    found("a total that is a text", page(total="0")),
    Row("a total that is a fraction", INVALID, ok(page(total=1.5)), OF_LOOKUPS),
    found("a user without id", page({"user_name": "zoe"})),
    found("a user whose id is empty", page(ZOE | {"id": ""})),
    found("a user without name", page({"id": "id-of-zoe"})),
    found("a user of nulls", page(dict.fromkeys(ZOE), total=None)),
    found("a name of any character", page(ZOE | {"user_name": ODD})),
    found("a name of 1 MB", page(ZOE | {"user_name": "zoe" + LONG})),
    found("fewer than none in all", page(total=-1)),
)

ODDITIES = (*ODD_SESSIONS, *ODD_ACCOUNTS, *ODD_LOOKUPS)
"""Odd, and yet answers."""
