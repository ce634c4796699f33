"""Removing the images that nobody needs, as Docker does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.errors import InvalidArgument
from proa.image.listing import list_images
from proa.image.work import Work
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from proa.store.images import ImageRecord
    from proa.store.store import Store

_FILTERS = ("dangling", "label", "label!", "until")


def prune(
    store: Store, *, all: bool = False, filters: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    """Remove the images without a name, or `all` that no container uses.

    `filters`: `until`, `label` and `label!` (has it not) choose among them; `dangling=false`
    says the same as `all`. What was done, in Docker's form: `ImagesDeleted`, a list of
    `{"Untagged": reference}` and `{"Deleted": digest}`, and `SpaceReclaimed` in bytes.

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
            for image in list_images(store, wanted):
                if not store.containers.using(image.id):
                    events += _remove(store, image)
    found = work.collected
    assert found is not None
    store.events.add("image", "prune", "", {"reclaimed": str(found.size)})
    events += [{"Deleted": diff_id} for diff_id in found.layers]
    return {"ImagesDeleted": events or None, "SpaceReclaimed": found.size}


def _remove(store: Store, image: ImageRecord) -> list[dict[str, str]]:
    store.images.delete(image.id)
    for text in image.references:
        store.images.note("untag", image.id, image.config, Reference.parse(text).familiar)
    store.images.note("delete", image.id, image.config, str(image.id))
    untagged = [{"Untagged": Reference.parse(text).familiar} for text in image.references]
    return [*untagged, {"Deleted": str(image.id)}]
