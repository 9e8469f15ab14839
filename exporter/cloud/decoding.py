"""Lenient decoding: a field of another type than documented costs that field, not the answer.

An answer is decoded as documented first. Only if that fails, its entries are decoded again, field by field.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Annotated, TypeVar

import msgspec
import structlog

from exporter.cloud.bodies import Body, ErrorBody, decoder

_logger: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_MAX_OBJECTS = 20_000  # in one answer; one with more is not even decoded
_MAX_NAME = 256  # characters; a longer name is dropped, because a part of it would be another name
_TOTAL = re.compile(rb'(-?\d{1,99})(?:\.0+)?|"(\d{1,99})"').fullmatch

NULL = msgspec.Raw(b"null")
Text = str | None
Name = Annotated[str, msgspec.Meta(max_length=_MAX_NAME)] | None
E = TypeVar("E", bound=msgspec.Struct)
B = TypeVar("B", bound=Body)


def lenient_decoder(envelope: type[B], kind: type[msgspec.Struct]) -> Callable[[bytes], B]:
    """Return a decoder of answers with entries of this kind, or with raw ones if a field has another type."""
    raw_fields = [(name, msgspec.Raw, NULL) for name in kind.__struct_fields__]
    raw_kind = msgspec.defstruct(f"Raw{kind.__name__}", raw_fields, gc=False)
    typed: Callable[[bytes], B] = decoder(envelope[kind])  # type: ignore[index] # it is generic in its entries
    raw: Callable[[bytes], B] = decoder(envelope[raw_kind])  # type: ignore[index] # the same

    def decode(body: bytes) -> B:
        if body.count(b"{") > _MAX_OBJECTS:  # few texts have braces
            raise ErrorBody(None)
        try:
            return typed(body)
        except msgspec.ValidationError:
            return raw(body)

    return decode


def entries_as(kind: type[E], entries: list[msgspec.Struct], most: int) -> list[E]:
    """Return entries as this kind. Raises ErrorBody for too many.

    A raw number is read as a text where a text is expected. Other fields of another type are dropped.
    """
    if len(entries) > most:
        raise ErrorBody(None)
    return [entry if isinstance(entry, kind) else kind(*_fields(kind, entry)) for entry in entries]


def _fields(kind: type[msgspec.Struct], entry: msgspec.Struct) -> Iterator[object]:
    for (name, decode, is_text), raw in zip(_readers(kind), msgspec.structs.astuple(entry), strict=True):
        value = None
        try:
            value = decode(raw)
        except msgspec.ValidationError:
            if is_text and len(memoryview(raw)) <= _MAX_NAME and memoryview(raw)[0] in b"-0123456789":
                value = bytes(raw).decode()
                _report("field_read_as_text", kind.__name__, name)
            else:
                _report("field_dropped", kind.__name__, name)
        yield value


@lru_cache
def _readers(kind: type[msgspec.Struct]) -> list[tuple[str, Callable[[msgspec.Raw], object], bool]]:
    """Return each field's name and decoder, and whether it is a text that may be written as a number."""
    fields = msgspec.structs.fields(kind)
    return [(field.name, msgspec.json.Decoder(field.type).decode, field.type in (Text, Name)) for field in fields]


def listing_total(raw: msgspec.Raw) -> int | None:
    """Return the number of all entries, None if the cloud does not say. Without it, no listing is known to be whole."""
    text = bytes(raw)
    if match := _TOTAL(text):
        return int(match[1] or match[2])
    if text != b"null":
        _report("field_unreadable", "page", "number of all entries")
        raise ErrorBody(None)
    return None


@lru_cache(maxsize=64)  # once for each field
def _report(event: str, entry: str, field: str) -> None:
    _logger.warning(event, entry=entry, field=field, reason="the cloud sends a value of another type than documented")
