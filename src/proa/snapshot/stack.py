"""Directories over one another, seen as the one tree that they make: overlayfs without a mount.

The rules are those of Documentation/filesystems/overlayfs.rst: of several things of one name the
topmost counts; directories of one name are merged, down to one that is opaque or to something
that is no directory; a whiteout hides what is below it.

What lies in the directories was made by strangers, and may change while it is read: everything
goes by descriptors, no link is followed and no mount entered.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from errno import ELOOP, ENAMETOOLONG, ENODATA, ENOENT, ENOTDIR, ENOTSUP
from typing import TYPE_CHECKING

from proa.errors import LimitExceeded, NotFound
from proa.kernel.path import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, openat2
from proa.snapshot.whiteout import Marks, is_whiteout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_INSIDE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
_GONE = (ENOENT, ENOTDIR, ELOOP)


@dataclass(slots=True)
class Entry:
    """What the tree has under one name."""

    name: str
    level: int
    """In which directory of the stack it lies; 0 is the topmost."""
    status: os.stat_result
    levels: tuple[int, ...] = ()
    """Of a directory: those of which its content comes, topmost first."""

    @property
    def identity(self) -> tuple[int, int, int]:
        """What names of one and the same file have in common.

        Layers are file systems of their own: what is linked across two of them is not so for
        who sees the tree.
        """
        return self.level, self.status.st_dev, self.status.st_ino


class Stack:
    """The tree made of `directories`, topmost first. A context manager.

    `marked`: they may hold overlayfs's marks. Otherwise character devices 0:0 and xattrs of any
    name are nothing but that. Raises NotFound where a directory is missing.
    """

    def __init__(self, directories: Sequence[str], *, marked: bool = True) -> None:
        self.marks = Marks() if marked else None
        self._roots: list[int] = []
        try:
            for path in directories:
                self._roots.append(_open_root(path))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the directories."""
        while self._roots:
            os.close(self._roots.pop())

    @property
    def top(self) -> tuple[int, ...]:
        """The levels of the tree's root directory."""
        return tuple(range(len(self._roots)))

    def open_directory(self, level: int, path: str) -> int | None:
        """A descriptor of the directory `path` ("": the root) of one level; None: it is gone.

        Raises LimitExceeded for a path that is longer than the kernel takes.
        """
        return self._open(level, path or ".", _DIRECTORY)

    def open_file(self, level: int, path: str) -> int | None:
        """A descriptor, for reading, of the regular file `path`; None: it is gone."""
        fd = self._open(level, path, _FILE)
        if fd is None or stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        return None

    def _open(self, level: int, path: str, flags: int) -> int | None:
        try:
            return openat2(self._roots[level], path, flags, resolve=_INSIDE)
        except OSError as error:
            if error.errno in _GONE:
                return None
            if error.errno == ENAMETOOLONG:
                raise LimitExceeded(
                    f"the path {path[:200]!r}… is longer than 4095 bytes, and cannot be compared"
                ) from None
            raise

    def read_link(self, level: int, path: str) -> str | None:
        """Where the symbolic link `path` leads; None: it is gone."""
        parent, _, name = path.rpartition("/")
        fd = self.open_directory(level, parent)
        if fd is None:
            return None
        try:
            return os.readlink(name, dir_fd=fd)
        except OSError:
            return None
        finally:
            os.close(fd)

    def xattrs(self, level: int, path: str) -> dict[str, bytes]:
        """The xattrs of `path` ("": the root), under the names that the tree's user sees."""
        parent, _, name = path.rpartition("/")
        fd = self.open_directory(level, parent)
        if fd is None:
            return {}
        try:
            return self.xattrs_at(fd, name or ".")
        finally:
            os.close(fd)

    def xattrs_at(self, fd: int, name: str) -> dict[str, bytes]:
        """The xattrs of `name` in the directory `fd`, as `xattrs` gives them."""
        path = f"/proc/self/fd/{fd}/{name}"
        found: dict[str, bytes] = {}
        try:
            for stored in os.listxattr(path, follow_symlinks=False):
                shown = stored
                if self.marks is not None:
                    plain = self.marks.unescape(os.fsencode(stored))
                    if plain is None:
                        continue
                    shown = os.fsdecode(plain)
                found[shown] = os.getxattr(path, stored, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (ENOTSUP, ENODATA, *_GONE):
                raise
        return found

    def scan(self, path: str, levels: Sequence[int]) -> dict[str, Entry]:
        """What the directory `path` holds, merged of `levels`; nothing where it is gone."""
        entries: dict[str, Entry] = {}
        hidden: set[str] = set()
        for level in levels:
            fd = self.open_directory(level, path)
            if fd is None:
                continue
            try:
                for name, status in _list(fd):
                    if name not in hidden:
                        self._take(fd, Entry(name, level, status), entries, hidden)
            finally:
                os.close(fd)
        return entries

    def below(self, path: str) -> Stack | None:
        """The tree of the directory `path`, as a stack of its own; None: there is none."""
        levels, prefix = self.top, ""
        for name in path.split("/") if path else ():
            entries: dict[str, Entry] = {}
            hidden: set[str] = set()
            for level in levels:
                fd = self.open_directory(level, prefix)
                if fd is None:
                    continue
                try:
                    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    if name not in hidden:
                        self._take(fd, Entry(name, level, status), entries, hidden)
                except FileNotFoundError:
                    continue
                finally:
                    os.close(fd)
            if name not in entries or not entries[name].levels:
                return None
            levels = entries[name].levels
            prefix = f"{prefix}/{name}" if prefix else name
        found = Stack((), marked=False)
        found.marks = self.marks
        opened = [self.open_directory(level, prefix) for level in levels]
        found._roots = [fd for fd in opened if fd is not None]
        return found

    def _take(self, fd: int, found: Entry, entries: dict[str, Entry], hidden: set[str]) -> None:
        name = found.name
        known = entries.get(name)
        if known is None:
            if self.marks is not None and is_whiteout(found.status):
                hidden.add(name)
                return
            known = entries[name] = found
        if not stat.S_ISDIR(found.status.st_mode):
            hidden.add(name)
            return
        known.levels += (found.level,)
        if self._is_opaque(fd, name):
            hidden.add(name)

    def _is_opaque(self, fd: int, name: str) -> bool:
        if self.marks is None:
            return False
        path = f"/proc/self/fd/{fd}/{name}"
        try:
            return os.getxattr(path, self.marks.opaque, follow_symlinks=False) == b"y"
        except OSError as error:
            if error.errno in (ENODATA, ENOTSUP, *_GONE):
                return False
            raise


def _open_root(path: str) -> int:
    try:
        return os.open(path, _DIRECTORY)
    except FileNotFoundError:
        raise NotFound(f"no such directory of a layer or container: {path}") from None


def _list(fd: int) -> list[tuple[str, os.stat_result]]:
    found = []
    with os.scandir(fd) as entries:
        for entry in entries:
            try:
                found.append((entry.name, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
    return found
