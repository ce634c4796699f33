"""Fills a tmpfs with what the image has in its place (mount option `tmpcopyup`)."""

from __future__ import annotations

import posix
import stat

from proa.errors import LimitExceeded

_DEPTH = 64
_FLAGS = posix.O_CLOEXEC | posix.O_NOFOLLOW


def copy_up(source: int, target: int, depth: int = 0) -> None:
    """Copy the directory `source` into the directory `target` (descriptors): files, directories,
    links and devices with owner, mode, times and extended attributes. Other mounts are not entered.

    Raises OSError, LimitExceeded beyond 64 levels.
    """
    if depth > _DEPTH:
        raise LimitExceeded(f"a directory to copy is deeper than {_DEPTH} levels")
    # an O_PATH descriptor cannot be listed
    listing = posix.open(".", posix.O_RDONLY | posix.O_DIRECTORY | _FLAGS, dir_fd=source)
    try:
        device = posix.fstat(listing).st_dev
        for name in posix.listdir(listing):
            status = posix.stat(name, dir_fd=listing, follow_symlinks=False)
            if status.st_dev == device:
                _copy(name, status, listing, target, depth)
    finally:
        posix.close(listing)


def _copy(name: str, status: posix.stat_result, source: int, target: int, depth: int) -> None:
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        posix.mkdir(name, 0o700, dir_fd=target)
        inner_source = posix.open(name, posix.O_RDONLY | posix.O_DIRECTORY | _FLAGS, dir_fd=source)
        inner_target = posix.open(name, posix.O_RDONLY | posix.O_DIRECTORY | _FLAGS, dir_fd=target)
        try:
            copy_up(inner_source, inner_target, depth + 1)
            _copy_attributes(inner_source, inner_target)
        finally:
            posix.close(inner_source)
            posix.close(inner_target)
    elif stat.S_ISREG(mode):
        _copy_file(name, source, target, status.st_size)
    elif stat.S_ISLNK(mode):
        posix.symlink(posix.readlink(name, dir_fd=source), name, dir_fd=target)
    else:
        posix.mknod(name, mode, status.st_rdev, dir_fd=target)
    posix.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(mode):
        posix.chmod(name, stat.S_IMODE(mode), dir_fd=target)
    posix.utime(
        name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False
    )


def _copy_file(name: str, source: int, target: int, size: int) -> None:
    reader = posix.open(name, posix.O_RDONLY | _FLAGS, dir_fd=source)
    try:
        writer = posix.open(
            name, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | _FLAGS, 0o600, dir_fd=target
        )
        try:
            while size > 0:
                count = posix.sendfile(writer, reader, None, size)
                if count == 0:
                    break
                size -= count
            _copy_attributes(reader, writer)
        finally:
            posix.close(writer)
    finally:
        posix.close(reader)


def _copy_attributes(source: int, target: int) -> None:
    for name in posix.listxattr(source):
        try:
            posix.setxattr(target, name, posix.getxattr(source, name))
        except OSError:
            continue  # tmpfs has no attributes of this kind
