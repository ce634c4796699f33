"""The files of an image archive, wherever it is: in a tar file, a stream, a directory."""

from __future__ import annotations

import io
import os
import posixpath
import stat
from typing import TYPE_CHECKING, Protocol

from proa.errors import CorruptData, HostileData, InvalidArgument, LimitExceeded
from proa.image.documents import check
from proa.image.reader import read_exactly
from proa.image.tar_entries import Entry, clean, entries, padded
from proa.kernel.path import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, openat2
from proa.store.leases import BLOB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proa.image.reader import BinaryReader
    from proa.oci.digest import Digest
    from proa.store.leases import Lease
    from proa.store.store import Store

_MOST_LINKS = 8
_SMALL = 1 << 20
_MOST_SMALL = 64 << 20
_CHUNK = 1 << 20
_MOST_PADDING = 64 << 20
"""Bytes that are read behind the end of an archive."""


class Files(Protocol):
    """Files by their path, which is relative and clean."""

    def names(self) -> Iterable[str]:
        """The paths of all files."""

    def has(self, name: str) -> bool:
        """Whether there is a file of this path."""

    def open(self, name: str) -> BinaryReader:
        """Read it. Raises CorruptData where it is missing."""

    def size(self, name: str) -> int:
        """Its bytes. Raises CorruptData where it is missing."""

    def digest(self, name: str) -> Digest | None:
        """Its digest, where it was read and stored already."""


def read(files: Files, name: str, limit: int) -> bytes:
    """All of a small file. Raises CorruptData, LimitExceeded."""
    size = files.size(name)
    if size > limit:
        raise LimitExceeded(f"{name} in the archive has {size} bytes; at most {limit} are accepted")
    data = read_exactly(files.open(name), size + 1)
    if len(data) != size:
        raise CorruptData(f"{name} in the archive is not complete")
    return data


def read_document(files: Files, name: str, limit: int) -> bytes:
    """All of a JSON document, checked. Raises CorruptData, HostileData, LimitExceeded."""
    return check(read(files, name, limit), f"{name[:200]} in the archive")


def inside(name: str, what: str) -> str:
    """A path that stands in a document of the archive, cleaned. Raises HostileData."""
    try:
        return clean(name)
    except HostileData:
        raise HostileData(
            f"{what} refers to {name[:200]!r}, outside of the archive; it was refused"
        ) from None


class _Members:
    """What the members of an archive are, and where its links lead."""

    def __init__(self) -> None:
        self._members: dict[str, Entry] = {}

    def add(self, entry: Entry) -> None:
        """Note a member."""
        if entry.kind not in ("file", "link", "hardlink"):
            return
        if entry.name in self._members:
            raise CorruptData(f"the archive has two members named {entry.name[:200]!r}")
        self._members[entry.name] = entry

    def names(self) -> Iterable[str]:
        return self._members.keys()

    def has(self, name: str) -> bool:
        try:
            self.find(name)
        except CorruptData:
            return False
        return True

    def find(self, name: str) -> Entry:
        """The file of that path; links are followed within the archive, never on the disk."""
        wanted = name
        for _ in range(_MOST_LINKS):
            entry = self._members.get(wanted)
            if entry is None:
                raise CorruptData(f"the archive has no {name[:200]!r}")
            if entry.kind == "file":
                return entry
            target = entry.target
            if entry.kind == "link":
                if target.startswith("/"):
                    raise HostileData(f"the archive has a link out of it: {wanted[:200]!r}")
                target = posixpath.normpath(posixpath.join(posixpath.dirname(wanted), target))
            wanted = inside(target, f"the link {wanted[:200]!r}")
        raise CorruptData(f"the archive has too many links in a row at {name[:200]!r}")


class TarFiles:
    """The files of a plain tar archive in a seekable file; any number of them can be read at a
    time, by any number of threads."""

    def __init__(self, descriptor: int) -> None:
        """Read all headers from the current position on. The descriptor stays the caller's."""
        self._descriptor = descriptor
        self._members = _Members()
        self._places: dict[str, int] = {}
        cursor = _FileCursor(descriptor)
        for entry in entries(cursor):
            self._members.add(entry)
            self._places[entry.name] = cursor.offset
            cursor.skip(padded(entry.size))

    def names(self) -> Iterable[str]:
        """The paths of all files."""
        return self._members.names()

    def has(self, name: str) -> bool:
        """Whether there is a file of this path."""
        return self._members.has(name)

    def open(self, name: str) -> BinaryReader:
        """Read it."""
        entry = self._members.find(name)
        return _Range(self._descriptor, self._places[entry.name], entry.size)

    def size(self, name: str) -> int:
        """Its bytes."""
        return self._members.find(name).size

    def digest(self, _name: str) -> Digest | None:
        """Not known."""
        return None


class _FileCursor:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        self._end = os.fstat(descriptor).st_size

    def read(self, size: int) -> bytes:
        data = os.pread(self._descriptor, size, self.offset)
        self.offset += len(data)
        return data

    def skip(self, size: int) -> None:
        self.offset += size
        # the last member's padding may be missing
        if self.offset > padded(self._end):
            raise CorruptData(
                f"the archive is cut off: it has {self._end} bytes, and its headers tell of"
                f" {self.offset} at least"
            )


class _Range:
    """A part of a file, read without moving the file's position."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        if size < 0 or size > self._left:
            size = self._left
        if not size:
            return b""
        data = os.pread(self._descriptor, size, self._offset)
        if not data:
            raise CorruptData(f"the archive is cut off: {self._left} bytes are missing")
        self._offset += len(data)
        self._left -= len(data)
        return data


class SpooledFiles:
    """The files of a tar archive that comes as a stream.

    What the images in it are is only told at its end. So small files are kept in memory, and
    large ones stored as blobs, which is what most of them will be anyway.
    """

    def __init__(self, store: Store, lease: Lease, stream: BinaryReader) -> None:
        self._store = store
        self._members = _Members()
        self._small: dict[str, bytes] = {}
        self._blobs: dict[str, Digest] = {}
        cursor = _StreamCursor(stream)
        memory = 0
        for entry in entries(cursor):
            self._members.add(entry)
            if entry.kind == "file":
                if entry.size <= _SMALL and memory + entry.size <= _MOST_SMALL:
                    self._small[entry.name] = cursor.take(entry.size)
                    memory += entry.size
                else:
                    self._blobs[entry.name] = self._ingest(lease, cursor, entry)
                cursor.skip(padded(entry.size) - entry.size)
            else:
                cursor.skip(padded(entry.size))
        # whoever writes to the other end of a pipe should not be told that nobody listens; one
        # that never ends is not waited for
        for _ in range(_MOST_PADDING // _CHUNK):
            if not stream.read(_CHUNK):
                break

    def _ingest(self, lease: Lease, cursor: _StreamCursor, entry: Entry) -> Digest:
        with self._store.blobs.ingest(size=entry.size) as blob:
            left = entry.size
            while left:
                data = cursor.take(min(left, _CHUNK))
                blob.write(data)
                left -= len(data)
            lease.protect(BLOB, blob.digest)
            return blob.commit()

    def names(self) -> Iterable[str]:
        """The paths of all files."""
        return self._members.names()

    def has(self, name: str) -> bool:
        """Whether there is a file of this path."""
        return self._members.has(name)

    def open(self, name: str) -> BinaryReader:
        """Read it."""
        entry = self._members.find(name)
        if entry.name in self._small:
            return io.BytesIO(self._small[entry.name])
        return self._store.blobs.open(self._blobs[entry.name])

    def size(self, name: str) -> int:
        """Its bytes."""
        return self._members.find(name).size

    def digest(self, name: str) -> Digest | None:
        """Its digest, where it is a blob."""
        return self._blobs.get(self._members.find(name).name)


class _StreamCursor:
    def __init__(self, stream: BinaryReader) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        return read_exactly(self._stream, size)

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        data = read_exactly(self._stream, size)
        if len(data) < size:
            raise CorruptData(f"the archive is cut off: {size - len(data)} bytes are missing")
        return data

    def skip(self, size: int) -> None:
        while size:
            data = self._stream.read(min(size, _CHUNK))
            if not data:
                # the last member's padding may be missing
                if size < 512:
                    return
                raise CorruptData(f"the archive is cut off: {size} bytes are missing")
            size -= len(data)


class DirectoryFiles:
    """The files of an OCI layout directory. Its links are followed within it, never out of it."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._top = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise InvalidArgument(f"{path} is not a directory") from None

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._top)

    def names(self) -> Iterable[str]:
        """The paths of all files."""
        for directory, _, names in os.walk(self._path):
            for name in names:
                yield os.path.relpath(os.path.join(directory, name), self._path)

    def has(self, name: str) -> bool:
        """Whether there is a file of this path."""
        try:
            os.close(self._open(name))
        except CorruptData:
            return False
        return True

    def open(self, name: str) -> BinaryReader:
        """Read it."""
        return io.FileIO(self._open(name))

    def size(self, name: str) -> int:
        """Its bytes."""
        descriptor = self._open(name)
        try:
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def digest(self, _name: str) -> Digest | None:
        """Not known."""
        return None

    def _open(self, name: str) -> int:
        try:
            # O_NONBLOCK: a fifo must not hold us up
            descriptor = openat2(
                self._top,
                name,
                os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY,
                resolve=RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
            )
        except (FileNotFoundError, NotADirectoryError):
            raise CorruptData(f"{self._path} has no {name!r}") from None
        except OSError as error:
            raise HostileData(f"{name!r} leads out of {self._path}: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise CorruptData(f"{name!r} in {self._path} is not a file")
        return descriptor
