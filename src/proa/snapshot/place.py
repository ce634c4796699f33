"""Placing what an archive holds in a tree that is in use: what `cp` puts into a container.

The archive is hostile, and the container may change its tree at any moment. Directories on the way
are resolved by the kernel with the tree's root as `/`, or, where nothing may lead out of the
directory at all, beneath it and through no link. What is made is made by its last name in such a
directory, and what is changed then is changed by its own descriptor.

The rules for what is there already are Docker's: a directory stays and gets the archive's mode,
anything else is replaced; a directory does not take the place of something else, nor the reverse.
"""

from __future__ import annotations

import os
import stat
from errno import (
    EACCES,
    EDQUOT,
    EEXIST,
    EINVAL,
    ELOOP,
    ENOENT,
    ENOSPC,
    ENOTDIR,
    ENOTSUP,
    EPERM,
    EROFS,
    ESTALE,
    EXDEV,
)
from typing import TYPE_CHECKING

from proa.errors import (
    Conflict,
    CorruptData,
    HostileData,
    NoSpace,
    NotFound,
    PermissionDenied,
    ProaError,
    Unsupported,
)
from proa.kernel.path import (
    RESOLVE_BENEATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    openat2,
)
from proa.lean.record import record
from proa.snapshot.pack import FileContent, Gatherer, NoContent
from proa.snapshot.tar import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMBOLIC_LINK,
    TarReader,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proa.snapshot.pack import Content
    from proa.snapshot.tar import TarEntry

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_IN_PLACE = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_BENEATH = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
_OPEN = 32
_NOTHING = NoContent()
_NODES = {CHARACTER_DEVICE: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}
_XATTRS = (b"user.", b"system.posix_acl_", b"security.capability")
"""What a file may bring along. The others speak to overlayfs, or to the machine's security."""


@record
class Rules:
    """Whose the files are, and what is left away."""

    owner: tuple[int, int] | None = None
    """user and group of everything; None: those that the archive says"""
    own: bool = False
    """leave everything to whoever runs this, whatever the archive says"""
    devices: bool = True
    """make devices"""
    set_ids: bool = True
    """keep the set-user-ID and set-group-ID bits"""


_RULES = Rules()


def place(
    root: int,
    path: str,
    next_chunk: Callable[[], bytes],
    *,
    rules: Rules = _RULES,
    confined: bool = False,
    skipped: Callable[[str, str], None] = lambda _name, _why: None,
) -> None:
    """Place all of a tar archive in the directory `path` of the tree whose `/` is `root`.

    `next_chunk` gives the archive's next bytes, b"" at the end. `confined`: nothing leads out of
    the directory, not even links that were there before. `skipped` is called with the name of what
    is left away, and why. Raises NotFound, Conflict, CorruptData, HostileData, NoSpace,
    PermissionDenied.
    """
    placement = _Placement(root, path, rules, confined, skipped)
    try:
        reader = TarReader(next_chunk)
        try:
            while (entry := reader.next()) is not None:
                placement.add(entry, reader)
        except CorruptData as error:
            if isinstance(error, HostileData):
                raise
            raise CorruptData(str(error).replace("corrupt layer", "corrupt archive", 1)) from None
        reader.drain()
        placement.finish()
    finally:
        placement.close()


def transfer(
    root: int,
    path: str,
    gather: Callable[[Gatherer], Iterator[None]],
    *,
    rules: Rules = _RULES,
    confined: bool = False,
    skipped: Callable[[str, str], None] = lambda _name, _why: None,
    progress: Callable[[int], None] = lambda _size: None,
) -> None:
    """As `place`, of what `gather` gathers in this process: no archive is made in between.

    `progress` is called with the bytes of each file.
    """
    placement = _Placement(root, path, rules, confined, skipped)
    try:
        for _ in gather(_Transfer(placement, progress)):
            pass
        placement.finish()
    finally:
        placement.close()


class _Transfer(Gatherer):
    """Places each member as it is found."""

    def __init__(self, placement: _Placement, progress: Callable[[int], None]) -> None:
        super().__init__()
        self._placement = placement
        self._progress = progress

    def _take(self, entry: TarEntry, file: int) -> bool:
        size = entry.size
        self._placement.add(entry, FileContent(file, size) if size else _NOTHING)
        self._progress(size)
        return False


class _Placement:
    def __init__(
        self,
        root: int,
        path: str,
        rules: Rules,
        confined: bool,
        skipped: Callable[[str, str], None],
    ) -> None:
        self._root = root
        self._path = os.fsencode(path)
        self._rules = rules
        self._skipped = skipped
        self._confined = confined
        self._directories: dict[bytes, int] = {}
        self._times: list[tuple[bytes, bytes, int]] = []
        try:
            # the one whose links count in any case: the caller's own choice
            self._top = openat2(root, self._path, _PLACE, resolve=_in_root())
        except OSError as error:
            raise _explain(error, self._path) from None
        self._make = {
            REGULAR: self._file,
            DIRECTORY: self._directory,
            SYMBOLIC_LINK: self._symbolic_link,
            HARD_LINK: self._hard_link,
            CHARACTER_DEVICE: self._node,
            BLOCK_DEVICE: self._node,
            FIFO: self._node,
        }

    def close(self) -> None:
        while self._directories:
            os.close(self._directories.popitem()[1])
        os.close(self._top)

    def add(self, entry: TarEntry, reader: Content) -> None:
        path = _clean(entry.name)
        if not path:
            if entry.kind != DIRECTORY:
                raise HostileData(
                    f"hostile archive: {_show(entry.name)} would replace the directory it is put in"
                )
            return  # it is there, and stays as it is
        parent, _, name = path.rpartition(b"/")
        try:
            self._make[entry.kind](self._open(parent), name, path, entry, reader)
        except OSError as error:
            raise _explain(error, path) from None
        except OverflowError:
            raise CorruptData(f"corrupt archive: a number of {_show(path)} is too large") from None

    def finish(self) -> None:
        """Give directories their times, now that nothing is made in them any more."""
        for parent, name, mtime in self._times:
            try:
                descriptor = os.open(name, _DIRECTORY, dir_fd=self._open(parent))
            except OSError:
                continue  # replaced meanwhile
            try:
                os.utime(descriptor, ns=(mtime, mtime))
            finally:
                os.close(descriptor)

    # -- directories on the way

    def _open(self, path: bytes) -> int:
        """The directory `path` of the archive; it is made where it is missing."""
        if not path:
            return self._top
        known = self._directories.get(path)
        if known is not None:
            return known
        try:
            found = self._resolve(path)
        except FileNotFoundError:
            parent, _, name = path.rpartition(b"/")
            above = self._open(parent)
            try:
                os.mkdir(name, 0o755, dir_fd=above)
            except FileExistsError:
                # a link that leads nowhere
                raise NotFound(f"no such directory: {_show(path)} leads nowhere") from None
            found = openat2(above, name, _PLACE, resolve=_BENEATH)
        if len(self._directories) >= _OPEN:
            os.close(self._directories.pop(next(iter(self._directories))))
        self._directories[path] = found
        return found

    def _resolve(self, path: bytes) -> int:
        if self._confined:
            return openat2(self._top, path, _PLACE, resolve=_BENEATH)
        return openat2(self._root, self._path + b"/" + path, _PLACE, resolve=_in_root())

    def _clear(self, parent: int, name: bytes, path: bytes) -> bool:
        """Remove what stands in the way of something that is no directory.

        False where something is mounted there: that cannot be removed, and must not be. (The
        kernel would: what is mounted in another mount namespace does not keep a name.)
        """
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            raise Conflict(f"cannot overwrite directory {_show(path)} with non-directory")
        try:
            os.close(openat2(parent, name, _HANDLE, resolve=_BENEATH | RESOLVE_NO_XDEV))
        except OSError as error:
            if error.errno != EXDEV:
                raise
            return False
        os.unlink(name, dir_fd=parent)
        return True

    def _clear_for_new(self, parent: int, name: bytes, path: bytes) -> None:
        if not self._clear(parent, name, path):
            raise Conflict(f"cannot replace {_show(path)}: something is mounted there")

    # -- kinds

    def _file(
        self, parent: int, name: bytes, path: bytes, entry: TarEntry, reader: Content
    ) -> None:
        try:
            file = os.open(name, _NEW, 0o600, dir_fd=parent)
        except FileExistsError:
            cleared = self._clear(parent, name, path)
            if cleared:
                file = os.open(name, _NEW, 0o600, dir_fd=parent)
            else:
                file = _open_mounted(parent, name, path)
        else:
            cleared = True
        try:
            if entry.sparse is None:
                left = entry.size
                while left:
                    left -= _write(file, reader.read(left))
            else:
                for offset, length in entry.sparse:
                    os.lseek(file, offset, os.SEEK_SET)
                    while length:
                        length -= _write(file, reader.read(length))
                os.ftruncate(file, entry.size)
            if cleared:  # what is mounted from elsewhere keeps its owner and mode
                self._attributes(file, entry)
                os.utime(file, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(file)

    def _directory(
        self, parent: int, name: bytes, path: bytes, entry: TarEntry, _reader: Content
    ) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                raise Conflict(
                    f"cannot overwrite non-directory {_show(path)} with directory"
                ) from None
        descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            self._attributes(descriptor, entry)
        finally:
            os.close(descriptor)
        self._times.append((path.rpartition(b"/")[0], name, entry.mtime))

    def _symbolic_link(
        self, parent: int, name: bytes, path: bytes, entry: TarEntry, _reader: Content
    ) -> None:
        try:
            os.symlink(entry.link, name, dir_fd=parent)
        except FileExistsError:
            self._clear_for_new(parent, name, path)
            os.symlink(entry.link, name, dir_fd=parent)
        owner = self._owner(entry)
        if owner is not None:
            try:
                os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)
            except OSError as error:
                if error.errno != EINVAL:
                    raise
        times = (entry.mtime, entry.mtime)
        os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)

    def _hard_link(
        self, parent: int, name: bytes, path: bytes, entry: TarEntry, _reader: Content
    ) -> None:
        target = _clean(entry.link)
        if target == path:
            return
        above, _, base = target.rpartition(b"/")
        held = os.dup(parent)  # opening the other one may close this one
        try:
            source = self._open(above)
            for attempt in range(2):
                try:
                    os.link(base, name, src_dir_fd=source, dst_dir_fd=held, follow_symlinks=False)
                    return
                except FileExistsError:
                    if attempt:
                        raise
                    self._clear_for_new(held, name, path)
        finally:
            os.close(held)

    def _node(
        self, parent: int, name: bytes, path: bytes, entry: TarEntry, _reader: Content
    ) -> None:
        if entry.kind != FIFO and not self._rules.devices:
            self._skipped(os.fsdecode(path), "it is a device")
            return
        kind = _NODES[entry.kind] | 0o600
        number = os.makedev(entry.major, entry.minor)
        try:
            try:
                os.mknod(name, kind, number, dir_fd=parent)
            except FileExistsError:
                self._clear_for_new(parent, name, path)
                os.mknod(name, kind, number, dir_fd=parent)
        except PermissionError:
            if entry.kind == FIFO:
                raise
            self._skipped(os.fsdecode(path), "an ordinary user cannot make devices")
            return
        handle = os.open(name, _HANDLE, dir_fd=parent)
        try:
            # what is there by now may be another thing: nothing else gets these attributes
            if stat.S_IFMT(os.fstat(handle).st_mode) == _NODES[entry.kind]:
                self._attributes(f"/proc/self/fd/{handle}", entry)
                os.utime(f"/proc/self/fd/{handle}", ns=(entry.mtime, entry.mtime))
        finally:
            os.close(handle)

    # -- attributes

    def _owner(self, entry: TarEntry) -> tuple[int, int] | None:
        if self._rules.own:
            return None
        return self._rules.owner or (entry.uid, entry.gid)

    def _attributes(self, target: int | str, entry: TarEntry) -> None:
        """Owner, mode and xattrs, by a descriptor or what stands for one."""
        owner = self._owner(entry)
        if owner is not None:
            try:
                os.chown(target, *owner)
            except OSError as error:
                if error.errno != EINVAL:
                    raise
                # a user namespace that does not have this owner: it is the namespace's root
        os.chmod(target, entry.mode if self._rules.set_ids else entry.mode & 0o1777)
        for name, value in (entry.xattrs or {}).items():
            if not name.startswith(_XATTRS):
                continue
            try:
                os.setxattr(target, name, value)
            except OSError as error:
                # not for this file system, this kind of file, or this user
                if error.errno not in (ENOTSUP, EPERM, EACCES):
                    raise


def _open_mounted(parent: int, name: bytes, path: bytes) -> int:
    """A regular file that is mounted there, emptied. Raises Conflict for a device and its like:
    a disk of the host would be written to.
    """
    file = os.open(name, _IN_PLACE, dir_fd=parent)
    if stat.S_ISREG(os.fstat(file).st_mode):
        os.ftruncate(file, 0)
        return file
    os.close(file)
    raise Conflict(f"cannot replace {_show(path)}: something is mounted there")


def pieces_reader(pieces: Iterator[bytes]) -> Callable[[], bytes]:
    """What `place` takes, of an iterator."""
    return lambda: next(pieces, b"")


def _in_root() -> int:
    return RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS


def _clean(name: bytes) -> bytes:
    """`name` without leading slashes, `.`, `..` and doubled slashes. Raises HostileData."""
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise HostileData(
                    f"hostile archive: {_show(name)} reaches out of the directory it is put in"
                )
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def _write(file: int, data: memoryview) -> int:
    written = os.write(file, data)
    while written < len(data):  # nearly no space: the next call tells
        written += os.write(file, data[written:])
    return written


def _explain(error: OSError, path: bytes) -> ProaError:
    shown, number = _show(path), error.errno
    if number in (ENOSPC, EDQUOT):
        return NoSpace(f"no space left for {shown}")
    if number == EROFS:
        return PermissionDenied(f"cannot write {shown}: what it lies in is mounted read-only")
    if number in (EACCES, EPERM):
        return PermissionDenied(f"cannot write {shown}: {error.strerror}")
    if number in (ENOENT, ESTALE):
        return NotFound(f"no such directory: {shown}")
    if number in (ENOTDIR, EEXIST):
        return Conflict(f"cannot write {shown}: {error.strerror}")
    if number in (ELOOP, EXDEV):
        return HostileData(f"hostile archive: {shown} leads through a link")
    return Unsupported(f"cannot write {shown}: {error.strerror}")


def _show(name: bytes) -> str:
    text = name[:200].decode("utf-8", "backslashreplace")
    return repr(text) if len(name) <= 200 else repr(text) + "…"
