"""Whether a container's monitor lives: a POSIX lock on one byte of a shared file.

The kernel drops the lock when the monitor dies, however it dies, and no process that it starts
inherits it (fcntl(2)). Asking costs one system call for each container and opens nothing.
"""

from __future__ import annotations

import fcntl
import posix
import struct

FLOCK = "hhqqi4x"
"""struct flock on 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid."""
FILE = "run/monitors"
"""Below the root."""


class MonitorLocks:
    """The locks of all monitors of one root. Bytes are counted by the containers' rows."""

    def __init__(self, root: str) -> None:
        self._descriptor = posix.open(
            f"{root}/{FILE}", posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC, 0o600
        )

    def acquire(self, row: int) -> bool:
        """Hold the lock of `row` until this process ends; False where another one does."""
        try:
            self._control(fcntl.F_SETLK, fcntl.F_WRLCK, row)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def holder(self, row: int) -> int:
        """The pid of the monitor of `row`; 0 where none lives.

        A holder outside of this process's pid namespace counts as alive with pid -1.
        """
        answer = self._control(fcntl.F_GETLK, fcntl.F_WRLCK, row)
        kind, _, _, _, pid = struct.unpack(FLOCK, answer)
        if kind == fcntl.F_UNLCK:
            return 0
        return int(pid) or -1

    def close(self) -> None:
        """Close the file; locks held by this process go."""
        posix.close(self._descriptor)

    def _control(self, command: int, kind: int, row: int) -> bytes:
        request = struct.pack(FLOCK, kind, 0, row, 1, 0)
        return fcntl.fcntl(self._descriptor, command, request)
