"""Making an image of a root file system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.image.changes import apply_changes
from proa.image.mutate import append_layer, empty_image, with_defaults
from proa.image.tag import target_reference
from proa.image.unpack import add, new_layer
from proa.image.work import Work
from proa.lean import clock
from proa.oci.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from proa.image.reader import BinaryReader
    from proa.store.images import ImageRecord
    from proa.store.store import Store


def import_rootfs(
    store: Store,
    stream: BinaryReader,
    *,
    reference: str | None = None,
    changes: Iterable[str] = (),
    message: str = "",
    platform: Platform | None = None,
    created_by: str = "",
) -> ImageRecord:
    """An image of one layer, the tar archive in `stream` (plain or compressed in any way).

    `changes`: instructions of a Dockerfile that set its defaults. `message`, `created_by`: for
    its history. Raises InvalidArgument, CorruptData, HostileData, LimitExceeded, NoSpace.
    """
    target = None if reference is None else target_reference(reference)
    defaults = apply_changes({}, changes)
    with Work(store, "import") as work:
        layer = new_layer(store, work.lease, stream)
        history: Mapping[str, Any] = {
            "created": clock.now(),
            **({"created_by": created_by} if created_by else {}),
            "comment": message or "Imported from -",
        }
        image = append_layer(empty_image(platform or Platform.host()), layer, history)
        image = with_defaults(image, defaults)
        record = add(store, work.lease, image, () if target is None else (target,), event="import")
        work.done(leftovers=False)
    return record
