"""The first half of the table: answers that are rejected, and how each is counted."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

from faults.rows import (
    BROKEN,
    HUGE,
    INVALID,
    OF_ACCOUNTS,
    OF_LOOKUPS,
    OF_SESSIONS,
    TIMEOUT,
    Row,
    always,
    amid_the_body,
    amid_the_headers,
    before_the_body,
    bent,
    cut,
    detail,
    json_of,
    ok,
    same,
    status,
)
from faults.truth import ACCOUNTS
from support.faulty_server import Fault, http

if TYPE_CHECKING:
    from collections.abc import Callable

HTML = b"<html><body><h1>It went wrong</h1></body></html>"
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
    Row("an error code past 64 bits", INVALID, bent(lambda body: b'{"code":%d,' % HUGE + body[1:])),
    Row("a message", INVALID, ok(b'{"message":"Service under maintenance"}')),
    Row("an error's message without its code", INVALID, ok(b'{"error_msg":"Service under maintenance"}')),
    Row("a list of another name", INVALID, ok(b'{"sessions":[]}')),
    Row("null beside a message", INVALID, ok(b'{"session_info_list":null,"message":"Service under maintenance"}')),
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


def wrong(operations: tuple[str, ...], what: str, values: dict[str, object], answer: Callable[..., bytes]) -> list[Row]:
    """A row for each field, which holds what it never holds; ``answer`` makes a body of a field and its value."""
    return [
        Row(f"{what} whose {name} is {json.dumps(value):.14}", INVALID, ok(answer(name.split()[0], value)), operations)
        for name, value in values.items()
    ]


NO_LISTS: dict[str, object] = {"list": {}, "list again": "", "list of": [None], "list of such": [7]}
WRONG_TYPES = (
    *wrong(OF_SESSIONS, "an answer", NO_LISTS, lambda _, value: json_of({"session_info_list": value})),
    *wrong(OF_LOOKUPS, "a page", NO_LISTS, lambda _, value: json_of({"users": value})),
    Row("an account that is null", INVALID, ok(detail(None)), OF_ACCOUNTS),
    Row("an account that is a list", INVALID, ok(detail([ACCOUNTS["bob"]])), OF_ACCOUNTS),
    Row("neither account nor users", INVALID, ok(b"{}"), OF_ACCOUNTS + OF_LOOKUPS),
    Row("a page whose users are null", INVALID, ok(b'{"users":null,"total_count":1}'), OF_LOOKUPS),
    Row("invalid UTF-8", INVALID, ok(b'{"session_info_list":[{"client_version":"\xff"}]}'), OF_SESSIONS),
    Row("half a surrogate pair", INVALID, ok(b'{"session_info_list":[{"client_version":"\\ud800 "}]}'), OF_SESSIONS),
    Row("invalid UTF-8 in a name", INVALID, ok(b'{"users":[{"id":"7","user_name":"\xff"}]}'), OF_LOOKUPS),
)

FAILURES = (*STATUSES, *BREAKS, *STALLS, *NO_BODIES, *NO_ANSWERS, *WRONG_TYPES)
"""None of these answers may be believed."""
