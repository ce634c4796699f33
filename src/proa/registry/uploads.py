"""Upload sessions: blobs on their way in, in any number of requests to any process of the root.

An upload is a file below `ingest`, and a row that says whose it is. What has arrived is known by
the file's size. It is kept for a day without a request, as parts of pulled blobs are.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from typing import TYPE_CHECKING

from proa.errors import NoSpace
from proa.oci.digest import Digest
from proa.registry.refusals import Refused, bad_digest, unknown_upload
from proa.store.blobs import PARTIAL
from proa.store.database import sync_directory
from proa.store.leases import BLOB

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from proa.store.store import Store

_ENOSPC, _EDQUOT = 28, 122
_READ = 1 << 20
_PATIENCE = 10.0
_LIFE = 24 * 3600
_MOST_HASHES = 10_000


class Uploads:
    """The uploads of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hashes: dict[str, tuple[int, hashlib._Hash]] = {}
        """by upload: how many bytes, and their hash so far; only a help"""

    def begin(self, name: str) -> str:
        """Begin an upload to a repository; its id."""
        id = secrets.token_hex(16)
        self._forget_old()
        with self._store.database.transaction():
            self._store.database.run(
                "INSERT INTO registry_uploads (id, repository, started) VALUES (?1, ?2, ?3)",
                (id, name, time.time_ns()),
            )
        descriptor = os.open(self._path(id), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.close(descriptor)
        return id

    def size(self, name: str, id: str) -> int:
        """How many bytes have arrived. Raises Refused."""
        self._check(name, id)
        try:
            return os.stat(self._path(id)).st_size
        except FileNotFoundError:
            raise unknown_upload(id) from None

    def open(self, name: str, id: str) -> Upload:
        """Write to an upload, within `with`; one request at a time. Raises Refused."""
        self._check(name, id)
        return Upload(self, self._store, id, self._path(id))

    def cancel(self, name: str, id: str) -> None:
        """End an upload, and forget what has arrived. Raises Refused."""
        self._check(name, id)
        self._end(id)

    def hashed(self, id: str) -> tuple[int, hashlib._Hash] | None:
        """What is known of the hash of what has arrived."""
        return self._hashes.pop(id, None)

    def remember(self, id: str, size: int, hashed: hashlib._Hash) -> None:
        """Keep the hash of what has arrived for the next request."""
        if len(self._hashes) >= _MOST_HASHES:
            self._hashes.clear()  # of uploads that nobody goes on with; others are read anew
        self._hashes[id] = (size, hashed)

    def end(self, id: str) -> None:
        """The upload is done: its file has become a blob."""
        self._hashes.pop(id, None)
        with self._store.database.transaction():
            self._store.database.run("DELETE FROM registry_uploads WHERE id = ?1", (id,))

    def _end(self, id: str) -> None:
        self.end(id)
        try:
            os.unlink(self._path(id))
        except FileNotFoundError:
            pass

    def _forget_old(self) -> None:
        rows = self._store.database.all(
            "SELECT id FROM registry_uploads WHERE started < ?1",
            (time.time_ns() - _LIFE * 1_000_000_000,),
        )
        for (id,) in rows:
            try:
                if os.stat(self._path(id)).st_mtime > time.time() - _LIFE:
                    continue
            except FileNotFoundError:
                pass
            self._end(id)

    def _check(self, name: str, id: str) -> None:
        row = self._store.database.one(
            "SELECT repository FROM registry_uploads WHERE id = ?1", (id,)
        )
        if row is None or row[0] != name:
            raise unknown_upload(id)

    def _path(self, id: str) -> str:
        return self._store.path("ingest", f"{PARTIAL}upload-{id}")


class Upload:
    """One request's hold on an upload."""

    def __init__(self, uploads: Uploads, store: Store, id: str, path: str) -> None:
        self._uploads = uploads
        self._store = store
        self._id = id
        self._path = path
        self._descriptor = -1
        self._hash = hashlib.sha256()
        self.size = 0
        """bytes that have arrived"""

    def __enter__(self) -> Self:
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise unknown_upload(self._id) from None
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # the connection of the request before may be about to be found broken
                if time.monotonic() > deadline:
                    os.close(self._descriptor)
                    raise Refused(
                        409, "BLOB_UPLOAD_INVALID", "another request writes to this upload"
                    ) from None
                time.sleep(0.05)
        if not os.fstat(self._descriptor).st_nlink:
            os.close(self._descriptor)
            raise unknown_upload(self._id)
        self.size = os.fstat(self._descriptor).st_size
        self._catch_up()
        os.lseek(self._descriptor, self.size, os.SEEK_SET)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._uploads.remember(self._id, self.size, self._hash)

    def write(self, data: bytes | bytearray) -> None:
        """Add bytes. Raises NoSpace."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            if error.errno in (_ENOSPC, _EDQUOT):
                raise NoSpace("the registry's disk is full") from None
            raise
        self._hash.update(data)
        self.size += len(data)

    def commit(self, expected: Digest) -> None:
        """Make it the blob `expected`. Raises Refused where it has another digest.

        The caller links it to a repository while `lease` protects it; see `Uploads.open`.
        """
        hashed = self._hash
        if expected.algorithm != "sha256":
            hashed = hashlib.new(expected.algorithm)
            self._read(hashed, 0)
        found = f"{expected.algorithm}:{hashed.hexdigest()}"
        if found != expected:
            raise bad_digest(expected, f"what was sent has the digest {found}")
        target = self._store.blobs.path(expected)
        os.fsync(self._descriptor)
        os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
        os.rename(self._path, target)
        sync_directory(os.path.dirname(target))
        os.close(self._descriptor)
        self._descriptor = -1
        self._uploads.end(self._id)

    def _catch_up(self) -> None:
        """The hash of what has arrived: as it was left, or read anew."""
        known = self._uploads.hashed(self._id)
        if known is not None and known[0] <= self.size:
            offset, self._hash = known
        else:
            offset = 0
        self._read(self._hash, offset)

    def _read(self, hashed: hashlib._Hash, offset: int) -> None:
        while offset < self.size and (data := os.pread(self._descriptor, _READ, offset)):
            hashed.update(data)
            offset += len(data)


def commit(store: Store, upload: Upload, digest: Digest, name: str) -> None:
    """Make an upload a blob of a repository. Raises Refused, NoSpace."""
    with store.leases.take("registry") as lease:
        lease.protect(BLOB, digest)
        upload.commit(digest)
        with store.database.transaction(durable=True):
            store.database.run(
                "INSERT OR IGNORE INTO registry_blobs (repository, digest) VALUES (?1, ?2)",
                (name, digest),
            )
