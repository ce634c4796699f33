"""Mounts: mount(2), umount2(2), pivot_root(2), and the descriptors of the mount API of Linux 5.2.

Numbers of the system calls 428 (open_tree) to 433 (fspick) and 442 (mount_setattr, Linux 5.12)
are the same on x86_64, aarch64 and every other machine: since 424 new calls are numbered alike.

Each function raises OSError; `filename` names what it was about. Where the kernel explains
itself in the log of a file system context, its words are part of the message.
"""

from __future__ import annotations

import posix
import sys

from proa.kernel.libc import Buffer, function, syscall, syscall_with_memory
from proa.kernel.path import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, encode

# Flags of mount(2), include/uapi/linux/mount.h
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_MANDLOCK = 0x40
MS_DIRSYNC = 0x80
MS_NOSYMFOLLOW = 0x100
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_SILENT = 0x8000
MS_UNBINDABLE = 0x2_0000
MS_PRIVATE = 0x4_0000
MS_SLAVE = 0x8_0000
MS_SHARED = 0x10_0000
MS_RELATIME = 0x20_0000
MS_I_VERSION = 0x80_0000
MS_STRICTATIME = 0x100_0000
MS_LAZYTIME = 0x200_0000

# Flags of umount2(2)
MNT_FORCE = 0x1
MNT_DETACH = 0x2
MNT_EXPIRE = 0x4
UMOUNT_NOFOLLOW = 0x8

# open_tree(2); it also takes AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW and AT_RECURSIVE
OPEN_TREE_CLONE = 0x1
OPEN_TREE_CLOEXEC = posix.O_CLOEXEC

# move_mount(2)
MOVE_MOUNT_F_SYMLINKS = 0x1
MOVE_MOUNT_F_AUTOMOUNTS = 0x2
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_SYMLINKS = 0x10
MOVE_MOUNT_T_AUTOMOUNTS = 0x20
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOVE_MOUNT_SET_GROUP = 0x100
MOVE_MOUNT_BENEATH = 0x200

# fsopen(2), fspick(2), fsmount(2)
FSOPEN_CLOEXEC = 0x1
FSPICK_CLOEXEC = 0x1
FSPICK_SYMLINK_NOFOLLOW = 0x2
FSPICK_NO_AUTOMOUNT = 0x4
FSPICK_EMPTY_PATH = 0x8
FSMOUNT_CLOEXEC = 0x1

# Attributes of one mount, for fsmount(2) and mount_setattr(2)
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR__ATIME = 0x70
"""All bits of the access time mode: clear them together to set a new one."""
MOUNT_ATTR_RELATIME = 0x0
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x10_0000
MOUNT_ATTR_NOSYMFOLLOW = 0x20_0000

_OPEN_TREE = 428
_MOVE_MOUNT = 429
_FSOPEN = 430
_FSCONFIG = 431
_FSMOUNT = 432
_FSPICK = 433
_MOUNT_SETATTR = 442

_SET_FLAG = 0
_SET_STRING = 1
_SET_FD = 5
_CREATE = 6
_RECONFIGURE = 7

FSCONFIG_STRING_LIMIT = 255
"""Bytes a value may have in fsconfig_string; the kernel refuses longer ones (EINVAL)."""

_mount = function("mount", "pppLp", "i")
_umount2 = function("umount2", "pi", "i")
_pivot_root = function("pivot_root", "pp", "i")


def mount(
    source: str | bytes | None,
    target: str | bytes,
    kind: str | None = None,
    flags: int = 0,
    data: str | bytes | None = None,
) -> None:
    """mount(2): attach, remount, bind or change propagation, as `flags` (MS_*) say.

    `kind` is the type of file system, `data` its options joined by commas: one page at most,
    beyond which the kernel cuts without a word (use fsconfig instead).
    """
    try:
        _mount(
            None if source is None else encode(source),
            encode(target),
            None if kind is None else encode(kind),
            flags,
            None if data is None else encode(data),
        )
    except OSError as error:
        raise _about(error, target) from None


def umount(target: str | bytes, flags: int = 0) -> None:
    """umount2(2) with the flags MNT_DETACH, MNT_FORCE, MNT_EXPIRE, UMOUNT_NOFOLLOW."""
    try:
        _umount2(encode(target), flags)
    except OSError as error:
        raise _about(error, target) from None


def pivot_root(new_root: str | bytes, put_old: str | bytes) -> None:
    """pivot_root(2). With both `"."` the old root lands on top of the new one, at `/`.

    The latter needs no directory inside of the image: see NOTES of the manual page.
    """
    try:
        _pivot_root(encode(new_root), encode(put_old))
    except OSError as error:
        raise _about(error, new_root) from None


def open_tree(dir_fd: int, path: str | bytes, flags: int = 0) -> int:
    """A descriptor of the mount at `path`; with OPEN_TREE_CLONE of a detached copy of it.

    Close-on-exec. A detached tree vanishes with its last descriptor unless it is moved. An
    empty `path` means `dir_fd` itself.
    """
    if not path:
        flags |= AT_EMPTY_PATH
    try:
        return syscall_with_memory(_OPEN_TREE, dir_fd, encode(path), flags | OPEN_TREE_CLOEXEC)
    except OSError as error:
        raise _about(error, path or f"descriptor {dir_fd}") from None


def move_mount(
    from_fd: int, from_path: str | bytes, to_fd: int, to_path: str | bytes, flags: int = 0
) -> None:
    """Move or attach a mount. Empty paths stand for the descriptors themselves."""
    if not from_path:
        flags |= MOVE_MOUNT_F_EMPTY_PATH
    if not to_path:
        flags |= MOVE_MOUNT_T_EMPTY_PATH
    try:
        syscall_with_memory(_MOVE_MOUNT, from_fd, encode(from_path), to_fd, encode(to_path), flags)
    except OSError as error:
        raise _about(error, to_path or f"descriptor {to_fd}") from None


def attach(mount_fd: int, target: str | bytes, *, dir_fd: int = AT_FDCWD) -> None:
    """Attach the detached mount `mount_fd` at `target`, or at `dir_fd` where it is empty."""
    move_mount(mount_fd, b"", dir_fd, target)


def fsopen(kind: str) -> int:
    """A context in which a file system of the type `kind` is configured; close-on-exec."""
    try:
        return syscall_with_memory(_FSOPEN, encode(kind), FSOPEN_CLOEXEC)
    except OSError as error:
        raise _about(error, kind) from None


def fspick(dir_fd: int, path: str | bytes, flags: int = 0) -> int:
    """A context in which the file system mounted at `path` is reconfigured; close-on-exec."""
    if not path:
        flags |= FSPICK_EMPTY_PATH
    try:
        return syscall_with_memory(_FSPICK, dir_fd, encode(path), flags | FSPICK_CLOEXEC)
    except OSError as error:
        raise _about(error, path or f"descriptor {dir_fd}") from None


def fsconfig_flag(context: int, key: str) -> None:
    """Set an option without a value, such as `ro`."""
    _fsconfig(context, _SET_FLAG, key)


def fsconfig_string(context: int, key: str, value: str | bytes) -> None:
    """Set `key` to a string of FSCONFIG_STRING_LIMIT bytes at most."""
    _fsconfig(context, _SET_STRING, key, encode(value))


def fsconfig_fd(context: int, key: str, fd: int) -> None:
    """Set `key` to an open file: layers of overlay since Linux 6.13."""
    _fsconfig(context, _SET_FD, key, None, fd)


def fsconfig_create(context: int) -> None:
    """Make the file system that was configured; fsmount follows."""
    _fsconfig(context, _CREATE, None)


def fsconfig_reconfigure(context: int) -> None:
    """Apply what was set in a context of fspick to the living file system."""
    _fsconfig(context, _RECONFIGURE, None)


def fsmount(context: int, attributes: int = 0) -> int:
    """A detached mount (MOUNT_ATTR_*) of the file system made in `context`; close-on-exec."""
    try:
        return syscall(_FSMOUNT, context, FSMOUNT_CLOEXEC, attributes)
    except OSError as error:
        raise _explained(error, context, "file system context") from None


def mount_setattr(
    dir_fd: int,
    path: str | bytes,
    *,
    attr_set: int = 0,
    attr_clear: int = 0,
    propagation: int = 0,
    userns_fd: int | None = None,
    flags: int = 0,
) -> None:
    """Change attributes of the mount at `path`, or of `dir_fd` where it is empty.

    `attr_set`, `attr_clear`: MOUNT_ATTR_*; `propagation`: one of MS_PRIVATE, MS_SLAVE,
    MS_SHARED, MS_UNBINDABLE. `userns_fd` maps ids as that user namespace does (implies
    MOUNT_ATTR_IDMAP; only on a detached mount). `flags`: AT_RECURSIVE takes every mount below
    along, AT_SYMLINK_NOFOLLOW.
    """
    if not path:
        flags |= AT_EMPTY_PATH
    if userns_fd is not None:
        attr_set |= MOUNT_ATTR_IDMAP
    values = (attr_set, attr_clear, propagation, userns_fd or 0)
    arguments = b"".join(value.to_bytes(8, sys.byteorder) for value in values)
    try:
        syscall_with_memory(_MOUNT_SETATTR, dir_fd, encode(path), flags, arguments, len(arguments))
    except OSError as error:
        raise _about(error, path or f"descriptor {dir_fd}") from None


def mount_id(dir_fd: int, path: str | bytes = b"") -> int:
    """The id of the mount on which `path` (or `dir_fd`) lies: statx(2), Linux 5.8.

    Two paths of the same mount id can be renamed and linked into one another.
    """
    # Looked up when called: hardly anybody needs it, and old C libraries lack it
    statx = function("statx", "ipiIp", "i")
    answer = Buffer(256)
    mask, offset = 0x1000, 144  # STATX_MNT_ID and struct statx.stx_mnt_id
    try:
        statx(
            dir_fd,
            encode(path),
            AT_SYMLINK_NOFOLLOW if path else AT_EMPTY_PATH,
            mask,
            answer,
        )
    except OSError as error:
        raise _about(error, path or f"descriptor {dir_fd}") from None
    return int.from_bytes(answer.data[offset : offset + 8], sys.byteorder)


def _fsconfig(
    context: int, command: int, key: str | None, value: bytes | None = None, aux: int = 0
) -> None:
    try:
        syscall_with_memory(
            _FSCONFIG, context, command, None if key is None else encode(key), value, aux
        )
    except OSError as error:
        subject = key or "file system context"
        if value is not None:
            subject += "=" + value.decode("utf-8", "surrogateescape")
        elif command == _SET_FD:
            subject += f"=descriptor {aux}"
        raise _explained(error, context, subject) from None


def _about(error: OSError, subject: str | bytes) -> OSError:
    return OSError(error.errno, error.strerror, subject)


def _explained(error: OSError, context: int, subject: str | bytes) -> OSError:
    """`error` with what the kernel wrote into the log of the file system context."""
    lines = []
    # One read gives one message, "e overlay: …" (e, w or i); ENODATA follows the last
    while True:
        try:
            line = posix.read(context, 4096)
        except OSError:
            break
        if not line:
            break
        lines.append(line[2:].decode("utf-8", "replace").strip())
    text = f"{error.strerror} ({'; '.join(lines)})" if lines else error.strerror
    return OSError(error.errno, text, subject)
