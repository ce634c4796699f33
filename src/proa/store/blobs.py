"""Blobs: immutable content, each in a file named by its digest."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import secrets

from proa.errors import CorruptData, LimitExceeded, NoSpace, NotFound, PermissionDenied
from proa.kernel.libc import function
from proa.oci.digest import Digest, is_hex
from proa.store.database import sync_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import BinaryIO, Self

_ALGORITHMS = ("sha256", "sha512")
_ENOSPC, _EDQUOT = 28, 122
_WRITEBACK = 8 << 20
"""Bytes after which the kernel is told to begin writing: fsync finds little left to do."""
_SYNC_FILE_RANGE_WRITE = 2
PARTIAL = "partial-"
"""What the files are named of which a part is kept from one attempt to the next."""
_sync_file_range = function("sync_file_range", "illI")


class Blobs:
    """The blobs of a store. A blob that is there is complete and on the disk."""

    def __init__(self, directory: str, ingest: str) -> None:
        self._directory = directory
        self._ingest = ingest

    def path(self, digest: Digest) -> str:
        """Where the blob is, or would be."""
        return f"{self._directory}/{digest.algorithm}/{digest.hex}"

    def exists(self, digest: Digest) -> bool:
        """Whether the blob is here."""
        return os.path.exists(self.path(digest))

    def size(self, digest: Digest) -> int:
        """Its bytes. Raises NotFound."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            raise _missing(digest) from None

    def open(self, digest: Digest) -> BinaryIO:
        """Read it, unbuffered. Raises NotFound."""
        try:
            return io.FileIO(self.path(digest))
        except FileNotFoundError:
            raise _missing(digest) from None

    def read(self, digest: Digest, limit: int) -> bytes:
        """All of a small blob, verified. Raises NotFound, LimitExceeded, CorruptData."""
        size = self.size(digest)
        if size > limit:
            raise LimitExceeded(f"blob {digest} has {size} bytes; at most {limit} are accepted")
        with self.open(digest) as file:
            data = file.read()
        if Digest.of(data, digest.algorithm) != digest:
            raise CorruptData(f"blob {digest} was damaged on the disk; load or pull it again")
        return data

    def put(self, data: bytes, expected: Digest | None = None) -> Digest:
        """Store `data`; its digest. Raises CorruptData where that is not `expected`."""
        with self.ingest(expected, len(data)) as blob:
            blob.write(data)
            return blob.commit()

    def ingest(
        self,
        expected: Digest | None = None,
        size: int | None = None,
        *,
        algorithm: str = "sha256",
    ) -> Ingest:
        """A new blob to be written within `with`; what is not committed there is gone after it.

        `expected`, `size`: what it must turn out to be.
        """
        return Ingest(self, self._ingest, expected, size, algorithm)

    def resume(self, expected: Digest, size: int) -> Partial:
        """As `ingest`, for a blob that takes long to arrive.

        What was written of it stays where writing is broken off, and the next one goes on from
        there; see `Partial`.
        """
        return Partial(self, self._ingest, expected, size, expected.algorithm)

    def present(self, digest: Digest) -> int:
        """How many bytes `resume` would find here of a blob that is still to come."""
        try:
            return os.stat(self.part(digest)).st_size
        except FileNotFoundError:
            return 0

    def part(self, digest: Digest) -> str:
        """Where what has arrived of a blob is kept, or would be."""
        return f"{self._ingest}/{PARTIAL}{digest.algorithm}-{digest.hex}"

    def delete(self, digest: Digest) -> None:
        """Remove it; nothing happens where it is missing."""
        try:
            os.unlink(self.path(digest))
        except FileNotFoundError:
            pass

    def list(self) -> Iterator[tuple[Digest, int]]:
        """All blobs with their sizes in bytes."""
        for algorithm in _ALGORITHMS:
            try:
                entries = list(os.scandir(f"{self._directory}/{algorithm}"))
            except FileNotFoundError:
                continue
            for entry in entries:
                if is_hex(entry.name):
                    try:
                        size = entry.stat(follow_symlinks=False).st_size
                    except FileNotFoundError:
                        continue
                    yield Digest(f"{algorithm}:{entry.name}"), size


class Ingest:
    """A blob on its way in; see `Blobs.ingest`. Not for several threads at a time."""

    def __init__(
        self,
        blobs: Blobs,
        directory: str,
        expected: Digest | None,
        size: int | None,
        algorithm: str,
    ) -> None:
        self._blobs = blobs
        self._directory = directory
        self._path = ""
        self._expected = expected
        self._expected_size = size
        self._algorithm = algorithm if expected is None else expected.algorithm
        self._hash = hashlib.new(self._algorithm)
        self._written = 0
        self._flushed = 0
        self._descriptor = -1

    @property
    def written(self) -> int:
        """Bytes so far."""
        return self._written

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return Digest(f"{self._algorithm}:{self._hash.hexdigest()}")

    def __enter__(self) -> Self:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        while True:
            path = f"{self._directory}/{secrets.token_hex(16)}"
            try:
                descriptor = os.open(path, flags, 0o600)
            except OSError as error:
                raise self._explain(error) from None
            # as long as it is locked, collection knows that somebody is writing it
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                break
            # it was collected before it was locked
            os.close(descriptor)
        self._path, self._descriptor = path, descriptor
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._descriptor >= 0:
            os.unlink(self._path)
            os.close(self._descriptor)
            self._descriptor = -1

    def write(self, data: bytes | memoryview) -> int:
        """Add `data`; how many bytes that was. Raises NoSpace, CorruptData."""
        size = len(data)
        if self._expected_size is not None and self._written + size > self._expected_size:
            raise CorruptData(
                f"{self._name()} is longer than the {self._expected_size} bytes it should have"
            )
        self._hash.update(data)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            self._written += size
            if self._written - self._flushed >= _WRITEBACK:
                _sync_file_range(
                    self._descriptor,
                    self._flushed,
                    self._written - self._flushed,
                    _SYNC_FILE_RANGE_WRITE,
                )
                self._flushed = self._written
        except OSError as error:
            raise self._explain(error) from None
        return size

    def verify(self) -> Digest:
        """Its digest, if size and digest are the expected ones. Raises CorruptData."""
        digest = self.digest
        if self._expected_size is not None and self._written != self._expected_size:
            raise CorruptData(
                f"{self._name()} ends after {self._written} of {self._expected_size} bytes"
            )
        if self._expected is not None and digest != self._expected:
            raise CorruptData(f"{self._name()} has the digest {digest}: it was damaged or replaced")
        return digest

    def commit(self) -> Digest:
        """Verify it and make it one of the blobs, for good; its digest.

        Raises CorruptData where size or digest are not the expected ones, NoSpace.
        """
        digest = self.verify()
        target = self._blobs.path(digest)
        directory = os.path.dirname(target)
        try:
            # fsync before rename: a crash must not leave a short blob under a digest's name
            os.fsync(self._descriptor)
            try:
                os.rename(self._path, target)
            except FileNotFoundError:
                os.makedirs(directory, 0o700, exist_ok=True)
                sync_directory(os.path.dirname(directory))
                os.rename(self._path, target)
            sync_directory(directory)
        except OSError as error:
            raise self._explain(error) from None
        os.close(self._descriptor)
        self._descriptor = -1
        return digest

    def _name(self) -> str:
        return "the blob" if self._expected is None else f"blob {self._expected}"

    def _explain(self, error: OSError) -> Exception:
        if error.errno in (_ENOSPC, _EDQUOT):
            return NoSpace(
                f"no space left in {self._directory} for {self._name()}"
                f" ({self._written} bytes written); free some, for example with 'proa image prune'"
            )
        if isinstance(error, PermissionError):
            return PermissionDenied(f"no permission to write to {self._directory}")
        return error


class Partial(Ingest):
    """A blob of which something may be here already; see `Blobs.resume`.

    The first `present` bytes that are written must be those that `read_present` gives: they are
    on the disk, and are hashed only. What is there is not trusted before `verify`. Where that
    finds another digest, nothing is kept.
    """

    present = 0
    """bytes that are here already"""
    _keep = True

    def __enter__(self) -> Self:
        assert self._expected is not None and self._expected_size is not None
        path = self._blobs.part(self._expected)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._explain(error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            here = os.fstat(descriptor)
        except BlockingIOError:
            here = None
        # somebody else is writing it, or it was collected before it was locked
        if here is None or not here.st_nlink:
            os.close(descriptor)
            self._keep = False
            return super().__enter__()
        self._path, self._descriptor = path, descriptor
        self.present = min(here.st_size, self._expected_size)
        os.ftruncate(descriptor, self.present)
        os.lseek(descriptor, self.present, os.SEEK_SET)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._descriptor >= 0 and self._keep and os.fstat(self._descriptor).st_size:
            os.close(self._descriptor)
            self._descriptor = -1
            return
        super().__exit__(kind, value, traceback)

    def read_present(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes of what is here already; none at its end."""
        return os.pread(self._descriptor, min(size, max(self.present - offset, 0)), offset)

    def write(self, data: bytes | memoryview) -> int:
        """Add `data`; see `Ingest.write`."""
        known = min(max(self.present - self._written, 0), len(data))
        if known:
            self._hash.update(data[:known])
            self._written += known
            self._flushed = self._written
        return known + (super().write(data[known:]) if known < len(data) else 0)

    def verify(self) -> Digest:
        """See `Ingest.verify`."""
        try:
            return super().verify()
        except CorruptData:
            self._keep = False
            raise


def _missing(digest: Digest) -> NotFound:
    return NotFound(f"no such blob: {digest}; load or pull its image again")
