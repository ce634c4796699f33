"""Gives memory back that a process will hardly need while it waits.

proc_pid_smaps(5), madvise(2), malloc_trim(3).
"""

from __future__ import annotations

import posix

from proa.kernel.libc import function

_MADV_DONTNEED = 4


def release() -> None:
    """Let go of free memory of the C library, and of all unchanged pages of mapped files.

    What is needed again is read back from the page cache, by a fault for each page or some.
    """
    _trim_heap()
    madvise = function("madvise", "LLi", "i")
    for start, end in _unchanged():
        try:
            madvise(start, end - start, _MADV_DONTNEED)
        except OSError:
            continue  # locked, or of a kind that has no pages to give back


def _trim_heap() -> None:
    try:
        malloc_trim = function("malloc_trim", "L", "i")
    except OSError:
        return  # another C library than glibc
    malloc_trim(0)


def _unchanged() -> list[tuple[int, int]]:
    """Address ranges of private mappings of files that cannot be written to, and never were.

    Not written to now is not enough: the linker's tables were, before they were protected.
    """
    descriptor = posix.open("/proc/self/smaps", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        text = b""
        while part := posix.read(descriptor, 1 << 16):
            text += part
    finally:
        posix.close(descriptor)
    found: list[tuple[int, int]] = []
    candidate: tuple[int, int] | None = None
    for line in text.splitlines():
        fields = line.split()
        if fields[0] == b"Anonymous:":
            if candidate is not None and fields[1] == b"0":
                found.append(candidate)
        elif not fields[0].endswith(b":"):
            addresses, rights, _, _, inode, *_ = fields
            start, _, end = addresses.partition(b"-")
            is_file = inode != b"0" and rights[1:2] == b"-" and rights[3:4] == b"p"
            candidate = (int(start, 16), int(end, 16)) if is_file else None
    return found
