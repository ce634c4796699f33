"""Removing the images that nobody needs, as Docker does it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from proa.errors import InvalidArgument
from proa.image.listing import list_images
from proa.image.work import Work
from proa.oci.reference import Reference
from proa.store.images import BLOB, LAYER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from proa.store.images import ImageRecord
    from proa.store.store import Store

_FILTERS = ("dangling", "label", "label!", "until")


def prune(
    store: Store,
    *,
    all: bool = False,
    filters: Mapping[str, Sequence[str]] | None = None,
    unused_for: int = 0,
    keep: int | None = None,
) -> dict[str, Any]:
    """Remove the images without a name, or `all` that no container uses.

    `filters`: `until`, `label` and `label!` (has it not) choose among them; `dangling=false`
    says the same as `all`. `unused_for`: only those of which no container was made or started for
    so many nanoseconds, nor came they here since. `keep`: only until all images together take no
    more than so many bytes, those first that were not used for longest.

    What was done, in Docker's form: `ImagesDeleted`, a list of `{"Untagged": reference}` and
    `{"Deleted": digest}`, and `SpaceReclaimed` in bytes.

    Raises InvalidArgument.
    """
    wanted = dict(filters or {})
    for name in wanted:
        if name not in _FILTERS:
            raise InvalidArgument(f"invalid filter {name!r}; there are {', '.join(_FILTERS)}")
    unnamed = wanted.pop("dangling", None)
    if unnamed is not None:
        all = all or list(unnamed)[-1:] == ["false"]
    if not all:
        wanted["dangling"] = ["true"]
    events: list[dict[str, str]] = []
    with Work(store, "prune") as work:
        with store.database.transaction(durable=True):
            found_images = [
                image
                for image in list_images(store, wanted)
                if not store.containers.using(image.id)
            ]
            for image in _chosen(store, found_images, unused_for, keep):
                events += _remove(store, image)
    found = work.collected
    assert found is not None
    store.events.add("image", "prune", "", {"reclaimed": str(found.size)})
    events += [{"Deleted": diff_id} for diff_id in found.layers]
    return {"ImagesDeleted": events or None, "SpaceReclaimed": found.size}


def _chosen(
    store: Store, candidates: list[ImageRecord], unused_for: int, keep: int | None
) -> Iterator[ImageRecord]:
    if not unused_for and keep is None:
        yield from candidates
        return
    uses = store.images.uses()
    used = {image.id: max(uses.get(str(image.id), 0), image.stored) for image in candidates}
    latest = time.time_ns() - unused_for
    held = None if keep is None else _Held(store)
    for image in sorted(candidates, key=lambda image: used[image.id]):
        if used[image.id] > latest or (held is not None and held.size <= (keep or 0)):
            return
        if held is not None:
            held.drop(image)
        yield image


class _Held:
    """What images take together, each layer and blob once."""

    def __init__(self, store: Store) -> None:
        self._sizes = {
            **{(LAYER, diff_id): size for diff_id, size in store.layers.sizes().items()},
            **{(BLOB, str(digest)): size for digest, size in store.blobs.list()},
        }
        self._holders: dict[tuple[str, str], int] = {}
        for image in store.images.list():
            for part in image.parts:
                self._holders[part] = self._holders.get(part, 0) + 1
        self.size = sum(self._sizes.get(part, 0) for part in self._holders)

    def drop(self, image: ImageRecord) -> None:
        """Without this one."""
        for part in image.parts:
            self._holders[part] -= 1
            if not self._holders[part]:
                self.size -= self._sizes.get(part, 0)


def _remove(store: Store, image: ImageRecord) -> list[dict[str, str]]:
    store.images.delete(image.id)
    for text in image.references:
        store.images.note("untag", image.id, image.config, Reference.parse(text).familiar)
    store.images.note("delete", image.id, image.config, str(image.id))
    untagged = [{"Untagged": Reference.parse(text).familiar} for text in image.references]
    return [*untagged, {"Deleted": str(image.id)}]
