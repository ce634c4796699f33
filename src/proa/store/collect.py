"""Collection: removing what nothing refers to.

What an image or a container refers to, and what a living process has a lease on, stays. What is
left is taken away under a name that nobody looks for, within one transaction: a process that
takes a lease later finds it missing, one that took it before is seen. Only then it is deleted,
which takes time.
"""

from __future__ import annotations

import os
import secrets
import time

from proa.lean.json import loads
from proa.lean.record import record
from proa.store.blobs import PARTIAL
from proa.store.layers import TEMPORARY
from proa.store.leases import BLOB, LAYER
from proa.store.lock import FileLock, is_held
from proa.store.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.store.store import Store

_PATIENCE = 24 * 3600
"""Seconds for which a part of a blob is kept, so that pulling it again goes on from there."""


@record
class Collected:
    """What was removed."""

    blobs: tuple[str, ...] = ()
    """digests"""
    layers: tuple[str, ...] = ()
    """diff ids"""
    size: int = 0
    """bytes freed"""


def collect_abandoned(store: Store) -> Collected | None:
    """Collect what killed processes left behind; nothing, at the price of one query, if none did.

    Each command that changes images begins with this.
    """
    if store.leases.abandoned():
        return collect(store)
    return None


def collect(store: Store) -> Collected:
    """Remove every blob and layer that nothing refers to, and what killed processes left.

    Safe at any time, beside any number of loads, builds and other collections.
    """
    with FileLock(store.path("run", "collect")):
        with store.database.transaction():
            for token in store.leases.abandoned():
                store.leases.drop(token)
            blobs, layers = in_use(store)
            dead_blobs = [
                (digest, size) for digest, size in store.blobs.list() if digest not in blobs
            ]
            for digest, _ in dead_blobs:
                os.rename(store.blobs.path(digest), store.path("ingest", secrets.token_hex(16)))
            sizes = store.layers.sizes()
            dead_layers = [diff_id for diff_id in sizes if diff_id not in layers]
            kept = {diff_id.partition(":")[2] for diff_id in sizes} - {
                diff_id.partition(":")[2] for diff_id in dead_layers
            }
            leased = {diff_id.partition(":")[2] for diff_id in layers}
            for diff_id in dead_layers:
                store.database.run("DELETE FROM layers WHERE diff_id = ?1", (diff_id,))
            for name in os.listdir(store.layers.root):
                # A directory without a row may be one that a leased layer is about to replace.
                # What begins with a dot is no layer: it lies below all containers
                if name[0] != "." and TEMPORARY not in name and name not in kept | leased:
                    path = f"{store.layers.root}/{name}"
                    os.rename(path, f"{path}{TEMPORARY}{secrets.token_hex(8)}")
        store.leases.sweep()
        _sweep_ingest(store)
        _sweep_layers(store)
    return Collected(
        tuple(digest for digest, _ in dead_blobs),
        tuple(dead_layers),
        sum(size for _, size in dead_blobs) + sum(sizes[diff_id] for diff_id in dead_layers),
    )


def in_use(store: Store) -> tuple[set[str], set[str]]:
    """Digests of blobs, and diff IDs of layers, that must stay."""
    blobs = store.leases.protected(BLOB)
    layers = store.leases.protected(LAYER)
    for content, image_layers in store.database.all("SELECT content, layers FROM images"):
        blobs.update(loads(content))
        layers.update(loads(image_layers))
    for (layer,) in store.database.all("SELECT layer FROM build_cache WHERE layer <> ''"):
        # uncompressed: its blob has the same digest
        layers.add(layer)
        blobs.add(layer)
    for table in ("registry_manifests", "registry_blobs"):
        rows = store.database.all(f"SELECT DISTINCT digest FROM {table}")  # noqa: S608 - constants
        blobs.update(digest for (digest,) in rows)
    for (container_layers,) in store.database.all(
        "SELECT layers FROM containers UNION ALL SELECT layers FROM mounted_images"
    ):
        layers.update(loads(container_layers))
    return blobs, layers


def _sweep_ingest(store: Store) -> None:
    """Delete blobs that nobody is writing any more, and nobody is likely to go on with."""
    oldest = time.time() - _PATIENCE
    for name in os.listdir(store.path("ingest")):
        path = store.path("ingest", name)
        if name.startswith(PARTIAL) and _modified(path) > oldest:
            continue
        if not is_held(path):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass


def _modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def _sweep_layers(store: Store) -> None:
    """Delete layers that nobody is unpacking any more."""
    for name in os.listdir(store.layers.root):
        digits, mark, _ = name.partition(TEMPORARY)
        if not mark:
            continue
        lock = FileLock(f"{store.layers.locks}/layer-{digits}", remove=True)
        if lock.acquire(block=False):
            try:
                remove_tree(f"{store.layers.root}/{name}")
            finally:
                lock.release()
