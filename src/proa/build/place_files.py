"""Putting files into the file system of a step: what COPY does.

The file system is a stranger's. The destination's own path may lead through links, resolved by the
kernel with the file system's root as `/`; below it no link is followed. Rules for what is there
already, as BuildKit has them: a directory stays and takes over the mode and owner of the one that
is copied, anything else is replaced, a directory and something else never replace each other.
"""

from __future__ import annotations

import os
import posixpath
import stat
from errno import EINVAL, ENOSYS, EOPNOTSUPP, EXDEV
from typing import TYPE_CHECKING

from proa.build.fingerprint import changed, identity_of, open_same, own_xattrs, read_link
from proa.build.tree import Item
from proa.errors import Conflict, InvalidArgument
from proa.kernel.path import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, open_in_root, openat2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proa.build.tree import Tree

_BENEATH = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
_PLACE = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLLOW = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MOST_LINKS = 40
_CHUNK = 1 << 24
_OPEN = 64
_NO_RANGES = (EXDEV, EINVAL, ENOSYS, EOPNOTSUPP)
_NOT_SPECIAL = 0o7777


class Placement:
    """Places files below `destination` of the file system `root`, a descriptor."""

    def __init__(
        self,
        root: int,
        destination: str,
        *,
        owner: tuple[int, int] | None = None,
        mode: Callable[[int, bool], int] | None = None,
    ) -> None:
        """`owner`: of everything; None: as the files have it. `mode`: changes modes."""
        self._root = root
        self._owner = owner
        self._mode = mode
        self._links: dict[tuple[int, int], str] = {}
        self._directories: dict[str, int] = {}
        self._times: list[tuple[str, os.stat_result]] = []
        self._was_there = self._exists(destination)
        self._top = self._make_destination(destination)
        self._shown = destination.rstrip("/")

    def close(self) -> None:
        """Let go of the directories."""
        while self._directories:
            os.close(self._directories.popitem()[1])
        os.close(self._top)

    def add(
        self,
        tree: Tree,
        items: Iterable[Item],
        *,
        unpack: Callable[[int], bool] = lambda _: False,
    ) -> None:
        """Copy `items` of `tree`. Raises Conflict, InvalidArgument, NoSpace by OSError.

        `unpack` is given each file that is a source itself; where it says True, it has seen to it.
        """
        for item in items:
            mode = item.status.st_mode
            if item.named and stat.S_ISREG(mode) and self._is_unpacked(tree, item, unpack):
                continue
            if stat.S_ISDIR(mode):
                self._directory(item)
                continue
            parent, _, name = item.target.rpartition("/")
            directory = self._open(parent)
            if item.status.st_nlink > 1 and self._link(item, directory, name):
                continue
            self._clear(directory, name, item.target)
            if stat.S_ISREG(mode):
                self._file(tree, item, directory, name)
            elif stat.S_ISLNK(mode):
                os.symlink(read_link(tree, item.source), name, dir_fd=directory)
                self._chown(name, directory, item.status)
                self._utime(name, directory, item.status)
            elif not stat.S_ISSOCK(mode):
                os.mknod(name, mode, item.status.st_rdev, dir_fd=directory)
                self._chown(name, directory, item.status)
                path = f"/proc/self/fd/{directory}/{name}"
                os.chmod(path, self._mode_of(item.status))
                self._utime(name, directory, item.status)
            if item.status.st_nlink > 1:
                self._links[item.status.st_dev, item.status.st_ino] = item.target

    def write(self, name: str, content: bytes, *, mode: int = 0o644, mtime: int) -> None:
        """Make a file of `content`. `mtime`: seconds since 1970."""
        parent, _, base = name.rpartition("/")
        directory = self._open(parent)
        self._clear(directory, base, name)
        file = os.open(base, _NEW, 0o600, dir_fd=directory)
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(file, left) :]
            os.fchown(file, *(self._owner or (0, 0)))
            os.fchmod(file, self._mode(mode, False) if self._mode else mode)
            os.utime(file, (mtime, mtime))
        finally:
            os.close(file)

    def finish(self) -> None:
        """Give directories their times, now that nothing is made in them any more."""
        for path, status in reversed(self._times):
            os.utime(self._open(path), ns=(status.st_mtime_ns, status.st_mtime_ns))

    # -- directories

    def _exists(self, path: str) -> bool:
        try:
            os.close(open_in_root(self._root, path, os.O_PATH))
        except OSError:
            return False
        return True

    def _make_destination(self, path: str) -> int:
        """The directory `path`, made where it is missing; links in it may lead to what is missing.

        Raises InvalidArgument.
        """
        pending = _parts(path)
        for _ in range(_MOST_LINKS):
            depth = len(pending)
            while True:
                try:
                    current = open_in_root(self._root, "/" + "/".join(pending[:depth]), _FOLLOW)
                    break
                except FileNotFoundError:
                    depth -= 1
                except NotADirectoryError:
                    raise InvalidArgument(
                        f"cannot copy to {path}: there is something that is no directory"
                    ) from None
            try:
                while depth < len(pending):
                    name = pending[depth]
                    try:
                        os.mkdir(name, 0o755, dir_fd=current)
                    except FileExistsError:
                        break  # a link that leads nowhere yet
                    below = os.open(name, _PLACE, dir_fd=current)
                    os.close(current)
                    current = below
                    os.fchmod(current, 0o755)
                    os.fchown(current, *(self._owner or (0, 0)))
                    depth += 1
                else:
                    return os.dup(current)
                target = os.readlink(pending[depth], dir_fd=current)
            finally:
                os.close(current)
            above = [] if target.startswith("/") else pending[:depth]
            pending = _parts(
                posixpath.normpath("/".join(["", *above, target, *pending[depth + 1 :]]))
            )
        raise InvalidArgument(f"cannot copy to {path}: it leads through too many links")

    def _open(self, path: str) -> int:
        """The directory `path` below the destination; with `--parents` it may be missing."""
        if not path:
            return self._top
        known = self._directories.get(path)
        if known is not None:
            return known
        try:
            found = openat2(self._top, path, _PLACE, resolve=_BENEATH)
        except FileNotFoundError:
            parent, _, name = path.rpartition("/")
            above = self._open(parent)
            os.mkdir(name, 0o755, dir_fd=above)
            found = os.open(name, _PLACE, dir_fd=above)
            os.fchmod(found, 0o755)
            os.fchown(found, *(self._owner or (0, 0)))
        except OSError:
            raise Conflict(
                f"cannot copy to non-directory: {self._shown}/{path}; it is a link or a file there"
            ) from None
        if len(self._directories) >= _OPEN:
            os.close(self._directories.pop(next(iter(self._directories))))
        self._directories[path] = found
        return found

    def _directory(self, item: Item) -> None:
        if not item.target:
            if not self._was_there and item.top:
                self._attributes(self._top, item.status)
                self._times.append(("", item.status))
            return
        parent, _, name = item.target.rpartition("/")
        above = self._open(parent)
        try:
            os.mkdir(name, 0o700, dir_fd=above)
        except FileExistsError:
            found = os.stat(name, dir_fd=above, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                raise Conflict(
                    f"cannot copy to non-directory: {self._shown}/{item.target}"
                ) from None
        self._attributes(self._open(item.target), item.status)
        self._times.append((item.target, item.status))

    def _attributes(self, directory: int, status: os.stat_result) -> None:
        owner = self._owner or (status.st_uid, status.st_gid)
        os.fchown(directory, *owner)
        os.fchmod(directory, self._mode_of(status))

    # -- files

    def _clear(self, directory: int, name: str, shown: str) -> None:
        """Remove what is in the way."""
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(found.st_mode):
            raise Conflict(f"cannot copy to directory: {self._shown}/{shown}")
        os.unlink(name, dir_fd=directory)

    def _link(self, item: Item, directory: int, name: str) -> bool:
        first = self._links.get((item.status.st_dev, item.status.st_ino))
        if first is None:
            return False
        self._clear(directory, name, item.target)
        # held: opening the other directory may close this one
        held = os.dup(directory)
        try:
            parent, _, base = first.rpartition("/")
            os.link(
                base, name, src_dir_fd=self._open(parent), dst_dir_fd=held, follow_symlinks=False
            )
        finally:
            os.close(held)
        return True

    def _is_unpacked(self, tree: Tree, item: Item, unpack: Callable[[int], bool]) -> bool:
        file = open_same(tree, item)
        try:
            return unpack(file)
        finally:
            os.close(file)

    def _file(self, tree: Tree, item: Item, directory: int, name: str) -> None:
        source = open_same(tree, item)
        try:
            file = os.open(name, _NEW, 0o600, dir_fd=directory)
            try:
                _copy(source, file, item.status.st_size)
                os.fchown(file, *(self._owner or (item.status.st_uid, item.status.st_gid)))
                os.fchmod(file, self._mode_of(item.status))
                for key, value in own_xattrs(source):
                    os.setxattr(file, key, value)
                os.utime(file, ns=(item.status.st_mtime_ns, item.status.st_mtime_ns))
            finally:
                os.close(file)
            if identity_of(os.fstat(source)) != identity_of(item.status):
                raise changed(tree, item)
        finally:
            os.close(source)

    def _mode_of(self, status: os.stat_result) -> int:
        mode = status.st_mode & _NOT_SPECIAL
        return self._mode(mode, stat.S_ISDIR(status.st_mode)) if self._mode else mode

    def _chown(self, name: str, directory: int, status: os.stat_result) -> None:
        owner = self._owner or (status.st_uid, status.st_gid)
        os.chown(name, *owner, dir_fd=directory, follow_symlinks=False)

    def _utime(self, name: str, directory: int, status: os.stat_result) -> None:
        times = (status.st_mtime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)


def destination_of(
    root: int, destination: str, items: list[Item], sources: int
) -> tuple[str, list[Item]]:
    """The directory in which to place `items`, and these under the names that they get there.

    One file without a slash behind the destination gets that name, unless it is a directory.
    Raises InvalidArgument.
    """
    single = sources == 1 and len(items) == 1 and not stat.S_ISDIR(items[0].status.st_mode)
    if destination.endswith("/"):
        return destination, items
    if not single:
        if sources > 1:
            raise InvalidArgument(
                "when using COPY with more than one source file, the destination must be a"
                " directory and end with a /"
            )
        return destination, items
    if is_directory(root, destination):
        return destination, items
    parent, name = posixpath.split(destination)
    return parent, [Item(items[0].source, name, items[0].status, named=True)]


def is_directory(root: int, path: str) -> bool:
    """Whether `path` leads to a directory of the file system."""
    try:
        descriptor = open_in_root(root, path, os.O_PATH)
    except OSError:
        return False
    try:
        return stat.S_ISDIR(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _copy(source: int, target: int, size: int) -> None:
    """All of a file; in the kernel, and without copying where the file system can share."""
    left = size
    by_range = True
    while left > 0:
        count = 0
        if by_range:
            try:
                count = os.copy_file_range(source, target, min(left, _CHUNK))
            except OSError as error:
                if error.errno not in _NO_RANGES:
                    raise
                by_range = False
                continue
        else:
            count = os.sendfile(target, source, None, min(left, _CHUNK))
        if count == 0:
            return  # it has become shorter: that is noticed by who called
        left -= count
