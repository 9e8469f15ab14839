"""Gzip in segments: pieces of text that are compressed once and appear in many gzip streams.

A deflate stream may continue after a full flush with data that was compressed elsewhere, if that begins and ends with
a full flush, too. So a stream consists of segments, and only the ones with a new text have to be compressed.
"""

import struct
import zlib
from collections.abc import Generator
from typing import NamedTuple

import msgspec

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # gzip, deflate, no name, no time, fastest, any system
_RAW = -zlib.MAX_WBITS  # makes zlib write deflate data without header and trailer
_POLYNOMIAL = 0xEDB88320  # of CRC-32. The highest bit is the coefficient of x to the power of 0.
_ONE = 1 << 31
_X_TO_8 = 1 << 23


class Segment(msgspec.Struct, frozen=True, gc=False):
    """A text with its compressed form, which can follow any other."""

    text: bytes
    deflated: bytes


class Run(NamedTuple):
    """Segments in their order, with the checksum of their whole text."""

    segments: tuple[Segment, ...]
    crc: int
    crc_factor: int  # what the checksum of a text before it is multiplied by
    length: int  # bytes of text


def run_of(segments: tuple[Segment, ...]) -> Generator[None, None, Run]:
    """Return a run. Takes one step per segment."""
    crc = length = 0
    for segment in segments:
        crc = zlib.crc32(segment.text, crc)
        length += len(segment.text)
        yield
    return Run(segments, crc, crc_factor(length), length)


class Deflater:
    """Makes segments. It is kept, because a new compressor costs more than compressing a segment."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(level=1, wbits=_RAW)

    def segment(self, text: str) -> Segment:
        """Compress a text."""
        encoded = text.encode()
        if not encoded:
            return Segment(b"", b"")
        return Segment(encoded, self._compressor.compress(encoded) + self._compressor.flush(zlib.Z_FULL_FLUSH))


class GzipWriter:
    """A text in pieces, and the same as one gzip member."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.compressed: list[bytes] = [_HEADER]
        self._compressor = zlib.compressobj(level=1, wbits=_RAW)
        self._crc = self._length = 0

    def write(self, piece: bytes) -> None:
        """Add a piece that is compressed now."""
        self.pieces.append(piece)
        self.compressed.append(self._compressor.compress(piece))
        self._crc = zlib.crc32(piece, self._crc)
        self._length += len(piece)

    def add(self, run: Run) -> None:
        """Add segments that are compressed already."""
        self.compressed.append(self._compressor.flush(zlib.Z_FULL_FLUSH))
        self.pieces += [segment.text for segment in run.segments]
        self.compressed += [segment.deflated for segment in run.segments]
        self._crc = joined_crc(self._crc, run.crc, run.crc_factor)
        self._length += run.length

    def finish(self) -> None:
        """End the gzip member."""
        trailer = struct.pack("<LL", self._crc, self._length & 0xFFFFFFFF)
        self.compressed += [self._compressor.flush(), trailer]


def joined_crc(first: int, second: int, factor: int) -> int:
    """Return the CRC-32 of two joined texts from the CRC-32 of each and the `crc_factor` of the second."""
    return _product(first, factor) ^ second


def crc_factor(length: int) -> int:
    """Return what ``length`` further bytes multiply a CRC-32 by.

    A checksum is a polynomial modulo another one, as in zlib's crc32_combine. Each byte multiplies it by x to the
    power of 8.
    """
    factor, square = _ONE, _X_TO_8
    while length:
        if length & 1:
            factor = _product(factor, square)
        square = _product(square, square)
        length >>= 1
    return factor


def _product(one: int, other: int) -> int:
    product = 0
    while one:
        if one & _ONE:
            product ^= other
        one = one << 1 & 0xFFFFFFFF
        other = other >> 1 ^ (_POLYNOMIAL if other & 1 else 0)
    return product
