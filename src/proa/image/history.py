"""How an image came to be, in the shape of Docker's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.lean.clock import to_nanoseconds

if TYPE_CHECKING:
    from typing import Any

    from proa.store.images import ImageRecord
    from proa.store.store import Store

_MISSING = "<missing>"


def history(store: Store, image: ImageRecord) -> list[dict[str, Any]]:
    """What `GET /images/{name}/history` answers: the steps, the last one first.

    Sizes are those of the steps' layers on disk, in bytes; times are seconds since 1970.
    """
    known = store.layers.sizes()
    sizes = [known.get(diff_id, 0) for diff_id in diff_ids(image)]
    steps = []
    used = 0
    for entry in image.config.get("history") or []:
        size = 0
        if not entry.get("empty_layer") and used < len(sizes):
            size = sizes[used]
            used += 1
        steps.append(_step(entry, size))
    # layers that their maker does not tell of
    steps += [_step({}, size) for size in sizes[used:]]
    steps.reverse()
    if steps:
        steps[0]["Id"] = str(image.id)
        steps[0]["Tags"] = list(image.tags) or None
    return steps


def diff_ids(image: ImageRecord) -> list[str]:
    """The layers of an image as its config has them: some may come several times."""
    return list((image.config.get("rootfs") or {}).get("diff_ids") or ())


def _step(entry: dict[str, Any], size: int) -> dict[str, Any]:
    try:
        created = to_nanoseconds(entry.get("created") or "") // 1_000_000_000
    except ValueError:
        created = 0
    return {
        "Id": _MISSING,
        "Created": max(created, 0),
        "CreatedBy": entry.get("created_by") or "",
        "Tags": None,
        "Size": size,
        "Comment": entry.get("comment") or "",
    }
