"""Bringing an image into the store: its layers unpacked, its blobs kept, and then its row.

Layers are unpacked beside each other, each in one pass over its data: read, hashed, stored,
inflated, hashed again, and unpacked into its own directory. An image is seen by nobody before
all of it is there.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING

from proa.errors import (
    Cancelled,
    CorruptData,
    HostileData,
    LimitExceeded,
    NoSpace,
    PermissionDenied,
)
from proa.image.docker_archive import media_type
from proa.image.reader import SNIFF, Decompressed, Rejoined, read_exactly
from proa.image.tee import Tee
from proa.image.view import Layer
from proa.lean.json import loads
from proa.oci import media_types
from proa.oci.descriptor import Descriptor
from proa.oci.digest import Digest
from proa.oci.document import LARGEST_MANIFEST
from proa.oci.manifest import Manifest
from proa.snapshot.apply import Limits, apply_layer
from proa.snapshot.decompress import chunks, sniff
from proa.store.blobs import Partial
from proa.store.leases import BLOB, LAYER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from proa.image.reader import BinaryReader
    from proa.image.view import Image
    from proa.oci.reference import Reference
    from proa.snapshot.apply import Applied
    from proa.store.blobs import Ingest
    from proa.store.images import ImageRecord
    from proa.store.leases import Lease
    from proa.store.store import Store

_MOST_WORKERS = 8
_ENOSPC, _EDQUOT = 28, 122
_LARGEST_LAYER = Limits().size
_LATEST = (1 << 63) - 1
"""What SQLite holds: a moment in the year 2262."""


def add(
    store: Store,
    lease: Lease,
    image: Image,
    references: Iterable[Reference] = (),
    *,
    progress: Callable[[Layer], None] = lambda _: None,
    event: str = "load",
    workers: int | None = None,
    cancelled: threading.Event | None = None,
) -> ImageRecord:
    """Make `image` one of the store's, and let `references` mean it.

    `lease` keeps its parts until it is. `progress` is called after each layer, in any thread.
    `workers`: how many layers at a time; by default as many as there are processors. `cancelled`
    is set where work is to stop, and stops it where somebody else sets it. `event` is what is said
    to have happened: load, import, pull. Raises CorruptData, HostileData, LimitExceeded, NoSpace.
    """
    return add_all(
        store,
        lease,
        [(image, tuple(references))],
        progress=progress,
        workers=workers,
        cancelled=cancelled,
        event=event,
    )[0]


def add_all(
    store: Store,
    lease: Lease,
    images: Sequence[tuple[Image, tuple[Reference, ...]]],
    *,
    progress: Callable[[Layer], None] = lambda _: None,
    renamed: Callable[[str, Digest], None] = lambda _name, _id: None,
    event: str = "load",
    workers: int | None = None,
    cancelled: threading.Event | None = None,
) -> list[ImageRecord]:
    """As `add`, for several images: all of them become visible in the same moment, or none.

    `renamed` is called for each name that meant another image before, with that image's id.
    """
    former: list[tuple[str, Digest]] = []
    try:
        manifests = [
            _bring_image(store, lease, image, progress, workers=workers, cancelled=cancelled)
            for image, _ in images
        ]
        store.layers.settle(*(layer.diff_id for image, _ in images for layer in image.layers))
    except OSError as error:
        raise explain(error, store, "an image") from error
    with store.database.transaction(durable=True):
        for (image, references), manifest in zip(images, manifests, strict=True):
            former += _record(store, image, manifest, references)
        # from the end of the transaction on, they may be removed
        records = [store.images.resolve(image.id) for image, _ in images]
        for record, (_, references) in zip(records, images, strict=True):
            name = references[0].familiar if references else str(record.id)
            store.images.note(event, record.id, record.config, name)
    for name, id in former:
        renamed(name, id)
    return records


def _bring_image(
    store: Store,
    lease: Lease,
    image: Image,
    progress: Callable[[Layer], None],
    *,
    workers: int | None,
    cancelled: threading.Event | None,
) -> Manifest:
    """All of an image but its row."""
    lease.protect(LAYER, *image.config.diff_ids)
    known = [layer.descriptor.digest for layer in image.layers if layer.descriptor is not None]
    lease.protect(BLOB, image.id, *known)
    descriptors = bring_layers(
        store, lease, image.layers, progress, workers=workers, cancelled=cancelled
    )
    manifest = image.manifest
    if manifest is None:
        config = Descriptor(media_types.OCI_CONFIG, image.id, len(image.config.data))
        manifest = Manifest.build(config, tuple(descriptors))
    lease.protect(BLOB, manifest.digest, manifest.config.digest)
    store.blobs.put(image.config.data, manifest.config.digest)
    store.blobs.put(manifest.data, manifest.digest)
    if image.index is not None:
        lease.protect(BLOB, image.index.digest)
        store.blobs.put(image.index.data, image.index.digest)
    return manifest


def bring_layers(
    store: Store,
    lease: Lease,
    layers: Iterable[Layer],
    progress: Callable[[Layer], None] = lambda _: None,
    *,
    workers: int | None = None,
    cancelled: threading.Event | None = None,
) -> list[Descriptor]:
    """Unpack the layers that are missing, and store their blobs; their descriptors, in order."""
    wanted = list(layers)
    stop = cancelled or threading.Event()
    unique: dict[tuple[Digest, Digest | None], Layer] = {}
    for layer in wanted:
        unique.setdefault(_key(layer), layer)

    def work(layer: Layer) -> Descriptor:
        try:
            descriptor = _bring(store, lease, layer, stop)
        except BaseException:
            stop.set()
            raise
        progress(layer)
        return descriptor

    count = min(workers or min(_MOST_WORKERS, os.cpu_count() or 1), len(unique))
    if count <= 1:
        done = {key: work(layer) for key, layer in unique.items()}
    else:
        from concurrent.futures import ThreadPoolExecutor, wait

        with ThreadPoolExecutor(count, "proa-layer") as pool:
            futures = {
                key: pool.submit(_in_thread, store, work, layer) for key, layer in unique.items()
            }
            try:
                wait(futures.values())
            except BaseException:
                stop.set()
                raise
        _raise_first([future.exception() for future in futures.values()])
        done = {key: future.result() for key, future in futures.items()}
    return [done[_key(layer)] for layer in wanted]


def _in_thread(store: Store, work: Callable[[Layer], Descriptor], layer: Layer) -> Descriptor:
    try:
        return work(layer)
    finally:
        store.database.close()


def new_layer(store: Store, lease: Lease, stream: BinaryReader) -> Layer:
    """Unpack a layer that nobody knows yet from its tar, and store it as it comes.

    gzip and zstd are kept, other compressions undone: images do not have them. Raises as `add`.
    """
    cancelled = threading.Event()
    start = read_exactly(stream, SNIFF)
    kind = sniff(start)
    joined: BinaryReader = Rejoined(start, stream)
    if kind in ("xz", "bzip2"):
        joined = Decompressed(joined, "the root file system")
    try:
        with store.layers.build() as building, store.blobs.ingest() as blob:
            with Tee(joined, blob, cancelled) as tee:
                applied = _unpack(tee, building.tree)
                tee.finish()
            lease.protect(LAYER, applied.diff_id)
            lease.protect(BLOB, blob.digest)
            digest = blob.commit()
            building.commit(applied.diff_id, applied.disk)
    except OSError as error:
        raise explain(error, store, "a layer") from error
    types = {"gzip": media_types.OCI_LAYER_GZIP, "zstd": media_types.OCI_LAYER_ZSTD}
    descriptor = Descriptor(types.get(kind, media_types.OCI_LAYER), digest, blob.written)
    return Layer(applied.diff_id, lambda: store.blobs.open(digest), descriptor)


def _key(layer: Layer) -> tuple[Digest, Digest | None]:
    return layer.diff_id, None if layer.descriptor is None else layer.descriptor.digest


def _raise_first(errors: list[BaseException | None]) -> None:
    """Raise what went wrong, rather than that others stopped because of it."""
    found = [error for error in errors if error is not None]
    for error in found:
        if not isinstance(error, Cancelled):
            raise error
    if found:
        raise found[0]


def _bring(store: Store, lease: Lease, layer: Layer, cancelled: threading.Event) -> Descriptor:
    descriptor = layer.descriptor
    resumed = (
        descriptor is not None
        and layer.open_at is not None
        and store.blobs.present(descriptor.digest) > 0
    )
    try:
        return _bring_once(store, lease, layer, cancelled)
    except HostileData:
        raise
    except CorruptData:
        if not resumed:
            raise
    # what was here of it may have been damaged, as by a power failure; it is gone now
    return _bring_once(store, lease, layer, cancelled)


def _bring_once(store: Store, lease: Lease, layer: Layer, cancelled: threading.Event) -> Descriptor:
    if cancelled.is_set():
        raise Cancelled("unpacking was stopped")
    try:
        with store.layers.unpack(layer.diff_id) as unpacking:
            if not unpacking.is_done:
                descriptor, size = _apply(store, lease, layer, unpacking.tree, cancelled)
                unpacking.commit(size)
                return descriptor
        return _keep(store, lease, layer, cancelled)
    except OSError as error:
        raise explain(error, store, f"layer {layer.diff_id}") from error


def _apply(
    store: Store, lease: Lease, layer: Layer, tree: str, cancelled: threading.Event
) -> tuple[Descriptor, int]:
    """Unpack into `tree`, storing the blob where it is not there; also the bytes on disk."""
    descriptor = layer.descriptor
    if descriptor is not None and store.blobs.exists(descriptor.digest):
        with store.blobs.open(descriptor.digest) as file:
            applied = _unpack(_Cancellable(file, cancelled), tree)
        _verify(layer, applied.diff_id)
        return descriptor, applied.disk
    with _ingest(store, layer) as blob:
        with Tee(_stream(layer, blob), blob, cancelled) as tee:
            try:
                applied = _unpack(tee, tree)
            except HostileData:
                raise
            except CorruptData:
                # damaged on the way, or made so? The blob's digest tells
                tee.finish()
                blob.verify()
                raise
            tee.finish()
        blob.verify()
        _verify(layer, applied.diff_id)
        return _commit(lease, blob, layer), applied.disk


def _keep(store: Store, lease: Lease, layer: Layer, cancelled: threading.Event) -> Descriptor:
    """Store the blob of a layer that is unpacked already, if it is one of that layer."""
    descriptor = layer.descriptor
    if descriptor is not None and store.blobs.exists(descriptor.digest):
        if not _are_known(store, layer.diff_id, descriptor.digest):
            with store.blobs.open(descriptor.digest) as file:
                _verify(layer, _content(_Cancellable(file, cancelled)))
        return descriptor
    with _ingest(store, layer) as blob:
        with Tee(_stream(layer, blob), blob, cancelled) as tee:
            found = _content(tee)
            tee.finish()
        blob.verify()
        _verify(layer, found)
        return _commit(lease, blob, layer)


def _are_known(store: Store, diff_id: Digest, digest: Digest) -> bool:
    """Whether some image here says that the blob is one of the layer: it was verified then."""
    if digest == diff_id:
        return True
    rows = store.database.all(
        "SELECT manifest, config FROM images WHERE instr(layers, ?1) AND instr(content, ?2)",
        (diff_id, digest),
    )
    for manifest, config in rows:
        data = store.blobs.read(Digest.trusted(manifest), LARGEST_MANIFEST)
        blobs = [layer.digest for layer in Manifest.parse(data).layers]
        if (diff_id, digest) in zip(loads(config)["rootfs"]["diff_ids"], blobs, strict=False):
            return True
    return False


def _content(stream: BinaryReader) -> Digest:
    """The diff ID of a layer's blob. Raises CorruptData, LimitExceeded."""
    following = chunks(stream)
    content = hashlib.sha256()
    size = 0
    while chunk := following():
        content.update(chunk)
        size += len(chunk)
        if size > _LARGEST_LAYER:
            raise LimitExceeded(f"the layer is larger than {_LARGEST_LAYER} bytes uncompressed")
    return Digest.trusted(f"sha256:{content.hexdigest()}")


def _unpack(stream: BinaryReader, tree: str) -> Applied:
    return apply_layer(stream, tree, ignore_chown_errors=has_single_id())


def has_single_id() -> bool:
    """Whether this is a user namespace of one user and group: all files are theirs, then."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return [int(line.split()[2]) for line in file] == [1]


def _ingest(store: Store, layer: Layer) -> Ingest:
    descriptor = layer.descriptor
    if descriptor is None:
        return store.blobs.ingest()
    if layer.open_at is not None:
        return store.blobs.resume(descriptor.digest, descriptor.size)
    return store.blobs.ingest(descriptor.digest, descriptor.size)


def _stream(layer: Layer, blob: Ingest) -> BinaryReader:
    """The layer's blob from the beginning: what is here of it already, and the rest."""
    if isinstance(blob, Partial) and layer.open_at is not None:
        return _Joined(blob, layer.open_at(blob.present))
    return layer.open()


def _commit(lease: Lease, blob: Ingest, layer: Layer) -> Descriptor:
    lease.protect(BLOB, blob.digest)
    digest = blob.commit()
    return layer.descriptor or Descriptor(media_type(layer.open()), digest, blob.written)


def _verify(layer: Layer, found: Digest) -> None:
    if found != layer.diff_id:
        raise CorruptData(
            f"layer {layer.diff_id} has the content of {found}: it was damaged or replaced"
        )


def _record(
    store: Store, image: Image, manifest: Manifest, references: tuple[Reference, ...]
) -> list[tuple[str, Digest]]:
    """Make the image visible; its names that meant others before, and which."""
    content = (
        *(() if image.index is None else (image.index.digest,)),
        manifest.digest,
        manifest.config.digest,
        *(layer.digest for layer in manifest.layers),
    )
    sizes = store.layers.sizes()
    store.images.insert(
        id=image.id,
        manifest=manifest.digest,
        config=image.config.data.decode(),
        layers=_stack(image.config.diff_ids),
        content=tuple(dict.fromkeys(content)),
        size=sum(sizes.get(diff_id, 0) for diff_id in set(image.config.diff_ids)),
        created=min(image.config.created, _LATEST),
        stored=time.time_ns(),
    )
    former = []
    for reference in references:
        meant = store.images.of_repository(reference.repository).get(str(reference))
        if meant is not None and meant != image.id:
            former.append((reference.familiar, meant))
        store.images.refer(str(reference), image.id)
    return former


def _stack(diff_ids: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """The layers to be mounted, each once: overlayfs refuses a directory that it has already.

    Of a layer that comes several times (an empty one often does), all that is in a lower place
    is in its topmost place, too.
    """
    return tuple(reversed(dict.fromkeys(reversed(diff_ids))))


def explain(error: OSError, store: Store, what: str) -> Exception:
    """The error of ours that stands for the operating system's, when it worked at `what`."""
    if error.errno in (_ENOSPC, _EDQUOT):
        return NoSpace(
            f"no space left in {store.root} for {what}; free some, for example with"
            " 'proa image prune'"
        )
    if isinstance(error, PermissionError):
        return PermissionDenied(f"no permission to write {what} into {store.root}")
    return error


class _Joined:
    """What is here of a blob, and then what is still to come."""

    def __init__(self, blob: Partial, rest: BinaryReader) -> None:
        self._blob = blob
        self._rest = rest
        self._position = 0

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""
        if self._position < self._blob.present:
            data = self._blob.read_present(size, self._position)
            self._position += len(data)
            return data
        return self._rest.read(size)


class _Cancellable:
    """A reader that stops when its work is no longer wanted."""

    def __init__(self, stream: BinaryReader, cancelled: threading.Event) -> None:
        self._stream = stream
        self._cancelled = cancelled

    def read(self, size: int, /) -> bytes:
        if self._cancelled.is_set():
            raise Cancelled("unpacking was stopped")
        return self._stream.read(size)
