"""Layers that lie in the store uncompressed, compressed before they go over a network.

Only where the manifest is one of our own making, as for an image that `docker save` wrote: what
came from elsewhere with a manifest stays as it is, to the byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isal import isal_zlib

from proa.oci import media_types
from proa.oci.descriptor import Descriptor
from proa.oci.manifest import Manifest
from proa.store.leases import BLOB

if TYPE_CHECKING:
    from proa.store.images import ImageRecord
    from proa.store.leases import Lease
    from proa.store.store import Store

_LEVEL = 3
_GZIP = 31
"""zlib's sign for a gzip stream, which has no name and no time in its header."""
_CHUNK = 1 << 20


def compress(store: Store, lease: Lease, record: ImageRecord, manifest: Manifest) -> Manifest:
    """The image's manifest with gzip layers; `manifest` itself where there is nothing to do.

    The image has it from then on, so that this is done once. Raises NoSpace, NotFound.
    """
    plain = {layer.digest for layer in manifest.layers if layer.media_type == media_types.OCI_LAYER}
    own = Manifest.build(manifest.config, manifest.layers, manifest.annotations)
    if not plain or own.data != manifest.data:
        return manifest
    done: dict[str, Descriptor] = {}
    for layer in manifest.layers:
        if layer.digest in plain and layer.digest not in done:
            done[layer.digest] = _compressed(store, lease, layer)
    layers = tuple(done.get(layer.digest, layer) for layer in manifest.layers)
    made = Manifest.build(manifest.config, layers, manifest.annotations)
    lease.protect(BLOB, made.digest)
    store.blobs.put(made.data, made.digest)
    content = (made.digest, made.config.digest, *(layer.digest for layer in layers))
    with store.database.transaction(durable=True):
        # removed meanwhile, it stays so
        if store.images.has(record.id):
            store.images.insert(
                id=record.id,
                manifest=made.digest,
                config=store.blobs.read(made.config.digest, made.config.size).decode(),
                layers=record.layers,
                content=tuple(dict.fromkeys(content)),
                size=record.size,
                created=record.created,
                stored=record.stored,
            )
    return made


def _compressed(store: Store, lease: Lease, layer: Descriptor) -> Descriptor:
    compressor = isal_zlib.compressobj(_LEVEL, wbits=_GZIP)
    with store.blobs.open(layer.digest) as file, store.blobs.ingest() as blob:
        while data := file.read(_CHUNK):
            blob.write(compressor.compress(data))
        blob.write(compressor.flush())
        lease.protect(BLOB, blob.digest)
        digest = blob.commit()
        return Descriptor(media_types.OCI_LAYER_GZIP, digest, blob.written)
