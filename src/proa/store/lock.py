"""Locks between processes and threads: flock(2) on a file. The kernel frees a dead holder's."""

from __future__ import annotations

import fcntl
import posix

from proa.errors import NoSpace, PermissionDenied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_ENOSPC, _EDQUOT = 28, 122


class FileLock:
    """An exclusive (or shared) lock on the file `path`, made where it is missing.

    Every instance locks against every other, those of the same process included. `remove`: the
    file goes when the lock does, so that locks of passing things leave nothing.
    """

    def __init__(self, path: str, *, shared: bool = False, remove: bool = False) -> None:
        self.path = path
        self._operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._remove = remove
        self._descriptor = -1

    def acquire(self, *, block: bool = True) -> bool:
        """Take the lock; False where another one has it and `block` is not set."""
        operation = self._operation if block else self._operation | fcntl.LOCK_NB
        while True:
            try:
                descriptor = posix.open(
                    self.path, posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC, 0o600
                )
            except PermissionError:
                raise PermissionDenied(f"no permission to lock {self.path}") from None
            except OSError as error:
                if error.errno in (_ENOSPC, _EDQUOT):
                    raise NoSpace(f"no space left to lock {self.path}") from None
                raise
            try:
                fcntl.flock(descriptor, operation)
                # its last holder may have removed the file while we waited
                if posix.fstat(descriptor).st_nlink:
                    self._descriptor = descriptor
                    return True
            except BlockingIOError:
                posix.close(descriptor)
                return False
            except BaseException:
                posix.close(descriptor)
                raise
            posix.close(descriptor)

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor < 0:
            return
        if self._remove:
            try:
                posix.unlink(self.path)
            except FileNotFoundError:
                pass
        posix.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.release()


def is_held(path: str) -> bool:
    """Whether somebody holds a lock on the existing file `path`; False where there is none."""
    try:
        descriptor = posix.open(path, posix.O_RDWR | posix.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        posix.close(descriptor)
    return False
