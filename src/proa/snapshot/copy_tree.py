"""Copying the tree that a stack of layers makes into one directory.

Content is shared where the file system can do that, and holes stay holes. Owners, modes, xattrs,
times to the nanosecond, devices and hard links within a layer are kept.
"""

from __future__ import annotations

import fcntl
import os
import stat
from errno import (
    EDQUOT,
    EINVAL,
    ENODATA,
    ENOSPC,
    ENOSYS,
    ENOTSUP,
    ENOTTY,
    ENXIO,
    EOPNOTSUPP,
    EPERM,
    ETXTBSY,
    EXDEV,
)
from typing import TYPE_CHECKING

from proa.errors import CorruptData, NoSpace, PermissionDenied
from proa.kernel.path import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, openat2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proa.snapshot.stack import Entry, Stack

_INSIDE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TARGET = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FICLONE = 0x4004_9409  # include/uapi/linux/fs.h
_CHUNK = 1 << 20
_CANNOT = (EOPNOTSUPP, EXDEV, EINVAL, ENOTTY, ENOSYS, EPERM, ETXTBSY)


def copy_tree(stack: Stack, target: int) -> None:
    """Copy all of `stack` into the empty directory `target`, a descriptor; it keeps its own
    attributes.

    Nobody else may use `target` meanwhile. Raises NoSpace, PermissionDenied, CorruptData, OSError.
    """
    try:
        _Copy(stack, target).run()
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT):
            raise NoSpace(
                "no space left to copy the image's files for a container; free some, for example"
                " with 'proa image prune'"
            ) from None
        raise


class _Copy:
    def __init__(self, stack: Stack, target: int) -> None:
        self._stack = stack
        self._target = target
        self._links: dict[tuple[int, int, int], str] = {}
        self._times: list[tuple[str, int, int]] = []
        self._can_clone = True

    def run(self) -> None:
        pending: list[tuple[str, tuple[int, ...]]] = [("", self._stack.top)]
        while pending:
            path, levels = pending.pop()
            self._directory(path, levels, pending)
        # last, as making something in a directory changes its time; the deepest first would not
        # matter, as setting a time changes no parent
        for path, accessed, modified in self._times:
            fd = self._open(path)
            try:
                os.utime(fd, ns=(accessed, modified))
            finally:
                os.close(fd)

    def _open(self, path: str) -> int:
        return openat2(self._target, path or ".", _DIRECTORY, resolve=_INSIDE)

    def _directory(
        self, path: str, levels: tuple[int, ...], pending: list[tuple[str, tuple[int, ...]]]
    ) -> None:
        """Make what the directory `path` holds, and note the directories among it."""
        prefix = f"{path}/" if path else ""
        sources: dict[int, int] = {}
        target = self._open(path)
        try:
            for entry in self._stack.scan(path, levels).values():
                source = sources.get(entry.level)
                if source is None:
                    opened = self._stack.open_directory(entry.level, path)
                    if opened is None:
                        raise CorruptData(
                            f"the directory {path!r} of a layer vanished while it was copied;"
                            " load the image again"
                        )
                    source = sources[entry.level] = opened
                self._entry(source, target, prefix + entry.name, entry)
                if entry.levels:
                    pending.append((prefix + entry.name, entry.levels))
        finally:
            os.close(target)
            for source in sources.values():
                os.close(source)

    def _entry(self, source: int, target: int, path: str, entry: Entry) -> None:
        status, name = entry.status, entry.name
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            os.mkdir(name, 0o700, dir_fd=target)
            self._times.append((path, status.st_atime_ns, status.st_mtime_ns))
        else:
            if status.st_nlink > 1:
                first = self._links.setdefault(entry.identity, path)
                if first != path:
                    self._link(first, target, name)
                    return
            if kind == stat.S_IFREG:
                self._file(source, target, entry)
                return
            if kind == stat.S_IFLNK:
                os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            elif not self._node(target, entry):
                return
        self._attributes(source, target, entry)

    def _link(self, first: str, target: int, name: str) -> None:
        parent, _, base = first.rpartition("/")
        fd = self._open(parent)
        try:
            os.link(base, name, src_dir_fd=fd, dst_dir_fd=target, follow_symlinks=False)
        finally:
            os.close(fd)

    def _node(self, target: int, entry: Entry) -> bool:
        status = entry.status
        try:
            os.mknod(entry.name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=target)
        except PermissionError:
            # a user namespace makes no devices; nor could its layers hold any
            if not stat.S_ISCHR(status.st_mode) and not stat.S_ISBLK(status.st_mode):
                raise
            return False
        return True

    def _attributes(self, source: int, target: int, entry: Entry) -> None:
        """Owner, mode, xattrs and times of what was just made, by its name."""
        status, name = entry.status, entry.name
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        path = f"/proc/self/fd/{target}/{name}"
        if not stat.S_ISLNK(status.st_mode):
            # by a descriptor: in a volume that others have too, the name may be another's by now
            made = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target)
            try:
                os.chmod(f"/proc/self/fd/{made}", stat.S_IMODE(status.st_mode))
            finally:
                os.close(made)
        self._xattrs(path, self._stack.xattrs_at(source, name))
        if not entry.levels:
            times = (status.st_atime_ns, status.st_mtime_ns)
            os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)

    def _file(self, source: int, target: int, entry: Entry) -> None:
        status, name = entry.status, entry.name
        reader = os.open(name, _SOURCE, dir_fd=source)
        try:
            writer = os.open(name, _TARGET, 0o600, dir_fd=target)
            try:
                self._content(reader, writer, status)
                os.fchown(writer, status.st_uid, status.st_gid)
                os.fchmod(writer, stat.S_IMODE(status.st_mode))
                self._xattrs(f"/proc/self/fd/{target}/{name}", self._stack.xattrs_at(source, name))
                os.utime(writer, ns=(status.st_atime_ns, status.st_mtime_ns))
            finally:
                os.close(writer)
        finally:
            os.close(reader)

    def _content(self, reader: int, writer: int, status: os.stat_result) -> None:
        size = status.st_size
        if not size:
            return
        if self._can_clone:
            try:
                fcntl.ioctl(writer, _FICLONE, reader)
                return
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                self._can_clone = False
        if status.st_blocks * 512 >= size:
            _copy_range(reader, writer, 0, size)
            return
        position = 0
        while position < size:
            try:
                start = os.lseek(reader, position, os.SEEK_DATA)
            except OSError as error:
                if error.errno != ENXIO:  # that is: nothing but a hole is left
                    raise
                break
            position = os.lseek(reader, start, os.SEEK_HOLE)
            _copy_range(reader, writer, start, position - start)
        os.ftruncate(writer, size)

    def _xattrs(self, path: str, xattrs: Mapping[str, bytes]) -> None:
        for name, value in xattrs.items():
            try:
                os.setxattr(path, name, value, follow_symlinks=False)
            except OSError as error:
                if error.errno in (ENOTSUP, ENODATA):
                    continue
                if error.errno == EPERM:
                    raise PermissionDenied(f"cannot set the xattr {name!r} of a copy") from None
                raise


def _copy_range(reader: int, writer: int, start: int, length: int) -> None:
    """Copy `length` bytes at `start`, in the kernel where it can."""
    position, end = start, start + length
    while position < end:
        try:
            copied = os.copy_file_range(reader, writer, end - position, position, position)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            break
        if not copied:
            break  # shorter than it was, or of a file system that gives nothing this way
        position += copied
    while position < end:
        data = os.pread(reader, min(_CHUNK, end - position), position)
        if not data:
            return
        position += os.pwrite(writer, data, position)
