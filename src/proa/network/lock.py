"""One process at a time changes bridges and rules of a network namespace."""

from __future__ import annotations

import fcntl
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class NamespaceLock:
    """Held within `with`, by whichever engine: several roots share the machine's network.

    It is a flock(2) of the namespace's own file, so it ends with its holder, needs no place on
    disk, and is another one in every network namespace.
    """

    _descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = posix.open("/proc/self/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        # said aloud: a child that was forked meanwhile has a copy of the descriptor
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        posix.close(self._descriptor)
