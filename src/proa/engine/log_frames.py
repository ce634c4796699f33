"""Reads the logs of the driver `local`; see monitor.drivers.local for their form."""

from __future__ import annotations

import os

from proa.engine.logs import Kept, LogEntry
from proa.lean import clock
from proa.monitor.drivers.local import LENGTH, LONGEST, NAME, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_CHUNK = 1 << 20


def kept_locally(directory: str) -> Kept:
    """The log of the container with that directory."""
    return Kept(f"{directory}/{NAME}", _frames, _parse)


def _frames(file: BinaryIO) -> Iterator[bytes]:
    """The messages of a file; one that is being written is read again when it is whole."""
    data = b""
    while chunk := file.read(_CHUNK):
        data += chunk
        at = 0
        while len(data) - at >= LENGTH.size:
            (length,) = LENGTH.unpack_from(data, at)
            if length > LONGEST:
                return  # a full disk has cut a record: nobody knows where the next one begins
            end = at + LENGTH.size + length + LENGTH.size
            if end > len(data):
                break
            yield data[at + LENGTH.size : end - LENGTH.size]
            at = end
        data = data[at:]
    if data:
        file.seek(-len(data), os.SEEK_CUR)


def _parse(message: bytes) -> LogEntry | None:
    try:
        stream, moment, data = decode(message)
    except (ValueError, IndexError):
        return None
    return LogEntry(stream, clock.from_nanoseconds(moment), data)
