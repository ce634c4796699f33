"""A time namespace with clocks of its own: time_namespaces(7)."""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument
from proa.kernel.namespace import CLONE_NEWTIME, unshare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_CLOCKS = {"monotonic": 1, "boottime": 7}


def make_time_namespace(offsets: Mapping[str, Any]) -> None:
    """Make one for the children of this process, with OCI's linux.timeOffsets.

    Raises InvalidArgument, OSError.
    """
    lines = ""
    for name, offset in offsets.items():
        if name not in _CLOCKS:
            raise InvalidArgument(f"no such clock: {name}; there are {', '.join(_CLOCKS)}")
        lines += (
            f"{_CLOCKS[name]} {int(offset.get('secs') or 0)} {int(offset.get('nanosecs') or 0)}\n"
        )
    unshare(CLONE_NEWTIME)
    if not lines:
        return
    descriptor = posix.open("/proc/self/timens_offsets", posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(descriptor, lines.encode())
    finally:
        posix.close(descriptor)
