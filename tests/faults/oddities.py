"""The second half of the table: answers that are odd, and yet to be believed, and what each says of a user."""

from __future__ import annotations

from collections import Counter

from faults.rows import (
    GOOD,
    HUGE,
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
    """An answer of which a user has these sessions."""
    return Row(name, "200", ok(body), OF_SESSIONS, sessions=Counter(sessions))


NEW_STATES = [f"New{i:02}" for i in range(30)]
"""Of which 20 are told apart."""

NOTHING = "unknown"

ODD_SESSIONS = (
    said("an absent list", b"{}"),
    said("a list that is null", b'{"session_info_list":null}'),
    said("duplicated keys", b'{"session_info_list":[],%s' % GOOD[1:], ("Active", "9", "9")),
    said("10,000 sessions", listing(*[ONE] * 10_000), *[("Active", "9", "9")] * 10_000),
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


def flagged(name: str, body: bytes, account: Account) -> Row:
    """An answer of which a user has this account."""
    return Row(name, "200", ok(body), OF_ACCOUNTS, account=account)


ODD_ACCOUNTS = (
    flagged("an account of nothing", detail({}), {"account_expires": 0}),
    flagged("an account of nulls", detail(dict.fromkeys(CLEAR)), {"account_expires": 0}),
    flagged("duplicated flags", b'{"user_detail":{"locked":true},%s' % detail(CLEAR)[1:], CLEAR),
    flagged("an end before 1970", detail(CLEAR | {"account_expires": -1}), CLEAR),
    flagged("an end beyond the year 9999", detail(CLEAR | {"account_expires": 2**63 - 1}), CLEAR),
    flagged("an end past 64 bits", detail(CLEAR | {"account_expires": HUGE}), CLEAR),
    flagged("fields that nobody knows", detail(CLEAR | {"x": HUGE, ODD: [LONG]}), CLEAR),
)


def found(name: str, body: bytes) -> Row:
    """A page with nobody who was asked for."""
    return Row(name, "200", ok(body), OF_LOOKUPS)


ODD_LOOKUPS = (
    found("users that are strangers", page(*({"id": f"{i}", "user_name": f"user{i}"} for i in range(3)), total=3)),
    found("10,000 strangers", page(*[{"id": "7", "user_name": "max"}] * 10_000, total=10_000)),
    found("a user without id", page({"user_name": "zoe"})),
    found("a user whose id is empty", page(ZOE | {"id": ""})),
    found("a user without name", page({"id": "id-of-zoe"})),
    found("a user of nulls", page(dict.fromkeys(ZOE), total=None)),
    found("a name of any character", page(ZOE | {"user_name": ODD})),
    found("a name of 1 MB", page(ZOE | {"user_name": "zoe" + LONG})),
    found("fewer than none in all", page(total=-1)),
    found("more in all than past 64 bits", page(total=HUGE)),
)

ODDITIES = (*ODD_SESSIONS, *ODD_ACCOUNTS, *ODD_LOOKUPS)
"""Odd, and yet answers."""
