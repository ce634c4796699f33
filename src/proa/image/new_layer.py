"""Making a layer of what a container, or a step of a build, has changed.

One pass: each changed file is read once, written into the layer's own directory, and into a tar,
which a thread beside hashes and stores. The layer is kept uncompressed: most are never sent
anywhere, and whoever sends one compresses it then.

    layer = make_layer(store, lease, snapshots.changes(key_dir, layers))
    image = append_layer(image, layer, history)
"""

from __future__ import annotations

import os
import queue
import threading
from typing import TYPE_CHECKING

from proa.errors import Cancelled
from proa.image.unpack import explain, has_single_id
from proa.image.view import Layer
from proa.oci import media_types
from proa.oci.descriptor import Descriptor
from proa.oci.digest import Digest
from proa.snapshot.extract import Extraction
from proa.snapshot.overlay import measure
from proa.snapshot.pack import FileContent, Gatherer, NoContent, header_of
from proa.snapshot.pack_layer import gather_changes, pack_changes
from proa.snapshot.tar_write import END, padding
from proa.store.leases import BLOB, LAYER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from proa.snapshot.diff import Change
    from proa.snapshot.tar import TarEntry
    from proa.store.blobs import Ingest
    from proa.store.layers import Building
    from proa.store.leases import Lease
    from proa.store.store import Store

EMPTY = Digest.trusted("sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef")
"""The diff ID of a layer without changes: 1024 zeros. Images leave it out, their history says
`empty_layer`.
"""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOTHING = NoContent()
_ENOUGH = 1 << 18
"""Bytes that are collected before they are handed on."""
_AHEAD = 16
"""Pieces that may wait to be stored; with the size of a piece, this bounds memory."""


def make_layer(
    store: Store,
    lease: Lease,
    changes: Iterable[Change],
    *,
    skipped: Callable[[str, str], None] = lambda _path, _why: None,
) -> Layer:
    """The layer that makes `changes`: in the store, unpacked, kept by `lease`.

    `skipped` is called with the path of what no layer can hold, and why. Raises NoSpace,
    PermissionDenied, LimitExceeded, and what `changes` raises.
    """
    try:
        with store.layers.build() as building, store.blobs.ingest() as blob:
            root = os.open(building.tree, _DIRECTORY)
            try:
                extraction = Extraction(root, ignore_chown_errors=has_single_id())
                try:
                    with _Storing(blob) as storing:
                        writer = _Writer(storing, extraction)
                        for _ in gather_changes(writer, changes, skipped):
                            pass
                        storing.finish()
                    extraction.finish()
                finally:
                    extraction.close()
            finally:
                os.close(root)
            return _commit(store, lease, blob, building, extraction.disk)
    except OSError as error:
        raise explain(error, store, "a layer") from error


def take_layer(
    store: Store,
    lease: Lease,
    changes: Iterable[Change],
    directory: str,
    *,
    skipped: Callable[[str, str], None] = lambda _path, _why: None,
) -> Layer:
    """As `make_layer`, where the snapshot is not needed any more: `directory`, the changes in
    overlayfs form, becomes the layer's own, and nothing is copied.

    It lies in the store's file system, nothing uses it, and `changes` are read from it: so says
    the caller. It is gone afterwards, unless this raises.
    """
    try:
        with store.layers.build() as building, store.blobs.ingest() as blob:
            with _Storing(blob) as storing:
                for piece in pack_changes(changes, skipped=skipped):
                    storing.put(piece)
                storing.flush()
            disk = measure(directory).disk
            building.adopt(directory)
            return _commit(store, lease, blob, building, disk)
    except OSError as error:
        raise explain(error, store, "a layer") from error


def _commit(store: Store, lease: Lease, blob: Ingest, building: Building, disk: int) -> Layer:
    # of an uncompressed layer, the digest of its blob is its diff ID
    digest = blob.digest
    lease.protect(LAYER, digest)
    lease.protect(BLOB, digest)
    blob.commit()
    building.commit(digest, disk)
    descriptor = Descriptor(media_types.OCI_LAYER, digest, blob.written)
    return Layer(digest, lambda: store.blobs.open(digest), descriptor)


class _Writer(Gatherer):
    """Writes each member into the layer's directory and its tar, its data being read once."""

    def __init__(self, storing: _Storing, extraction: Extraction) -> None:
        super().__init__()
        self._storing = storing
        self._extraction = extraction

    def _take(self, entry: TarEntry, file: int) -> bool:
        entry.mtime -= entry.mtime % 1_000_000_000  # the tar has whole seconds
        self._storing.put(header_of(entry))
        if entry.size:
            content = _Shared(self._storing, file, entry.size)
            self._extraction.add(entry, content)
            if entry.size & 511:
                self._storing.put(padding(entry.size))
        else:
            self._extraction.add(entry, _NOTHING)
        return False


class _Shared(FileContent):
    """The content of a file, which goes into the tar as it is read."""

    def __init__(self, storing: _Storing, file: int, size: int) -> None:
        super().__init__(file, size)
        self._storing = storing

    def take(self, limit: int) -> bytes:
        data = super().take(limit)
        self._storing.put(data)
        return data


class _Storing:
    """Has pieces hashed and written to `blob` in a thread."""

    def __init__(self, blob: Ingest) -> None:
        self._blob = blob
        self._parts: list[bytes] = []
        self._collected = 0
        self._queue: queue.Queue[bytes] = queue.Queue(_AHEAD)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="proa-blob", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def put(self, piece: bytes) -> None:
        """Store `piece`. Raises what storing an earlier one raised."""
        self._parts.append(piece)
        self._collected += len(piece)
        if self._collected >= _ENOUGH:
            self._hand_on()

    def finish(self) -> None:
        """End the archive, and wait until all is stored. Raises as `put` does."""
        self.put(END)
        self.flush()

    def flush(self) -> None:
        """Wait until all is stored. Raises as `put` does."""
        self._hand_on()
        self._stop()
        if self._error is not None:
            raise self._error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if kind is not None and self._error is None:
            self._error = Cancelled("the layer is not wanted any more")
        self._stop()

    def _hand_on(self) -> None:
        if self._error is not None:
            raise self._error
        if self._parts:
            self._queue.put(b"".join(self._parts))
            self._parts = []
            self._collected = 0

    def _stop(self) -> None:
        if self._thread.is_alive():
            self._queue.put(b"")
            self._thread.join()

    def _write(self) -> None:
        while data := self._queue.get():
            if self._error is None:
                try:
                    self._blob.write(data)
                except BaseException as error:
                    self._error = error
