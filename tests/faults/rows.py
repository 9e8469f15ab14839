"""The table: every way in which an answer can go wrong, and what must become of it."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from faults.truth import ACCOUNTS, SESSIONS, Account, Sessions
from support.faulty_server import Fault, http

from exporter.cloud.client import LIST_SESSION_BY_USER_NAME, LIST_USER_DETAIL, LIST_USERS

if TYPE_CHECKING:
    from collections.abc import Callable

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


def bent(bend: Callable[[bytes], bytes], then: str = "keep", **headers: str) -> Bend:
    """The good body made into another."""
    return lambda body: Fault(http(body=bend(body), **headers), then)  # type: ignore[arg-type]


def cut(length: Callable[[bytes], int], then: str, **headers: str) -> Bend:
    """The good answer as far as some length, counted from its end if negative."""
    return lambda body: Fault(http(body=body, **headers)[: length(body)], then)  # type: ignore[arg-type]


def amid_the_headers(_: bytes) -> int:
    return 30


def before_the_body(body: bytes) -> int:
    return -len(body)


def amid_the_body(_: bytes) -> int:
    return -9


def same(body: bytes) -> bytes:
    return body


HTML = b"<html><body><h1>It went wrong</h1></body></html>"
LONG = "9" * 1_000_000
ODD = 'a"b\\c\nd\0e\u2028\U0001f600'
HUGE = int("9" * 60)
DEEP = b"[" * 200_000 + b"]" * 200_000
BOMB = gzip.compress(b" " * 50_000_000)
AWAY = "{elsewhere}/v1/p"
"""An address at another server, which must see nothing."""

STATUSES = (
    Row("301", "301", status("301 Moved Permanently", Location=AWAY)),
    Row("302", "302", status("302 Found", Location=AWAY)),
    Row("307 with a good body", "307", lambda body: Fault(http("307 Temporary Redirect", body, Location=AWAY))),
    Row("400", "400", status("400 Bad Request", b'{"error_code":"WKS.1"}')),
    Row("403", "403", status("403 Forbidden", b'{"error_code":"WKS.2"}')),
    Row("404 of the gateway", "404", status("404 Not Found", b'{"error_code":"APIG.0101"}')),
    Row("404 in HTML", "404", status("404 Not Found", HTML, Content_Type="text/html")),
    Row("405", "405", status("405 Method Not Allowed", Allow="POST")),
    Row("415", "415", status("415 Unsupported Media Type", b"{}")),
    Row("418", "418", status("418 I'm a teapot", b"short and stout")),
    Row("429", "429", status("429 Too Many Requests", b'{"error_code":"APIG.0308"}')),
    Row("500 in HTML", "500", status("500 Internal Server Error", HTML)),
    Row("500 nested deep", "500", status("500 Internal Server Error", DEEP)),
    Row("503", "503", status("503 Service Unavailable")),
)

BREAKS = (
    Row("reset before the answer", BROKEN, always(Fault(then="reset"))),
    Row("reset amid the headers", BROKEN, cut(amid_the_headers, "reset")),
    Row("reset amid the body", BROKEN, cut(amid_the_body, "reset")),
    Row("closed before the answer", BROKEN, always(Fault(then="close"))),
    Row("closed amid the body", BROKEN, cut(amid_the_body, "close")),
    Row("a Content-Length too long", BROKEN, bent(same, "close", Content_Length="999")),
    Row("a chunk that breaks off", BROKEN, always(Fault(http(body=b"99\r\n{", Transfer_Encoding="chunked"), "close"))),
)

STALLS = (
    Row("a hang before the headers", TIMEOUT, always(Fault(then="hang"))),
    Row("a hang amid the headers", TIMEOUT, cut(amid_the_headers, "hang")),
    Row("a hang before the body", TIMEOUT, cut(before_the_body, "hang")),
    Row("a hang amid the body", TIMEOUT, cut(amid_the_body, "hang")),
    Row("a Content-Length too long, then a hang", TIMEOUT, bent(same, "hang", Content_Length="999")),
    Row("a byte every 100 ms", TIMEOUT, bent(same, "drip")),
)

NO_BODIES = (
    Row("no HTTP", INVALID, always(Fault(b"220 mail.example ESMTP\r\n", "close"))),
    Row("a Content-Length that is no number", INVALID, bent(same, "close", Content_Length="many")),
    Row("a Content-Length too short", INVALID, lambda body: Fault(http(body=body, Content_Length=str(len(body) - 9)))),
    Row("an endless body", INVALID, always(Fault(http(Content_Length=str(10**12)), "flood"))),
    Row(
        "an endless body in chunks",
        INVALID,
        always(Fault(http(body=b"fffffff\r\n", Transfer_Encoding="chunked"), "flood")),
    ),
    Row("a gzip bomb", INVALID, ok(BOMB, Content_Encoding="gzip")),
    Row("204", INVALID, always(Fault(b"HTTP/1.1 204 No Content\r\n\r\n"))),
)

NO_ANSWERS = (
    Row("an error body under 200", INVALID, ok(b'{"error_code":"WKS.1","error_msg":"no"}')),
    Row("an error body beside the answer", INVALID, bent(lambda body: b'{"code":7,' + body[1:])),
    Row("an error code that is a list", INVALID, bent(lambda body: b'{"error_code":[],' + body[1:])),
    Row("an error code past 64 bits", INVALID, bent(lambda body: b'{"code":%d,' % HUGE + body[1:])),
    Row("an empty body", INVALID, ok(b"")),
    Row("null", INVALID, ok(b"null")),
    Row("[]", INVALID, ok(b"[]")),
    Row("HTML under 200", INVALID, ok(HTML, Content_Type="application/json")),
    Row("truncated JSON", INVALID, bent(lambda body: body[:-9])),
    Row("a BOM", INVALID, bent(lambda body: b"\xef\xbb\xbf" + body)),
    Row("UTF-16", INVALID, bent(lambda body: body.decode().encode("utf-16"))),
    Row("NaN", INVALID, bent(lambda body: b'{"x":NaN,' + body[1:])),
    Row("nested 200,000 deep", INVALID, bent(lambda body: b'{"x":%s,' % DEEP + body[1:])),
    Row("nested 200,000 deep and open", INVALID, ok(DEEP[:200_000])),
)


def listing(*sessions: object) -> bytes:
    return json_of({"session_info_list": sessions})


def detail(account: object) -> bytes:
    return json_of({"user_detail": account})


def page(*users: object, total: object = 1) -> bytes:
    return json_of({"users": users, "total_count": total})


OF_SESSIONS = (LIST_SESSION_BY_USER_NAME,)
OF_ACCOUNTS = (LIST_USER_DETAIL,)
OF_LOOKUPS = (LIST_USERS,)

ONE = {"id": "z1", "session_state": "Active", "client_version": "9", "agent_version": "9"}
GOOD = listing(ONE)
ZOE = {"id": "id-of-zoe", "user_name": "zoe"}


def wrong(operations: tuple[str, ...], what: str, values: dict[str, object], answer: Callable[..., bytes]) -> list[Row]:
    """A row for each field, which holds what it never holds; ``answer`` makes a body of a field and its value."""
    return [
        Row(f"{what} whose {name} is {json.dumps(value):.14}", INVALID, ok(answer(name.split()[0], value)), operations)
        for name, value in values.items()
    ]


NO_LISTS: dict[str, object] = {"list": {}, "list again": "", "list of": [None], "list of such": [7]}
WRONG_SESSIONS: dict[str, object] = {
    "id": 7,
    "session_state": ["Active"],
    "client_version": 1.5,
    "agent_version": {},
    "failed_code": HUGE,
    "app_server_group_id": True,
}
WRONG_ACCOUNTS: dict[str, object] = {
    "locked": "no",
    "user_expired": 1,
    "disabled": [],
    "account_expires": "never",
    "account_expires too": 1.5,
}
WRONG_LOOKUPS: dict[str, object] = {"id": 7, "user_name": ["zoe"]}
WRONG_TOTALS: dict[str, object] = {"total_count": "1", "total_count too": 1.5}

WRONG_TYPES = (
    *wrong(OF_SESSIONS, "an answer", NO_LISTS, lambda _, value: json_of({"session_info_list": value})),
    *wrong(OF_SESSIONS, "a session", WRONG_SESSIONS, lambda name, value: listing({**ONE, name: value})),
    *wrong(OF_ACCOUNTS, "an account", WRONG_ACCOUNTS, lambda name, value: detail(ACCOUNTS["bob"] | {name: value})),
    *wrong(OF_LOOKUPS, "a page", NO_LISTS, lambda _, value: json_of({"users": value})),
    *wrong(OF_LOOKUPS, "a user", WRONG_LOOKUPS, lambda name, value: page(ZOE | {name: value})),
    *wrong(OF_LOOKUPS, "a page", WRONG_TOTALS, lambda _, value: page(ZOE, total=value)),
    Row("an account that is null", INVALID, ok(detail(None)), OF_ACCOUNTS),
    Row("an account that is a list", INVALID, ok(detail([ACCOUNTS["bob"]])), OF_ACCOUNTS),
    Row("neither account nor users", INVALID, ok(b"{}"), OF_ACCOUNTS + OF_LOOKUPS),
    Row("a page whose users are null", INVALID, ok(b'{"users":null,"total_count":1}'), OF_LOOKUPS),
    Row("invalid UTF-8", INVALID, ok(b'{"session_info_list":[{"client_version":"\xff"}]}'), OF_SESSIONS),
    Row("half a surrogate pair", INVALID, ok(b'{"session_info_list":[{"client_version":"\\ud800 "}]}'), OF_SESSIONS),
    Row("invalid UTF-8 in a name", INVALID, ok(b'{"users":[{"id":"7","user_name":"\xff"}]}'), OF_LOOKUPS),
)

FAILURES = (*STATUSES, *BREAKS, *STALLS, *NO_BODIES, *NO_ANSWERS, *WRONG_TYPES)
"""Of these no answer is to be believed."""


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

GROUPS = {
    "statuses": STATUSES,
    "broken connections": BREAKS,
    "stalled connections": STALLS,
    "no body that may be read": NO_BODIES,
    "no answer": NO_ANSWERS,
    "wrong types": WRONG_TYPES,
    "odd sessions": ODD_SESSIONS,
    "odd accounts": ODD_ACCOUNTS,
    "odd lookups": ODD_LOOKUPS,
}
