"""The options of a mount, as fstab(5) and OCI write them, sorted by what they are about.

One list mixes attributes of the mount, flags of the file system, its propagation, orders to the
runtime, and what only the file system understands.
"""

from __future__ import annotations

from proa.errors import InvalidArgument
from proa.kernel import mount
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_ATIME = mount.MOUNT_ATTR__ATIME

ATTRIBUTES = {
    # option: (to set, to clear)
    "ro": (mount.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, mount.MOUNT_ATTR_RDONLY),
    "nosuid": (mount.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, mount.MOUNT_ATTR_NOSUID),
    "nodev": (mount.MOUNT_ATTR_NODEV, 0),
    "dev": (0, mount.MOUNT_ATTR_NODEV),
    "noexec": (mount.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, mount.MOUNT_ATTR_NOEXEC),
    "noatime": (mount.MOUNT_ATTR_NOATIME, _ATIME),
    "atime": (0, _ATIME),
    "relatime": (0, _ATIME),
    "norelatime": (mount.MOUNT_ATTR_STRICTATIME, _ATIME),
    "strictatime": (mount.MOUNT_ATTR_STRICTATIME, _ATIME),
    "nostrictatime": (0, _ATIME),
    "nodiratime": (mount.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, mount.MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (mount.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, mount.MOUNT_ATTR_NOSYMFOLLOW),
}
"""Attributes of one mount; with an `r` before the name, of all mounts below too."""

PROPAGATION = {
    "private": mount.MS_PRIVATE,
    "shared": mount.MS_SHARED,
    "slave": mount.MS_SLAVE,
    "unbindable": mount.MS_UNBINDABLE,
}
"""Likewise, with an `r` before the name, of all mounts below too."""

FILE_SYSTEM_FLAGS = {
    "sync": "sync",
    "dirsync": "dirsync",
    "mand": "mand",
    "lazytime": "lazytime",
    "async": "async",
    "nomand": "nomand",
    "nolazytime": "nolazytime",
}
"""What concerns the file system however often it is mounted; its name for fsconfig(2)."""

IGNORED = frozenset(
    ("defaults", "loud", "silent", "acl", "noacl", "iversion", "noiversion", "remount", "bind")
)
"""No effect with the mount calls used here. `bind` speaks for itself."""

KNOWN = (
    frozenset(ATTRIBUTES)
    | frozenset("r" + name for name in ATTRIBUTES)
    | frozenset(PROPAGATION)
    | frozenset("r" + name for name in PROPAGATION)
    | frozenset(FILE_SYSTEM_FLAGS)
    | IGNORED
    | {"rbind", "tmpcopyup", "idmap", "ridmap"}
)
"""Everything that is not handed to the file system: `features` prints it."""


@record
class MountOptions:
    """The options of one mount, understood."""

    bind: bool = False
    recursive: bool = False
    """bind what is mounted below, too"""
    attributes: int = 0
    """MOUNT_ATTR_* to set"""
    cleared: int = 0
    """MOUNT_ATTR_* to clear"""
    all_attributes: int = 0
    """MOUNT_ATTR_* to set on this mount and on all below"""
    all_cleared: int = 0
    propagation: int = 0
    """MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE, or 0: not said"""
    all_propagation: int = 0
    """the same, for this mount and all below"""
    copy_up: bool = False
    """tmpfs: begins with what the image has in its place"""
    id_mapped: str = ""
    """idmap, ridmap (all below, too), or '': not said"""
    flags: tuple[str, ...] = ()
    """flags of the file system"""
    data: tuple[str, ...] = ()
    """what only the file system understands, `key` or `key=value`"""


def parse(options: Iterable[str]) -> MountOptions:
    """Sort `options`; of contrary ones the last counts. Raises InvalidArgument."""
    bind = recursive = copy_up = False
    id_mapped = ""
    attributes = cleared = all_attributes = all_cleared = 0
    propagation = all_propagation = 0
    flags: list[str] = []
    data: list[str] = []
    for option in options:
        if not isinstance(option, str):
            raise InvalidArgument(f"a mount option is no string: {option!r}")
        if option in ATTRIBUTES:
            to_set, to_clear = ATTRIBUTES[option]
            attributes = attributes & ~to_clear | to_set
            cleared = cleared & ~to_set | to_clear
        elif option in ("bind", "rbind"):
            bind, recursive = True, recursive or option == "rbind"
        elif option in PROPAGATION:
            propagation, all_propagation = PROPAGATION[option], 0
        elif option[1:] in PROPAGATION and option[0] == "r":
            propagation, all_propagation = 0, PROPAGATION[option[1:]]
        elif option[1:] in ATTRIBUTES and option[0] == "r":
            to_set, to_clear = ATTRIBUTES[option[1:]]
            all_attributes = all_attributes & ~to_clear | to_set
            all_cleared = all_cleared & ~to_set | to_clear
        elif option in FILE_SYSTEM_FLAGS:
            flags.append(option)
        elif option == "tmpcopyup":
            copy_up = True
        elif option in ("idmap", "ridmap"):
            id_mapped = option
        elif option and option not in IGNORED:
            data.append(option)
    if attributes & _ATIME:
        cleared |= _ATIME  # mount_setattr(2): the mode is replaced as a whole
    if all_attributes & _ATIME:
        all_cleared |= _ATIME
    return MountOptions(
        bind,
        recursive,
        attributes,
        cleared,
        all_attributes,
        all_cleared,
        propagation,
        all_propagation,
        copy_up,
        id_mapped,
        tuple(flags),
        tuple(data),
    )
