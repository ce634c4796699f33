"""Making an image of what a container has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.errors import ImageNotFound
from proa.image.changes import apply_changes
from proa.image.mutate import append_layer, with_config, with_defaults
from proa.image.new_layer import EMPTY, make_layer
from proa.image.tag import target_reference
from proa.image.unpack import add
from proa.image.view import from_store
from proa.image.work import Work
from proa.lean import clock
from proa.store.leases import BLOB, LAYER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from proa.image.view import Image
    from proa.snapshot.diff import Change
    from proa.store.images import ImageRecord
    from proa.store.leases import Lease
    from proa.store.store import Store


def commit(
    store: Store,
    base: str,
    made: Iterable[Change],
    defaults: Mapping[str, Any],
    *,
    reference: str | None = None,
    changes: Iterable[str] = (),
    message: str = "",
    author: str = "",
    created_by: str = "",
    skipped: Callable[[str, str], None] = lambda _path, _why: None,
) -> ImageRecord:
    """The image `base` (an id) with one more layer, which makes the changes `made`.

    `defaults`: the member `config` of the new image's config, to which the instructions `changes`
    are applied. `message`, `author`, `created_by`: for its history. Where nothing has changed
    there is no new layer, and the history says so. `skipped`: as of `make_layer`. Raises
    InvalidArgument, ImageNotFound where `base` was removed by force, NoSpace, and what `made`
    raises.
    """
    target = None if reference is None else target_reference(reference)
    wanted = apply_changes(defaults, changes)
    with Work(store, "commit") as work:
        parent = take_parent(store, work.lease, base)
        layer = make_layer(store, work.lease, made, skipped=skipped)
        history = {
            "created": clock.now(),
            **({"author": author} if author else {}),
            **({"created_by": created_by} if created_by else {}),
            **({"comment": message} if message else {}),
        }
        is_empty = layer.diff_id == EMPTY
        image = with_config(parent, author=author) if author else parent
        if is_empty:
            image = with_defaults(image, wanted, {**history, "empty_layer": True})
        else:
            image = append_layer(with_defaults(image, wanted), layer, history)
        record = add(store, work.lease, image, () if target is None else (target,))
        work.done(leftovers=is_empty)
    return record


def take_parent(store: Store, lease: Lease, id: str) -> Image:
    """The image of that id, kept by `lease` from being collected. Raises ImageNotFound."""
    with store.database.transaction():
        try:
            record = store.images.resolve(id)
        except ImageNotFound:
            raise ImageNotFound(
                f"the container's image {id.removeprefix('sha256:')[:12]} was removed by force:"
                " a new image cannot be put on top of it; load or pull it again"
            ) from None
        lease.protect(BLOB, *record.content)
        lease.protect(LAYER, *record.layers)
    return from_store(store, record)
