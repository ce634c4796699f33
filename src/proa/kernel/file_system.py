"""New file systems: fsopen(2), fsconfig(2), fsmount(2) with the options that fstab(5) writes."""

from __future__ import annotations

import posix

from proa.kernel import mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_VIRTUAL = frozenset(
    ("proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "ramfs", "devtmpfs")
)
"""File systems that are not read-only as a whole when a mount of them is."""


def make(
    kind: str,
    source: str,
    *,
    attributes: int = 0,
    flags: Iterable[str] = (),
    data: Iterable[str] = (),
) -> int:
    """A detached mount of a file system of the type `kind`.

    `attributes`: MOUNT_ATTR_* of the mount; `flags`: of the file system, such as `sync`; `data`:
    `key` or `key=value`, which only the file system understands. Raises OSError with the kernel's
    words.
    """
    context = mount.fsopen(kind)
    try:
        if source:
            mount.fsconfig_string(context, "source", source)
        for flag in flags:
            mount.fsconfig_flag(context, flag)
        if attributes & mount.MOUNT_ATTR_RDONLY and kind not in _VIRTUAL:
            mount.fsconfig_flag(context, "ro")
        for item in data:
            key, separator, value = item.partition("=")
            if separator:
                mount.fsconfig_string(context, key, value)
            else:
                mount.fsconfig_flag(context, key)
        mount.fsconfig_create(context)
        return mount.fsmount(context, attributes)
    finally:
        posix.close(context)
