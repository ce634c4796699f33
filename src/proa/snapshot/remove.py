"""Removing the tree that a container left: fast, and into nothing but that tree.

What lies in it was made by strangers: names may be anything, directories thousands deep, modes
zero, files immutable. Everything goes by descriptors of directories; no link is followed and no
mount entered.
"""

from __future__ import annotations

import fcntl
import posix
from errno import EACCES, EBUSY, EEXIST, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, EXDEV

from proa.errors import Conflict, PermissionDenied
from proa.kernel.path import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, openat2

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_INSIDE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV

_DEPTH = 40
"""Directories held open at once; what lies deeper is first moved up."""

# include/uapi/linux/fs.h; the numbers are those of a machine whose long has 64 bits
_FS_IOC_GETFLAGS = 0x8008_6601
_FS_IOC_SETFLAGS = 0x4008_6602
_UNDELETABLE = 0x10 | 0x20  # FS_IMMUTABLE_FL, FS_APPEND_FL


def remove_tree(path: str) -> None:
    """Remove the directory `path` and all below it; nothing to do where it is missing.

    Raises Conflict where something is mounted in it, PermissionDenied, OSError.
    """
    try:
        top = posix.open(path, _DIRECTORY)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        posix.unlink(path)
        return
    except PermissionError:
        posix.chmod(path, 0o700)
        top = posix.open(path, _DIRECTORY)
    try:
        _Removal(path, top).run()
    finally:
        posix.close(top)
    try:
        posix.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _refusal(error, path) from None


class _Removal:
    """One walk through a tree, without recursion: deep trees must not exhaust anything."""

    def __init__(self, path: str, top: int) -> None:
        self._path = path
        self._top = top
        self._moved = 0

    def run(self) -> None:
        # Directories too deep to be held open land in the top one, so it is listed anew until
        # it stays empty
        while True:
            before = self._moved
            self._empty(self._top)
            if self._moved == before:
                return

    def _empty(self, top: int) -> None:
        """Remove what is in the directory `top`, or move it up."""
        stack: list[tuple[int, str]] = [(top, "")]
        try:
            pending = [self._unlink_files(top)]
            while True:
                if pending[-1]:
                    name = pending[-1].pop()
                    fd = stack[-1][0]
                    if len(stack) == _DEPTH:
                        self._move_up(fd, name)
                    elif (child := self._open(fd, name)) is not None:
                        stack.append((child, name))
                        pending.append(self._unlink_files(child))
                    continue
                pending.pop()
                if not pending:
                    return
                fd, name = stack.pop()
                posix.close(fd)
                self._rmdir(stack[-1][0], name)
        finally:
            for fd, _ in stack[1:]:
                posix.close(fd)

    def _unlink_files(self, fd: int) -> list[str]:
        """Unlink all that is no directory; return the names of the directories."""
        directories = []
        with posix.scandir(fd) as entries:
            listed = list(entries)
        for entry in listed:
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
                continue
            try:
                posix.unlink(entry.name, dir_fd=fd)
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno not in (EPERM, EACCES):
                    raise _refusal(error, self._name(fd, entry.name)) from None
                self._free(fd, entry.name)
                try:
                    posix.unlink(entry.name, dir_fd=fd)
                except OSError as error:
                    raise _refusal(error, self._name(fd, entry.name)) from None
        return directories

    def _open(self, fd: int, name: str) -> int | None:
        try:
            return openat2(fd, name, _DIRECTORY, resolve=_INSIDE)
        except OSError as error:
            if error.errno == ENOENT:
                return None
            if error.errno != EACCES:
                raise _refusal(error, self._name(fd, name)) from None
        # the unprivileged owner of a directory of mode 0, such as overlay's work/work
        handle = openat2(fd, name, posix.O_PATH | posix.O_DIRECTORY, resolve=_INSIDE)
        try:
            posix.chmod(f"/proc/self/fd/{handle}", 0o700)
            return posix.open(f"/proc/self/fd/{handle}", _DIRECTORY & ~posix.O_NOFOLLOW)
        except OSError as error:
            raise _refusal(error, self._name(fd, name)) from None
        finally:
            posix.close(handle)

    def _rmdir(self, fd: int, name: str) -> None:
        try:
            posix.rmdir(name, dir_fd=fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (EPERM, EACCES):
                raise _refusal(error, self._name(fd, name)) from None
            self._free(fd, name)
            try:
                posix.rmdir(name, dir_fd=fd)
            except OSError as error:
                raise _refusal(error, self._name(fd, name)) from None

    def _move_up(self, fd: int, name: str) -> None:
        """Rename a directory into the top one, under a name that is free (or as good as that)."""
        freed = False
        while True:
            self._moved += 1
            try:
                posix.rename(name, f"{self._moved}", src_dir_fd=fd, dst_dir_fd=self._top)
                return
            except OSError as error:
                if error.errno == ENOENT:
                    return
                if error.errno in (EPERM, EACCES) and not freed:
                    freed = True
                    self._free(fd, name)
                elif error.errno not in (ENOTEMPTY, EEXIST, ENOTDIR):
                    raise _refusal(error, self._name(fd, name)) from None

    def _free(self, fd: int, name: str) -> None:
        """Take away what keeps `name` from being removed: flags, and modes for an ordinary user."""
        handles = [fd]
        try:
            # not a device, nor a fifo on which an open might wait
            inside = openat2(fd, name, posix.O_RDONLY | posix.O_NONBLOCK, resolve=_INSIDE)
            handles.append(inside)
        except OSError:
            pass
        try:
            for handle in handles:
                try:
                    _clear_flags(handle)
                    if posix.geteuid() != 0 and posix.fstat(handle).st_mode & 0o040000:
                        posix.fchmod(handle, 0o700)
                except OSError:
                    pass
        finally:
            for handle in handles[1:]:
                posix.close(handle)

    def _name(self, fd: int, name: str) -> str:
        try:
            return f"{posix.readlink(f'/proc/self/fd/{fd}')}/{name}"
        except OSError:
            return f"{self._path}/…/{name}"


def _clear_flags(fd: int) -> None:
    flags = bytearray(8)
    fcntl.ioctl(fd, _FS_IOC_GETFLAGS, flags)
    if flags[0] & _UNDELETABLE:
        flags[0] &= ~_UNDELETABLE & 0xFF
        fcntl.ioctl(fd, _FS_IOC_SETFLAGS, bytes(flags))


def _refusal(error: OSError, path: str) -> Exception:
    if error.errno in (EBUSY, EXDEV):
        return Conflict(f"cannot remove {path}: something is mounted there; unmount it first")
    if error.errno in (EPERM, EACCES):
        return PermissionDenied(f"cannot remove {path}: {error.strerror}")
    return OSError(error.errno, error.strerror, path)
