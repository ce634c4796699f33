"""Paths that a container may not see or not change, as operations.

They are covered: a file by the null device, a directory by an empty file system that is
read-only, a read-only path by a read-only bind mount of itself.
"""

from __future__ import annotations

import posix
from errno import ENOENT, ENOTDIR

from proa.errors import KernelError
from proa.kernel import mount
from proa.kernel.path import AT_FDCWD, AT_RECURSIVE
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.runtime.place import Place

_NULL = (1, 3)


@record
class ReadOnlyPath:
    """Nothing at or below this path can be changed."""

    path: str

    def __str__(self) -> str:
        return f"make {self.path} read-only"

    def execute(self, place: Place) -> None:
        """Cover it by itself; a path that is not there needs nothing. Raises OSError."""
        target = _open(place, self.path)
        if target is None:
            return
        cover = mount.open_tree(target, b"", mount.OPEN_TREE_CLONE | AT_RECURSIVE)
        mount.mount_setattr(cover, b"", attr_set=mount.MOUNT_ATTR_RDONLY, flags=AT_RECURSIVE)
        place.mount_over(cover, target)


@record
class MaskedPaths:
    """Nothing at or below these paths can be seen."""

    paths: tuple[str, ...]

    def __str__(self) -> str:
        return f"mask {', '.join(self.paths)}"

    def execute(self, place: Place) -> None:
        """Cover them; those that are not there need nothing. Raises OSError.

        One cover serves all: once it is attached, it can be cloned.
        """
        null = empty = None
        for path in self.paths:
            target = _open(place, path)
            if target is None:
                continue
            if posix.fstat(target).st_mode & 0o170000 == 0o040000:
                empty = _empty_directory() if empty is None else _copy(empty)
                place.mount_over(empty, target)
            else:
                null = _null_device() if null is None else _copy(null)
                place.mount_over(null, target)


def _open(place: Place, path: str) -> int | None:
    try:
        return place.open(path)
    except OSError as error:
        if error.errno in (ENOENT, ENOTDIR):
            return None
        raise


def _empty_directory() -> int:
    context = mount.fsopen("tmpfs")
    mount.fsconfig_string(context, "nr_inodes", "1")
    mount.fsconfig_string(context, "mode", "555")
    mount.fsconfig_create(context)
    return mount.fsmount(
        context,
        mount.MOUNT_ATTR_RDONLY
        | mount.MOUNT_ATTR_NOSUID
        | mount.MOUNT_ATTR_NODEV
        | mount.MOUNT_ATTR_NOEXEC,
    )


def _null_device() -> int:
    """The host's null device, not the container's, which may be something else by now.

    The mount is read-only: that does not keep anyone from writing to the device, but from
    changing its mode.
    """
    null = mount.open_tree(AT_FDCWD, "/dev/null", mount.OPEN_TREE_CLONE)
    status = posix.fstat(null)
    number = (posix.major(status.st_rdev), posix.minor(status.st_rdev))
    if status.st_mode & 0o170000 != 0o020000 or number != _NULL:
        raise KernelError("/dev/null of the host is not the null device; repair it")
    mount.mount_setattr(null, b"", attr_set=mount.MOUNT_ATTR_RDONLY, propagation=mount.MS_PRIVATE)
    return null


def _copy(cover: int) -> int:
    return mount.open_tree(cover, b"", mount.OPEN_TREE_CLONE)
