"""Answers that are made to cost time or memory."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import cache

from support.faulty_server import Fault, http

from exporter.cloud.bodies import answer_limit
from exporter.cloud.client import (
    LIST_SERVER_GROUPS,
    LIST_SERVERS,
    LIST_SESSION_BY_USER_NAME,
    LIST_SESSIONS,
    LIST_USER_DETAIL,
    LIST_USERS,
)

MB = 1_000_000
LISTS = {
    LIST_SESSION_BY_USER_NAME: "session_info_list",
    LIST_USERS: "users",
    **dict.fromkeys((LIST_SESSIONS, LIST_SERVERS, LIST_SERVER_GROUPS), "items"),
}


def entry(operation: str, content: bytes) -> bytes:
    """An answer with one entry."""
    if operation == LIST_USER_DETAIL:
        return b'{"user_detail":{%s}}' % content
    return b'{"%s":[{%s}]}' % (LISTS[operation].encode(), content)


def filled(operation: str, begin: bytes, piece: bytes, end: bytes) -> bytes:
    """An answer with one entry that is as long as the limit allows, full of pieces."""
    room = answer_limit(operation) - len(entry(operation, begin + end))
    return entry(operation, begin + piece * (room // len(piece)) + end)


def of_pieces(begin: bytes, piece: bytes, end: bytes = b"") -> Callable[[str], bytes]:
    return lambda operation: http(body=filled(operation, begin, piece, end))


def entries(piece: bytes) -> Callable[[str], bytes]:
    """A list as long as the limit allows."""
    return lambda operation: http(
        body=b'{"%s":[%s{}]}'
        % (LISTS.get(operation, "x").encode(), piece * ((answer_limit(operation) - 99) // len(piece)))
    )


KEYS = b"{%s}" % b",".join(b'"key%d":%d' % (n, n) for n in range(14 * MB // 18))
SHORT_KEYS = b"{%s}" % b",".join(b'"%d":{}' % n for n in range(60_000 // 12))
CHUNKED = {"Transfer_Encoding": "chunked"}

HOSTILE: dict[str, Callable[[str], bytes]] = {
    "14 MB of keys": lambda _: http(body=KEYS),
    "14 MB of keys under 500": lambda _: http("500 Internal Server Error", KEYS),
    "14 MB of keys under 404": lambda _: http("404 Not Found", KEYS),
    "14 MB of keys in chunks": lambda _: http(body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(KEYS), KEYS), **CHUNKED),
    "64 KB of objects under 500": lambda _: http("500 Internal Server Error", SHORT_KEYS),
    "64 KB of objects": lambda _: http(body=SHORT_KEYS),
    "as many keys as fit": lambda operation: http(body=KEYS[: answer_limit(operation) - 99].rpartition(b",")[0] + b"}"),
    "lists in a time": of_pieces(b'"start_time":[', b"[],", b"[]]"),
    "lists in an id": of_pieces(b'"id":[', b"[],", b"[]]"),
    "objects in an unknown field": of_pieces(b'"x":[', b"{},", b"{}]"),
    "nested lists": of_pieces(b'"start_time":', b"["),
    "nested objects": of_pieces(b'"x":', b'{"x":'),
    "the same field": of_pieces(b'"locked":1,', b'"id":[],', b'"id":7'),
    "the same error": lambda operation: http(body=b'{%s"x":1}' % (b'"error":{},' * (answer_limit(operation) // 12))),
    "escapes": of_pieces(b'"id":"', b"\\u65e5", b'"'),
    "digits": of_pieces(b'"id":', b"9"),
    "digits of a fraction": of_pieces(b'"account_expires":0.', b"9"),
    "a text": of_pieces(b'"id":"', b"x", b'"'),
    "no UTF-8": of_pieces(b'"id":"', b"\xff", b'"'),
    "empty entries": entries(b"{},"),
    "entries of another type": entries(b"[],"),
    "a thousand sessions of another type": lambda _: http(
        body=b'{"session_info_list":[%s{}]}' % (b'{"id":7,"session_state":[],"client_version":%s},' % b'"9"' * 999)
    ),
    "19,000 entries with a number as an id": lambda operation: http(
        body=entry(operation, b"%s" % b'"id":7},{' * 19_000)
    ),
    "a gzip bomb": lambda _: http(body=gzip.compress(bytes(50 * MB)), Content_Encoding="gzip"),
    "chunks of a byte": lambda _: http(body=b"1\r\nx\r\n" * (2 * MB), **CHUNKED),
    "answers before the answer": lambda _: b"HTTP/1.1 100 Continue\r\n\r\n" * (MB // 25) + http(),
    "answers after the answer": lambda _: http() * (MB // 40),
    "a header of 10 MB": lambda _: http(X=("x" * 10 * MB)),
    "a million headers": lambda _: b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * MB,
    "a million trailers": lambda _: http(body=b"0\r\n" + b"A: b\r\n" * MB, **CHUNKED),
}
"""By name, what is sent instead of an answer to an operation."""


@cache
def fault(name: str, operation: str) -> Fault:
    return Fault(HOSTILE[name](operation), kind=name)
