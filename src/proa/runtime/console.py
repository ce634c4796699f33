"""A container's terminal: its pair is made in the container's own devpts."""

from __future__ import annotations

import posix

from proa.errors import HostileData
from proa.kernel import mount, tty
from proa.kernel.path import open_in_root
from proa.runtime.place import file_system_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.runtime.place import Place

DEVPTS_MAGIC = 0x1CD1


def open_devpts(root: int) -> int:
    """The devpts at /dev/pts of the file system `root`. Raises HostileData, OSError."""
    descriptor = open_in_root(root, "/dev/pts", posix.O_PATH | posix.O_DIRECTORY)
    if file_system_type(descriptor) != DEVPTS_MAGIC:
        raise HostileData("a terminal needs a devpts at /dev/pts of the container")
    return descriptor


def make(place: Place) -> tuple[int, int]:
    """A terminal for the container's first process, which is its /dev/console too.

    Returns master and slave. Raises HostileData, OSError.
    """
    devpts = place.mounted.get("/dev/pts")
    master, slave = tty.open_pair(open_devpts(place.root) if devpts is None else devpts)
    cover = mount.open_tree(slave, b"", mount.OPEN_TREE_CLONE)
    target = place.target("/dev/console", is_directory=False)
    place.mount_over(cover, target)
    posix.close(target)
    posix.close(cover)
    return master, slave


def take(slave: int, size: tuple[int, int] | None) -> None:
    """Make `slave` this session's terminal."""
    if size is not None:
        tty.set_size(slave, *size)
    tty.make_controlling(slave)
