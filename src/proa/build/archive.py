"""Archives: those that ADD unpacks, and build contexts that are one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from proa.errors import CorruptData, ProaError
from proa.snapshot.decompress import chunks
from proa.snapshot.place import Rules, place

if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.snapshot.decompress import Stream

_BLOCK = 512


class File:
    """A descriptor to read from."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""
        return os.read(self._descriptor, size)


def is_archive(file: int) -> bool:
    """Whether the file `file`, a descriptor at its beginning, is a tar archive, compressed or not.

    Its name does not matter. The descriptor is at its beginning again afterwards.
    """
    try:
        following = chunks(File(file))
        head = b""
        while len(head) < _BLOCK and (chunk := following()):
            head += chunk
        return _is_header(head[:_BLOCK])
    except ProaError:
        return False
    finally:
        os.lseek(file, 0, os.SEEK_SET)


def unpack(
    stream: Stream, root: int, destination: str, *, owner: tuple[int, int] | None = None
) -> None:
    """Unpack an archive into the directory `destination` of the file system `root`.

    `owner`: of everything; None: as the archive has it. Raises CorruptData, HostileData.
    """
    following = chunks(stream)
    place(root, destination, following, rules=Rules(owner=owner))


def unpack_context(stream: Stream, directory: str) -> None:
    """Unpack a build context into a directory of ours. Raises CorruptData, HostileData."""
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        following = chunks(stream)
        first = following()
        if not _is_header(first[:_BLOCK]):
            raise CorruptData("the build context is no tar archive")
        rest = _again(first, following)
        place(root, "/", rest, rules=Rules(own=True, devices=False), confined=True)
    finally:
        os.close(root)


def _again(first: bytes, following: Callable[[], bytes]) -> Callable[[], bytes]:
    waiting = [first]
    return lambda: waiting.pop() if waiting else following()


def _is_header(block: bytes) -> bool:
    """Whether the checksum of a tar header is right: all bytes, its own eight taken as blanks."""
    if len(block) < _BLOCK or not any(block):
        return False
    try:
        stored = int(block[148:156].strip(b" \0") or b"-1", 8)
    except ValueError:
        return False
    return stored == sum(block) - sum(block[148:156]) + 8 * 32
