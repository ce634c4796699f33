"""Opening paths that cannot be trusted: openat2(2).

A path inside a container or a layer was written by a stranger, and what it leads through may
change while it is being followed. The kernel resolves it in one step, and refuses what would
leave: Documentation/filesystems/path-lookup.rst, openat2(2). Linux 5.6.

The number of openat2, like that of every system call since 424, is the same on all machines.
"""

from __future__ import annotations

import posix
import sys
from errno import EAGAIN, EEXIST, EINVAL, ENOENT

from proa.kernel.libc import syscall_with_memory

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_SYMLINK_NOFOLLOW = 0x100
AT_RECURSIVE = 0x8000

RESOLVE_NO_XDEV = 0x01
"""Refuse (EXDEV) to cross a mount point."""
RESOLVE_NO_MAGICLINKS = 0x02
"""Refuse (ELOOP) links like /proc/self/fd/3 and /proc/self/exe."""
RESOLVE_NO_SYMLINKS = 0x04
"""Refuse (ELOOP) every symbolic link, magic ones included."""
RESOLVE_BENEATH = 0x08
"""Refuse (EXDEV) absolute paths and links, and `..` above the directory."""
RESOLVE_IN_ROOT = 0x10
"""Take the directory for `/`: absolute paths and `..` stay within it, as after chroot."""

_OPENAT2 = 437
_PATIENCE = 256
_ENCODING = sys.getfilesystemencoding()


def encode(path: str | bytes) -> bytes:
    """`path` as the kernel takes it.

    Raises ValueError where it holds a NUL: C would silently cut it there.
    """
    if isinstance(path, str):
        path = path.encode(_ENCODING, "surrogateescape")
    if b"\0" in path:
        raise ValueError(f"a path cannot hold a NUL byte: {path!r}")
    return path


def openat2(dir_fd: int, path: str | bytes, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """Open `path` below `dir_fd` under the rules `resolve` (RESOLVE_*); close-on-exec.

    `mode` matters where `flags` create a file. Raises OSError, `filename` set: EXDEV where the
    path would leave the directory, ELOOP for a link that is refused.
    """
    name = encode(path)
    flags |= posix.O_CLOEXEC
    how = b"".join(value.to_bytes(8, sys.byteorder) for value in (flags, mode, resolve))
    for attempt in range(_PATIENCE):
        try:
            return syscall_with_memory(_OPENAT2, dir_fd, name, how, len(how))
        except OSError as error:
            # `..` was followed while someone renamed or mounted anything: the kernel cannot
            # tell whether the path is still inside, and asks to try again
            if error.errno != EAGAIN or attempt == _PATIENCE - 1:
                error.filename = path
                raise
    raise AssertionError("unreachable")


def open_in_root(root_fd: int, path: str | bytes, flags: int, mode: int = 0) -> int:
    """Open `path` with `root_fd` as `/`: no link, `..` or mount race leads out of it.

    Raises OSError, `filename` set.
    """
    return openat2(root_fd, path, flags, mode=mode, resolve=RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def mkdirs_in_root(root_fd: int, path: str, mode: int = 0o755) -> int:
    """Make the directory `path` and its missing parents with `root_fd` as `/`.

    Returns an O_PATH descriptor of the directory. Existing links are followed within the root;
    one that leads nowhere is not filled in (ELOOP). The process's umask applies to `mode`.
    Raises OSError, `filename` set.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    existing = len(parts)
    while True:
        try:
            fd = open_in_root(
                root_fd, "/".join(parts[:existing]) or ".", posix.O_PATH | posix.O_DIRECTORY
            )
            break
        except OSError as error:
            if error.errno != ENOENT or existing == 0:
                raise
            existing -= 1
    for part in parts[existing:]:
        parent = fd
        try:
            if part == "..":
                raise OSError(EINVAL, posix.strerror(EINVAL), path)
            try:
                posix.mkdir(part, mode, dir_fd=parent)
            except OSError as error:
                if error.errno != EEXIST:
                    error.filename = path
                    raise
            fd = openat2(
                parent,
                part,
                posix.O_PATH | posix.O_DIRECTORY,
                resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
            )
        finally:
            posix.close(parent)
    return fd
