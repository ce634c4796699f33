"""Watching a directory for changes of its files: inotify(7)."""

from __future__ import annotations

import posix
import select

from proa.errors import KernelError, LimitExceeded
from proa.kernel.libc import function

_IN_MODIFY, _IN_CREATE = 0x2, 0x100
_IN_NONBLOCK, _IN_CLOEXEC = 0o4000, 0o2000000
_EMFILE, _ENOSPC = 24, 28

_inotify_init1 = function("inotify_init1", "i", "i")
_inotify_add_watch = function("inotify_add_watch", "ipI", "i")


class Watch:
    """Waits until a file right in the directory `path` is written to, or made.

    What changes between two waits ends the second one at once.
    """

    def __init__(self, path: str) -> None:
        """Raises LimitExceeded, KernelError."""
        self._descriptors: list[int] = []
        try:
            self._descriptors.append(_inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC))
            name = path.encode("utf-8", "surrogateescape")
            _inotify_add_watch(self._descriptors[0], name, _IN_MODIFY | _IN_CREATE)
            self._descriptors.append(posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK))
        except OSError as error:
            self.close()
            if error.errno in (_EMFILE, _ENOSPC):
                raise LimitExceeded(
                    f"cannot watch {path}: too many are watched; raise the sysctls"
                    " fs.inotify.max_user_instances and fs.inotify.max_user_watches"
                ) from None
            raise KernelError(f"cannot watch {path}: {error.strerror}") from None

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a change, or so many seconds, or `interrupt`; whether there was a change."""
        changes, interrupted = self._descriptors
        poll = select.poll()
        poll.register(changes, select.POLLIN)
        poll.register(interrupted, select.POLLIN)
        ready = [
            descriptor
            for descriptor, _ in poll.poll(None if seconds is None else max(0.0, seconds * 1000))
        ]
        if changes not in ready:
            return False
        try:
            # they say no more than that something has changed
            while posix.read(changes, 1 << 16):
                pass
        except BlockingIOError:
            pass
        return True

    def interrupt(self) -> None:
        """End every wait at once, from now on. For another thread."""
        posix.eventfd_write(self._descriptors[1], 1)

    def close(self) -> None:
        """Give the descriptors back; nobody may wait."""
        while self._descriptors:
            posix.close(self._descriptors.pop())
