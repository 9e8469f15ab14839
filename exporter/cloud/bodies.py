"""What every body of the cloud may be: an error in one of several forms, under whatever status."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Body(msgspec.Struct, frozen=True):
    """What every body may carry: an error code, under the service's or the gateway's name for it or as IAM nests it."""

    error_code: str | int | None = None
    errorCode: str | int | None = None  # noqa: N815 - the gateway's spelling
    code: str | int | None = None
    error: msgspec.Raw = msgspec.Raw()


class ErrorBody(Exception):
    """A body under a status of success that carries an error code, as the reference documents for some."""

    def __init__(self, code: str | None) -> None:
        super().__init__(code or "neither the expected field nor an error code")
        self.code = code


UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ErrorBody)
"""What decoders raise."""

B = TypeVar("B", bound=Body)
_MOST_OF_A_MESSAGE = 4096  # bytes of a body that are searched for a quota
_SUCCESS_CODES = frozenset({"", "0", "200", "WKS.00000000"})


def _code_of(body: Body) -> str | None:
    for code in (body.error_code, body.errorCode, body.code):
        if code is not None and str(code) not in _SUCCESS_CODES:
            return str(code)
    return None


def decoder(kind: type[B]) -> Callable[[bytes], B]:
    """A decoder of bodies of this kind, which raises one of UNDECODABLE."""
    decode = msgspec.json.Decoder(kind).decode

    def checked(body: bytes) -> B:
        answer = decode(body)
        if code := _code_of(answer) or (answer.error and _code_in(answer.error)):
            raise ErrorBody(code)
        return answer

    return checked


_any_body = msgspec.json.Decoder(Body).decode
_any_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def present(value: T | None, body: bytes) -> T:
    """The value, which a body must have; ErrorBody where it has not."""
    if value is None:
        raise ErrorBody(error_code(body))
    return value


def error_code(body: bytes) -> str | None:
    """The error code that a body carries, at the top or one level down; None where it carries none."""
    try:
        parts = [body, *_any_object(body).values()]
    except UNDECODABLE:
        return None
    return next((code for part in parts if (code := _code_in(part))), None)


_QUOTA = re.compile(rb"limit:(\d{1,9}),time:(\d{1,6}) (second|minute|hour|day)")
_MINUTES = {b"second": 1 / 60, b"minute": 1.0, b"hour": 60.0, b"day": 1440.0}


def told_quota(body: bytes) -> float | None:
    """Calls a minute that a 429's message names, as in ``limit:200,time:1 minute``; None where it names none."""
    found = _QUOTA.search(body[:_MOST_OF_A_MESSAGE])
    if found is None or not int(found[1]) or not int(found[2]):
        return None
    return int(found[1]) / (int(found[2]) * _MINUTES[found[3]])


def _code_in(part: bytes | msgspec.Raw) -> str | None:
    try:
        return _code_of(_any_body(part))
    except UNDECODABLE:
        return None
