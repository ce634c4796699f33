"""The build cache: which step gave which layer.

A row for each step that was done, under a key made of its operation and the content of what it
worked on. Its layer is an ordinary one of the store; the row keeps it from collection. What the
key was made of is kept too, to tell later why a step was not found.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING

from proa.image.view import Layer
from proa.lean.record import record
from proa.oci import media_types
from proa.oci.descriptor import Descriptor
from proa.oci.digest import Digest
from proa.store.leases import BLOB, LAYER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proa.store.leases import Lease
    from proa.store.store import Store

Parts = dict[str, "str | dict[str, str]"]
_MOST_FILES = 2000
"""A copy of more files is told about as a whole."""


@record
class Step:
    """What the cache knows of a step."""

    layer: Layer | None
    """None: it changed nothing"""
    created: str
    """when it was done: RFC 3339"""


def key_of(parts: Mapping[str, object]) -> str:
    """The key of a step: what is the same has the same one."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class BuildCache:
    """The cache of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, key: str, lease: Lease) -> Step | None:
        """What the step of that key gave, kept by `lease`; None where it is not there."""
        database = self._store.database
        row = database.one("SELECT layer, size, created FROM build_cache WHERE key = ?1", (key,))
        if row is None:
            return None
        digest, size, created = row
        layer = None
        if digest:
            diff_id = Digest.trusted(digest)
            with database.transaction():
                lease.protect(LAYER, diff_id)
                lease.protect(BLOB, diff_id)
            # only now nobody takes them away: are they still there?
            if not self._store.layers.is_unpacked(diff_id) or not self._store.blobs.exists(diff_id):
                return None
            layer = self._layer(diff_id, size)
        database.run(
            "UPDATE build_cache SET used = ?2, uses = uses + 1 WHERE key = ?1",
            (key, time.time_ns()),
        )
        return Step(layer, created)

    def add(
        self,
        key: str,
        step: Step,
        *,
        place: str,
        text: str,
        parts: Parts,
    ) -> None:
        """Keep what a step gave.

        `place`: where in which Dockerfile it stands; `text`: its instruction.
        """
        size, digest = 0, ""
        if step.layer is not None:
            assert step.layer.descriptor is not None
            digest, size = str(step.layer.diff_id), step.layer.descriptor.size
        now = time.time_ns()
        self._store.database.run(
            "INSERT INTO build_cache (key, layer, size, created, place, text, parts, made, used,"
            " uses) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, 0) ON CONFLICT DO UPDATE SET"
            " layer = ?2, size = ?3, created = ?4, place = ?5, text = ?6, parts = ?7, made = ?8,"
            " used = ?8",
            (key, digest, size, step.created, place, text, json.dumps(_bounded(parts)), now),
        )

    def explain(self, *, place: str, text: str, parts: Parts) -> str:
        """Why a step of these parts is not in the cache, by comparison with the last like it."""
        database = self._store.database
        row = database.one(
            "SELECT text, parts FROM build_cache WHERE text = ?1 AND place = ?2"
            " ORDER BY made DESC LIMIT 1",
            (text, place),
        ) or database.one(
            "SELECT text, parts FROM build_cache WHERE text = ?1 ORDER BY made DESC LIMIT 1",
            (text,),
        )
        if row is None:
            row = database.one(
                "SELECT text, parts FROM build_cache WHERE place = ?1 ORDER BY made DESC LIMIT 1",
                (place,),
            )
            if row is None:
                return "it was never built here"
            return f"the instruction changed; it was: {row[0]}"
        reasons = _differences(json.loads(row[1]), _bounded(parts))
        return "; ".join(reasons) or "it was removed from the cache"

    def _layer(self, digest: Digest, size: int) -> Layer:
        descriptor = Descriptor(media_types.OCI_LAYER, digest, size)
        return Layer(digest, lambda: self._store.blobs.open(digest), descriptor)


def _bounded(parts: Parts) -> Parts:
    return {
        name: key_of(value) if isinstance(value, dict) and len(value) > _MOST_FILES else value
        for name, value in parts.items()
    }


def _differences(before: Parts, now: Parts) -> list[str]:
    found = []
    for name in dict.fromkeys([*now, *before]):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            found += _in_group(name, old, new)
        elif name == "parent":
            found.append("the step before it gave another result")
        else:
            found.append(f"{name} changed")
    return found


def _in_group(name: str, old: dict[str, str], new: dict[str, str]) -> list[str]:
    found = []
    for verb, keys in (
        ("changed", [key for key in new if key in old and old[key] != new[key]]),
        ("is new", [key for key in new if key not in old]),
        ("is gone", [key for key in old if key not in new]),
    ):
        shown = ", ".join(key or "/" for key in keys[:5])
        if len(keys) > 5:
            shown += f" and {len(keys) - 5} more"
        if keys:
            found.append(f"{name} {shown} {verb}")
    return found
