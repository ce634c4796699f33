"""Whether the engine works for an ordinary user; see `monitor.rootless` for how."""

from __future__ import annotations

import posix

from proa.monitor.rootless import enter

__all__ = ("enter", "is_rootless")

_WHOLE = [b"0", b"0", b"4294967295"]


def is_rootless() -> bool:
    """Whether this process is not root of the machine: an ordinary user, or root of a user
    namespace only.
    """
    if posix.geteuid() != 0:
        return True
    descriptor = posix.open("/proc/self/uid_map", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(descriptor, 64).split() != _WHOLE
    finally:
        posix.close(descriptor)
