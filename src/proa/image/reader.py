"""Reading streams: to the byte, from the beginning again, decompressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from proa.errors import CorruptData
from proa.snapshot.decompress import chunks, sniff

if TYPE_CHECKING:
    from collections.abc import Callable

SNIFF = 6
"""Bytes that tell how a stream is compressed."""


class BinaryReader(Protocol):
    """Anything that is read from the beginning to the end."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end only."""


class Rejoined:
    """A stream whose first bytes were read already."""

    def __init__(self, start: bytes, stream: BinaryReader) -> None:
        self._start = start
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""
        if self._start:
            data, self._start = self._start[:size], self._start[size:]
            return data
        return self._stream.read(size)


class Decompressed:
    """The plain data of a stream that may be compressed."""

    def __init__(self, stream: BinaryReader, what: str) -> None:
        """`what` names the stream in errors."""
        self._next: Callable[[], bytes] = chunks(stream)
        self._what = what
        self._chunk = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes. Raises CorruptData where the data is damaged or cut off."""
        if not self._chunk:
            try:
                self._chunk = memoryview(self._next())
            except CorruptData as error:
                raise CorruptData(f"{self._what} cannot be read: {error}") from None
        data, self._chunk = self._chunk[:size], self._chunk[size:]
        return bytes(data)


def decompressed(stream: BinaryReader, what: str) -> tuple[BinaryReader, str]:
    """A reader of the plain data in `stream`, and how it is compressed: gzip, zstd, …, plain."""
    start = read_exactly(stream, SNIFF)
    kind = sniff(start)
    joined = Rejoined(start, stream)
    return (joined if kind == "plain" else Decompressed(joined, what)), kind


def read_exactly(stream: BinaryReader, size: int) -> bytes:
    """`size` bytes, fewer only at the end."""
    data = stream.read(size) if size else b""
    if len(data) == size or not data:
        return data
    parts = [data]
    size -= len(data)
    while size and (data := stream.read(size)):
        parts.append(data)
        size -= len(data)
    return b"".join(parts)
