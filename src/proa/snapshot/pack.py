"""Gathering files: packing them into a tar archive, or handing them on as they are.

What is gathered was made by strangers and may change meanwhile. Files are opened by name in a
directory that is held open, no link is followed, and nothing but regular files is opened at all.
A file that has gone is left out; one that shrinks is filled up with zeros, one that grows is cut
off, at the size that it had when it was opened.

    packer = Packer()
    packer.add(directory, "passwd", b"etc/passwd", status)
    yield from packer.pieces()
    yield packer.end()

Where an archive would only be taken apart again, by another part of this process, a `Gatherer`
hands on its members without making one.
"""

from __future__ import annotations

import os
import stat
from errno import EACCES, EINVAL, ELOOP, ENODATA, ENOENT, ENOTDIR, ENOTSUP, ENXIO, EPERM, ESTALE
from typing import TYPE_CHECKING

from proa.errors import PermissionDenied
from proa.snapshot.tar import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMBOLIC_LINK,
    TarEntry,
)
from proa.snapshot.tar_write import END, header, padding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from proa.snapshot.whiteout import Marks

    class Content(Protocol):
        """The data of one member."""

        def read(self, limit: int, /) -> memoryview:
            """At most `limit` bytes of it; none at its end."""


FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
GONE = (ENOENT, ENOTDIR, ELOOP, ESTALE)
"""What system calls say of a path that someone has removed or replaced."""

_CHUNK = 1 << 20
_ENOUGH = 1 << 18
"""Bytes that are collected before they are handed on: few large pieces are cheaper than many."""
_OTHER_KINDS = {
    stat.S_IFIFO: FIFO,
    stat.S_IFCHR: CHARACTER_DEVICE,
    stat.S_IFBLK: BLOCK_DEVICE,
}
_DEVICES = (CHARACTER_DEVICE, BLOCK_DEVICE)
_SECURITY = "security."
_CAPABILITY = "security.capability"


class Gatherer:
    """Looks at files, and hands each on as a member: `_take` says what becomes of it."""

    def __init__(self) -> None:
        self.marks: Marks | None = None
        """the files lie in a layer or upper directory, where overlayfs keeps marks among their
        xattrs"""
        self._links: dict[object, bytes] = {}

    def add(
        self,
        directory: int,
        name: str,
        member: bytes,
        status: os.stat_result,
        identity: object = None,
    ) -> bool:
        """Add what is called `name` in `directory`, a descriptor, as `member`.

        `status`: what lstat says of it. `identity`: equal for the names of one and the same file,
        which is written once; by default device and inode. Whether it was added: False where it
        is gone, or a socket, of which archives know nothing. Raises PermissionDenied, OSError.
        """
        kind = stat.S_IFMT(status.st_mode)
        if status.st_nlink > 1 and kind != stat.S_IFDIR and self._link(member, status, identity):
            return True
        if kind == stat.S_IFREG:
            return self._file(directory, name, member, status, identity)
        entry = _entry(member, DIRECTORY, status)
        if kind == stat.S_IFDIR:
            entry.name += b"/"
        elif kind == stat.S_IFLNK:
            entry.kind = SYMBOLIC_LINK
            try:
                entry.link = os.fsencode(os.readlink(name, dir_fd=directory))
            except OSError as error:
                if error.errno in (*GONE, EINVAL):
                    return False
                raise
        elif kind in _OTHER_KINDS:
            entry.kind = _OTHER_KINDS[kind]
            if kind != stat.S_IFIFO:
                entry.major, entry.minor = os.major(status.st_rdev), os.minor(status.st_rdev)
        else:
            return False
        entry.xattrs = self._xattrs(f"/proc/self/fd/{directory}/{name}")
        self._take(entry, -1)
        if status.st_nlink > 1 and kind != stat.S_IFDIR:
            self._links[_identity(status, identity)] = member
        return True

    def whiteout(self, member: bytes) -> None:
        """Add an empty file: how a layer says that something is gone; see `whiteout`."""
        self._take(_blank(member, REGULAR), -1)

    def _take(self, entry: TarEntry, file: int) -> bool:
        """Take a member. `file`: a descriptor of its content, if it has any; whether that is kept
        open.
        """
        raise NotImplementedError

    def _link(self, member: bytes, status: os.stat_result, identity: object) -> bool:
        """Add a further name of a file that was added; whether it was."""
        first = self._links.get(_identity(status, identity))
        if first is None:
            return False
        entry = _entry(member, HARD_LINK, status)
        entry.link = first
        self._take(entry, -1)
        return True

    def _file(
        self,
        directory: int,
        name: str,
        member: bytes,
        status: os.stat_result,
        identity: object,
    ) -> bool:
        try:
            file = os.open(name, FILE, dir_fd=directory)
        except OSError as error:
            if error.errno in (*GONE, ENXIO):
                return False
            if error.errno in (EACCES, EPERM):
                shown = member.decode("utf-8", "backslashreplace")
                raise PermissionDenied(f"cannot read {shown}: {error.strerror}") from None
            raise
        kept = False
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                return False
            entry = _entry(member, REGULAR, found)
            entry.size = found.st_size
            entry.xattrs = self._xattrs(file)
            kept = self._take(entry, file)
            if status.st_nlink > 1:
                self._links[_identity(status, identity)] = member
        finally:
            if not kept:
                os.close(file)
        return True

    def _xattrs(self, file: int | str) -> dict[bytes, bytes] | None:
        """The xattrs that belong to the file, wherever it is.

        Of those of security modules only the capabilities do: labels are the machine's.
        """
        try:
            names = (
                os.listxattr(file)
                if isinstance(file, int)
                else os.listxattr(file, follow_symlinks=False)
            )
        except OSError as error:
            if error.errno in (*GONE, ENOTSUP, EACCES, EPERM):
                return None
            raise
        if not names:
            return None
        found = {}
        for name in names:
            if name.startswith(_SECURITY) and name != _CAPABILITY:
                continue
            shown: bytes | None = os.fsencode(name)
            if self.marks is not None:
                shown = self.marks.unescape(os.fsencode(name))
            if shown is None:
                continue
            try:
                found[shown] = (
                    os.getxattr(file, name)
                    if isinstance(file, int)
                    else os.getxattr(file, name, follow_symlinks=False)
                )
            except OSError as error:
                if error.errno not in (*GONE, ENODATA, ENOTSUP, EACCES, EPERM):
                    raise
        return found


class Packer(Gatherer):
    """An archive that is being written. `owner`: whose everything in it is; None: as it is."""

    def __init__(self, owner: tuple[int, int] | None = None) -> None:
        super().__init__()
        self._owner = owner
        self._parts: list[bytes] = []
        self._collected = 0
        self._reading: FileContent | None = None
        """a large file, which `pieces` reads"""

    def pieces(self) -> Iterator[bytes]:
        """What can be handed on so far; to be asked for after each member."""
        if self._reading is not None:
            yield from self._large(self._reading)
        if self._collected >= _ENOUGH:
            yield self._collect()

    def end(self) -> bytes:
        """The rest of the archive."""
        self._put(END)
        return self._collect()

    def close(self) -> None:
        """Let go of the file that is being read, if any."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _take(self, entry: TarEntry, file: int) -> bool:
        if self._owner is not None:
            entry.uid, entry.gid = self._owner
        self._put(header_of(entry))
        size = entry.size
        if size > _ENOUGH:
            self._reading = FileContent(file, size)
            return True
        while size:
            data = os.read(file, size) or bytes(size)
            size -= len(data)
            self._put(data)
        if entry.size & 511:
            self._put(padding(entry.size))
        return False

    def _large(self, content: FileContent) -> Iterator[bytes]:
        if self._collected:
            yield self._collect()
        after = padding(content.left)
        while content.left:
            yield content.take(_CHUNK)
        self._put(after)
        self.close()

    def _put(self, data: bytes) -> None:
        self._parts.append(data)
        self._collected += len(data)

    def _collect(self) -> bytes:
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        self._collected = 0
        return data


class FileContent:
    """The first `size` bytes of an open file: zeros, where it has become shorter."""

    def __init__(self, file: int, size: int) -> None:
        self._file = file
        self.left = size

    def take(self, limit: int) -> bytes:
        """At most `limit` bytes; none at the end."""
        limit = min(limit, self.left)
        data = os.read(self._file, limit) or bytes(limit)
        self.left -= len(data)
        return data

    def read(self, limit: int, /) -> memoryview:
        """At most `limit` bytes, and no more than a piece."""
        return memoryview(self.take(min(limit, _CHUNK)))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class NoContent:
    """What a member has that is no file."""

    def read(self, _limit: int, /) -> memoryview:
        """Nothing."""
        return memoryview(b"")


def header_of(entry: TarEntry) -> bytes:
    """The header blocks of a member."""
    return header(
        entry.name,
        entry.kind,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size,
        mtime=entry.mtime // 1_000_000_000,
        link=entry.link,
        device=(entry.major, entry.minor) if entry.kind in _DEVICES else None,
        xattrs=entry.xattrs,
    )


def _entry(member: bytes, kind: bytes, status: os.stat_result) -> TarEntry:
    entry = _blank(member, kind)
    entry.mode = status.st_mode & 0o7777
    entry.uid = status.st_uid
    entry.gid = status.st_gid
    entry.mtime = status.st_mtime_ns
    return entry


def _blank(member: bytes, kind: bytes) -> TarEntry:
    entry = TarEntry()
    entry.name = member
    entry.kind = kind
    entry.mode = entry.uid = entry.gid = entry.size = entry.mtime = 0
    entry.link = b""
    entry.major = entry.minor = 0
    entry.xattrs = entry.sparse = None
    entry.offset = 0
    return entry


def _identity(status: os.stat_result, identity: object) -> object:
    return (status.st_dev, status.st_ino) if identity is None else identity
