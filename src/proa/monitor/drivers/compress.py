"""Compresses files of logs that are written no more, in a child: nobody waits for it, unless the
next file is full before it is done.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Never

SUFFIX = ".gz"
_CHUNK = 1 << 20
_GZIP = 31
"""zlib's window bits that mean: with gzip's header"""


class Compressor:
    """One file after the other."""

    def __init__(self) -> None:
        self._child = 0

    def begin(self, path: str) -> None:
        """Put `path`.gz in the place of `path`. Until then, the latter is whole."""
        self.finish()
        self._child = posix.fork()
        if self._child == 0:
            _work(path)

    def finish(self) -> None:
        """Wait for the last one: then the files can get other names, or be removed."""
        if self._child:
            posix.waitpid(self._child, 0)
            self._child = 0


def _work(path: str) -> Never:
    try:
        posix.nice(10)
        compress(path)
    finally:
        posix._exit(0)


def compress(path: str) -> None:
    """Put `path`.gz in the place of `path`, with the same time: that tells whose content it is."""
    import zlib

    temporary = f"{path}{SUFFIX}.new"
    source = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
    sink = posix.open(temporary, flags, 0o640)
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    while part := posix.read(source, _CHUNK):
        _write(sink, packer.compress(part))
    _write(sink, packer.flush())
    status = posix.fstat(source)
    posix.utime(sink, ns=(status.st_atime_ns, status.st_mtime_ns))
    posix.close(sink)
    posix.rename(temporary, f"{path}{SUFFIX}")
    posix.unlink(path)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[posix.write(descriptor, view) :]
