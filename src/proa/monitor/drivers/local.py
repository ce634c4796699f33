"""The log driver `local`: Docker's compact form, rotated, older files compressed.

A record is a length (four bytes, big-endian), a message, and the length once more. The message is
a protocol buffer: source = 1 (text), time_nano = 2 (varint), line = 3 (bytes), partial = 4 (bool),
as in moby's api/types/plugins/logdriver/entry.proto. The line has no line end; one that is partial
goes on in the next record of its source.
"""

from __future__ import annotations

import posix
import struct
import time

from proa.monitor.log import LineLog, LogFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.monitor.drivers.options import LogOptions

DIRECTORY = "local-logs"
NAME = f"{DIRECTORY}/container.log"
LENGTH = struct.Struct(">I")
LONGEST = 1 << 20
"""Bytes; a longer message was not written by us."""
_SOURCE, _TIME, _LINE, _PARTIAL = 0x0A, 0x10, 0x1A, 0x20
"""Tags of the fields: number << 3 | kind (0 varint, 2 bytes)."""


class LocalLog(LineLog):
    """Writes `local-logs/container.log` in a container's directory."""

    def __init__(self, directory: str, options: LogOptions) -> None:
        super().__init__()
        try:
            posix.mkdir(f"{directory}/{DIRECTORY}", 0o700)
        except FileExistsError:
            pass
        self._file = LogFile(
            f"{directory}/{NAME}", options.max_size, options.max_files, compress=options.compress
        )

    def _append(self, stream: str, records: list[bytes]) -> None:
        moment = time.time_ns()
        self._file.store([encode(stream, moment, record) for record in records])

    def _end(self) -> None:
        self._file.close()


def encode(stream: str, moment: int, record: bytes) -> bytes:
    """A record as it is in the file; `moment`: nanoseconds since 1970."""
    line = record.removesuffix(b"\n")
    message = b"".join(
        (
            bytes((_SOURCE, len(stream))),
            stream.encode(),
            bytes((_TIME,)),
            _varint(moment),
            bytes((_LINE,)),
            _varint(len(line)),
            line,
            b"" if line is not record else bytes((_PARTIAL, 1)),
        )
    )
    length = LENGTH.pack(len(message))
    return length + message + length


def decode(message: bytes) -> tuple[str, int, bytes]:
    """Source, time in nanoseconds, and text with its line end. Raises ValueError, IndexError."""
    stream, moment, line, partial = "stdout", 0, b"", False
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        data = b""
        if tag & 7 == 2:
            data = message[at : at + value]
            at += value
        elif tag & 7:
            raise ValueError(f"a field of a kind that there is not: {tag}")
        if tag == _SOURCE:
            stream = data.decode("ascii")
        elif tag == _TIME:
            moment = value
        elif tag == _LINE:
            line = data
        elif tag == _PARTIAL:
            partial = bool(value)
    return stream, moment, line if partial else line + b"\n"


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number that is too long")
