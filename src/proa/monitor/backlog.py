"""Bytes that wait for a slow reader: in memory first, then in a file without a name.

A container is never held up by who watches it, and nobody who reads slowly loses anything, up
to a limit on the disk.
"""

from __future__ import annotations

import posix

IN_MEMORY = 1024 * 1024
IN_FILE = 4 * 1024 * 1024 * 1024
_CHUNK = 256 * 1024


class Backlog:
    """A queue of bytes; `directory` is where its file goes when it needs one."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._memory = bytearray()
        self._file = -1
        self._read_at = 0
        self._write_at = 0

    def __bool__(self) -> bool:
        return bool(self._memory) or self._read_at < self._write_at

    def append(self, data: bytes) -> bool:
        """Queue `data`; False where the limit is reached or the disk is full."""
        if self._read_at == self._write_at and len(self._memory) + len(data) <= IN_MEMORY:
            self._memory += data
            return True
        try:
            if self._file < 0:
                flags = posix.O_TMPFILE | posix.O_RDWR | posix.O_CLOEXEC
                self._file = posix.open(self._directory, flags, 0o600)
            if self._write_at - self._read_at + len(data) > IN_FILE:
                return False
            view = memoryview(data)
            while view:
                written = posix.pwrite(self._file, view, self._write_at)
                self._write_at += written
                view = view[written:]
        except OSError:
            return False
        return True

    def first(self) -> bytes:
        """The bytes that are next, some or all of them; they stay until `drop`."""
        if not self._memory and self._read_at < self._write_at:
            self._memory += posix.pread(
                self._file, min(_CHUNK, self._write_at - self._read_at), self._read_at
            )
            self._read_at += len(self._memory)
            if self._read_at == self._write_at:
                self._read_at = self._write_at = 0
                posix.ftruncate(self._file, 0)
        return bytes(self._memory[:_CHUNK])

    def drop(self, count: int) -> None:
        """The first `count` bytes have been passed on."""
        del self._memory[:count]

    def close(self) -> None:
        """Forget what waits."""
        if self._file >= 0:
            posix.close(self._file)
            self._file = -1
        self._memory.clear()
        self._read_at = self._write_at = 0
