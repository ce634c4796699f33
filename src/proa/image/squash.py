"""Making one layer of several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.errors import InvalidArgument
from proa.image.mutate import append_layer, with_config
from proa.image.new_layer import EMPTY, make_layer
from proa.image.tag import target_reference
from proa.image.unpack import add
from proa.image.view import Image, from_store
from proa.image.work import Work
from proa.lean import clock
from proa.oci.image_config import ImageConfig
from proa.snapshot.diff import compare_upper
from proa.store.leases import BLOB, LAYER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from proa.oci.digest import Digest
    from proa.store.images import ImageRecord
    from proa.store.leases import Lease
    from proa.store.store import Store


def squash(
    store: Store, name: str, *, base: str | None = None, reference: str | None = None
) -> ImageRecord:
    """An image like `name` in which the layers above those of the image `base` are one; without
    `base`, all of them.

    What a layer adds and a later one removes is in it no more; what is removed of the base's files
    stays removed. Settings, and the steps of the history, are kept; those steps have no layers of
    their own any more, and a last one tells of the squashing. Raises ImageNotFound,
    InvalidArgument where `name` is not made on top of `base`.
    """
    target = None if reference is None else target_reference(reference)
    with Work(store, "squash") as work:
        image = _take(store, work.lease, name)
        below = () if base is None else _take(store, work.lease, base).config.diff_ids
        count = len(below)
        if image.config.diff_ids[:count] != below:
            raise InvalidArgument(
                f"{name} is not made on top of {base}: its lowest layers are others; see 'proa"
                " image tree'"
            )
        above = image.config.diff_ids[count:]
        if len(above) > 1:
            image = _squash(store, work.lease, image, count, base)
        record = add(store, work.lease, image, () if target is None else (target,))
        work.done(leftovers=len(above) > 1)
    return record


def _take(store: Store, lease: Lease, name: str) -> Image:
    with store.database.transaction():
        record = store.images.resolve(name)
        lease.protect(BLOB, *record.content)
        lease.protect(LAYER, *record.layers)
    return from_store(store, record)


def _squash(store: Store, lease: Lease, image: Image, count: int, base: str | None) -> Image:
    below, above = image.config.diff_ids[:count], image.config.diff_ids[count:]
    changes = compare_upper(_trees(store, above), _trees(store, below))
    layer = make_layer(store, lease, changes)
    history = {
        "created": clock.now(),
        "created_by": "proa image squash" + ("" if base is None else f" --from {base}"),
        "comment": f"{len(above)} layers made one",
    }
    bottom = with_config(
        _cut(image, count),
        history=_emptied(image.config.history, count),
        created=history["created"],
    )
    if layer.diff_id == EMPTY:
        return with_config(
            bottom, history=[*bottom.config.history, {**history, "empty_layer": True}]
        )
    return append_layer(bottom, layer, history)


def _trees(store: Store, diff_ids: Sequence[Digest]) -> list[str]:
    """The directories of layers, topmost first, each once."""
    return [store.layers.tree(diff_id) for diff_id in dict.fromkeys(reversed(diff_ids))]


def _cut(image: Image, count: int) -> Image:
    """`image` with its lowest `count` layers only."""
    kept = image.layers[:count]
    document = {
        **image.config.document,
        "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in kept]},
    }
    return Image(ImageConfig.build(document), kept)


def _emptied(history: Sequence[Any], count: int) -> list[dict[str, Any]]:
    """The steps, of which but the first `count` layers have one."""
    steps = []
    for step in history:
        kept = dict(step)
        if not step.get("empty_layer"):
            if count:
                count -= 1
            else:
                kept["empty_layer"] = True
        steps.append(kept)
    return steps
