"""A layer's bytes as they come (plain, gzip, zstd, bzip2, xz) made into chunks of tar.

What compressed them is told by their first bytes, as everybody does: media types lie too often.
However much one byte expands to, memory stays flat: each step makes at most one chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

from proa.errors import CorruptData

CHUNK = 1 << 19
"""Bytes of a chunk, but for the last: large enough for few calls, small enough for the cache."""

_INPUT = 1 << 17
_ZSTD_INPUT = 1 << 11
_ZSTD_WINDOW = 1 << 27
_XZ_MEMORY = 1 << 28

MAGICS = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
)
_LONGEST_MAGIC = 6
_SKIPPABLE = range(0x184D_2A50, 0x184D_2A60)
"""Magic numbers of zstd's skippable frames (RFC 8878, section 3.1.2)."""


class Stream(Protocol):
    """What a layer is read from: read(n) gives at most n bytes, none at the end."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def sniff(head: bytes) -> str:
    """What the first bytes say: gzip, zstd, bzip2, xz or plain."""
    for magic, name in MAGICS:
        if head.startswith(magic):
            return name
    if int.from_bytes(head[:4], "little") in _SKIPPABLE:
        return "zstd"
    return "plain"


def chunks(stream: Stream) -> Callable[[], bytes]:
    """A function that gives the next chunk of uncompressed bytes, and b"" at the end.

    It raises CorruptData where the data is damaged or ends too early, and whatever `stream`
    raises.
    """
    head = b""
    while len(head) < _LONGEST_MAGIC:
        more = stream.read(_INPUT - len(head))
        if not more:
            break
        head += more
    kind = sniff(head)
    if kind == "plain":
        return _Plain(stream, head).next
    if kind == "zstd":
        return _Zstd(stream, head).next
    return _Members(stream, head, kind).next


class _Plain:
    def __init__(self, stream: Stream, head: bytes) -> None:
        self._stream = stream
        self._head = head

    def next(self) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._stream.read(CHUNK)


class _Members:
    """gzip, bzip2 and xz: one stream after the other, and zeros at the end where tapes had them."""

    def __init__(self, stream: Stream, head: bytes, kind: str) -> None:
        self._stream = stream
        self._kind = kind
        self._pending = head
        self._new, self._errors = _factory(kind)
        self._current: _Decompressor = self._new()
        self._consumed = len(head)
        self._done = False

    def next(self) -> bytes:
        while not self._done:
            current = self._current
            if current.eof:
                self._next_member()
                continue
            data = b""
            if current.needs_input:
                data = self._pending or self._read()
                self._pending = b""
                if not data:
                    raise CorruptData(
                        f"corrupt layer: the {self._kind} data ends too early,"
                        f" after {self._consumed} bytes"
                    )
            try:
                output = current.decompress(data, CHUNK)
            except self._errors as error:
                raise CorruptData(
                    f"corrupt layer: bad {self._kind} data within the first"
                    f" {self._consumed} bytes: {error}"
                ) from None
            if output:
                return output
        return b""

    def _read(self) -> bytes:
        data = self._stream.read(_INPUT)
        self._consumed += len(data)
        return data

    def _next_member(self) -> None:
        rest = self._current.unused_data
        while not rest.strip(b"\0"):
            rest = self._read()
            if not rest:
                self._done = True
                return
        rest = rest.lstrip(b"\0")
        while len(rest) < _LONGEST_MAGIC and (more := self._read()):
            rest += more
        if sniff(rest) != self._kind:
            raise CorruptData(
                f"corrupt layer: something follows the {self._kind} data,"
                f" within the first {self._consumed} bytes"
            )
        self._pending = rest
        self._current = self._new()


def _factory(kind: str) -> tuple[Callable[[], _Decompressor], tuple[type[Exception], ...]]:
    if kind == "gzip":
        from isal import igzip_lib

        flag = igzip_lib.DECOMP_GZIP
        # its stub calls the class an instance
        error = cast("type[Exception]", igzip_lib.IsalError)
        return (
            lambda: igzip_lib.IgzipDecompressor(flag=flag),
            (error, EOFError, ValueError),
        )
    if kind == "bzip2":
        import bz2

        return bz2.BZ2Decompressor, (OSError, EOFError, ValueError)
    import lzma

    return (
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY),
        (lzma.LZMAError, EOFError),
    )


class _Zstd:
    """zstd frames one after the other, skippable ones among them.

    The binding cannot bound what one call puts out, and a block of 4 bytes may stand for 128
    KiB. So it is fed little at a time.
    """

    def __init__(self, stream: Stream, head: bytes) -> None:
        import zstandard

        self._stream = stream
        self._input = head
        self._position = 0
        self._context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._error = zstandard.ZstdError
        self._frame = self._context.decompressobj()
        self._consumed = len(head)
        self._fed = False

    def next(self) -> bytes:
        outputs: list[bytes] = []
        size = 0
        while size < CHUNK:
            if self._position == len(self._input):
                self._input, self._position = self._stream.read(_INPUT), 0
                self._consumed += len(self._input)
                if not self._input:
                    if self._fed:
                        raise CorruptData(
                            "corrupt layer: the zstd data ends too early,"
                            f" after {self._consumed} bytes"
                        )
                    break
            piece = self._input[self._position : self._position + _ZSTD_INPUT]
            self._position += len(piece)
            try:
                output = self._frame.decompress(piece)
            except self._error as error:
                raise CorruptData(
                    f"corrupt layer: bad zstd data within the first {self._consumed} bytes: {error}"
                ) from None
            self._fed = True
            if self._frame.eof:
                self._position -= len(self._frame.unused_data)
                self._frame = self._context.decompressobj()
                self._fed = False
            if output:
                outputs.append(output)
                size += len(output)
        return outputs[0] if len(outputs) == 1 else b"".join(outputs)
