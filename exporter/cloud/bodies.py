"""Error codes, which any body may carry in one of several forms, under any status."""

import re
from collections.abc import Callable
from itertools import islice
from typing import TypeVar

import msgspec

from exporter.cloud.reading import ERROR_LIMIT


class Body(msgspec.Struct, frozen=True):
    """The error code that any body may carry: as the service, the gateway or IAM (nested) names it."""

    error_code: str | int | None = None
    errorCode: str | int | None = None  # noqa: N815 - the gateway's spelling
    code: str | int | None = None
    error: msgspec.Raw = msgspec.Raw()


class ErrorBody(Exception):
    """A body under a status of success that is no answer. It may carry an error code, as the reference documents."""

    def __init__(self, code: str | None) -> None:
        super().__init__(code or "neither the expected field nor an error code")
        self.code = code


UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ErrorBody)  # the exceptions that decoders raise
T = TypeVar("T")
B = TypeVar("B", bound=Body)

_SUCCESS_CODES = frozenset({"", "0", "200", "WKS.00000000"})
_MAX_PARTS = 32  # fields of an error's body that are searched for a nested code
_MAX_MESSAGE = 4096  # bytes of a body that are searched for a quota
_QUOTA = re.compile(rb"limit:(\d{1,9}),time:(\d{1,6}) (second|minute|hour|day)")
_MINUTES = {b"second": 1 / 60, b"minute": 1.0, b"hour": 60.0, b"day": 1440.0}

_any_body = msgspec.json.Decoder(Body).decode
_any_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def decoder(kind: type[B]) -> Callable[[bytes], B]:
    """Return a decoder of bodies of this kind. It raises one of UNDECODABLE, also for an error code in the body."""
    decode = msgspec.json.Decoder(kind).decode

    def checked(body: bytes) -> B:
        answer = decode(body)
        if code := _code_of(answer) or (answer.error and _code_in(answer.error)):
            raise ErrorBody(code)
        return answer

    return checked


def present(value: T | None, body: bytes) -> T:
    """Return the value of the field that a body must have. Raises ErrorBody if it is missing."""
    if value is None:
        raise ErrorBody(error_code(body))
    return value


def check_empty(body: bytes) -> None:
    """Raise ErrorBody unless the body is an object in which every field is null, or that has none."""
    if len(body) > ERROR_LIMIT or any(bytes(value) != b"null" for value in _any_object(body).values()):
        raise ErrorBody(error_code(body))


def error_code(body: bytes) -> str | None:
    """Return the error code that a body carries, at the top or one level down; None if it carries none."""
    if len(body) > ERROR_LIMIT:
        return None
    try:
        parts = [body, *islice(_any_object(body).values(), _MAX_PARTS)]
    except UNDECODABLE:
        return None
    return next((code for part in parts if (code := _code_in(part))), None)


def quota_from_429(body: bytes) -> float | None:
    """Return the requests per minute that a 429 names, as in ``limit:200,time:1 minute``; None if it names none."""
    found = _QUOTA.search(body[:_MAX_MESSAGE])
    if found is None or not int(found[1]) or not int(found[2]):
        return None
    return int(found[1]) / (int(found[2]) * _MINUTES[found[3]])


def _code_of(body: Body) -> str | None:
    for code in (body.error_code, body.errorCode, body.code):
        if code is not None and str(code) not in _SUCCESS_CODES:
            return str(code)
    return None


def _code_in(part: bytes | msgspec.Raw) -> str | None:
    try:
        return _code_of(_any_body(part))
    except UNDECODABLE:
        return None
