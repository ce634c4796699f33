"""Removing what builds keep to be quicker the next time."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from proa.build.workspace import sweep
from proa.errors import InvalidArgument
from proa.image.listing import moment
from proa.image.work import Work
from proa.lean import clock
from proa.snapshot.overlay import measure
from proa.store.lock import FileLock
from proa.store.tree import remove_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from proa.store.store import Store

_FILTERS = ("until", "unused-for", "id", "description")
_KINDS = ("mounts", "fetched", "files")
"""Directories below ROOT/build with something in them for each thing that is kept."""


def prune(
    store: Store,
    *,
    all: bool = False,
    filters: Mapping[str, Sequence[str]] | None = None,
    keep: int = 0,
) -> dict[str, Any]:
    """Remove steps from the cache, with `all` cache mounts and fetched files, too.

    `filters`: `until` and `unused-for`, a time or a duration, since when it was not used; `id` and
    `description`, the beginning of the one and a part of the other. `keep`: bytes of layers that
    stay in the cache, those used last. What was done, in Docker's form: `CachesDeleted`, keys;
    `SpaceReclaimed`, bytes. Raises InvalidArgument.
    """
    wanted = dict(filters or {})
    for name in wanted:
        if name not in _FILTERS:
            raise InvalidArgument(f"invalid filter {name!r}; there are {', '.join(_FILTERS)}")
    times = [*wanted.get("until", ()), *wanted.get("unused-for", ())]
    latest = min((moment(text) for text in times), default=(1 << 63) - 1)
    sweep(store)
    freed = 0
    with Work(store, "prune") as work:
        with store.database.transaction(durable=True):
            deleted = [
                key for key in _candidates(store, latest, keep) if _is_meant(store, key, wanted)
            ]
            for key in deleted:
                store.database.run("DELETE FROM build_cache WHERE key = ?1", (key,))
        if all and not wanted.keys() - {"until", "unused-for"}:
            freed = _remove_directories(store, latest)
    found = work.collected
    assert found is not None
    return {"CachesDeleted": deleted or None, "SpaceReclaimed": found.size + freed}


def usage(store: Store) -> list[dict[str, Any]]:
    """What is kept, in the form of Docker's API (BuildCache), the last used first."""
    used = {
        layer
        for (layers,) in store.database.all("SELECT layers FROM images")
        for layer in _texts(layers)
    }
    sizes = store.layers.sizes()
    rows = store.database.all(
        "SELECT key, layer, text, made, used, uses FROM build_cache ORDER BY used DESC, key"
    )
    return [
        {
            "ID": key[:25],
            "Type": "regular",
            "Description": text,
            "InUse": False,
            "Shared": layer in used,
            "Size": sizes.get(layer, 0),
            "CreatedAt": clock.from_nanoseconds(made),
            "LastUsedAt": clock.from_nanoseconds(last),
            "UsageCount": uses,
        }
        for key, layer, text, made, last, uses in rows
    ]


def _candidates(store: Store, latest: int, keep: int) -> list[str]:
    """Keys of what was not used since `latest`, but for the last `keep` bytes."""
    sizes = store.layers.sizes()
    found = []
    kept = 0
    for key, layer, used in store.database.all(
        "SELECT key, layer, used FROM build_cache ORDER BY used DESC, key"
    ):
        size = sizes.get(layer, 0)
        if keep and kept + size <= keep:
            kept += size
            continue
        if used < latest:
            found.append(key)
    return found


def _is_meant(store: Store, key: str, wanted: Mapping[str, Sequence[str]]) -> bool:
    if (ids := wanted.get("id")) and not any(id and key.startswith(id) for id in ids):
        return False
    if texts := wanted.get("description"):
        row = store.database.one("SELECT text FROM build_cache WHERE key = ?1", (key,))
        if row is None or not any(text in row[0] for text in texts):
            return False
    return True


def _remove_directories(store: Store, latest: int) -> int:
    freed = 0
    for kind in _KINDS:
        directory = store.path("build", kind)
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            continue
        for name in names:
            path = f"{directory}/{name}"
            if os.stat(path).st_mtime_ns > latest:
                continue
            if not os.path.isdir(path):
                os.unlink(path)
                continue
            lock = FileLock(f"{path}/lock")
            if not lock.acquire(block=False):
                continue  # a build uses it just now
            try:
                freed += measure(path).disk
                remove_tree(path)
            finally:
                lock.release()
    return freed


def _texts(text: str) -> list[str]:
    found: list[str] = json.loads(text)
    return found
