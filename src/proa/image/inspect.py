"""All about an image, in the shape of Docker's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.errors import PermissionDenied
from proa.image.history import diff_ids
from proa.lean import clock
from proa.oci.reference import Reference
from proa.snapshot.choose import choose_snapshots

if TYPE_CHECKING:
    from typing import Any

    from proa.store.images import ImageRecord
    from proa.store.store import Store

_NO_DEFAULTS = {
    "User": "",
    "Env": None,
    "Entrypoint": None,
    "Cmd": None,
    "WorkingDir": "",
    "Volumes": None,
    "OnBuild": None,
    "Labels": None,
}
"""What Docker shows of a config that does not have it."""


def inspect(store: Store, image: ImageRecord) -> dict[str, Any]:
    """What `GET /images/{name}/json` answers (Docker Engine API, ImageInspect)."""
    config = image.config
    history = config.get("history") or []
    created = config.get("created") or clock.NEVER
    return {
        "Id": str(image.id),
        "RepoTags": list(image.tags),
        "RepoDigests": repository_digests(image),
        "Parent": "",
        "Comment": (history[-1].get("comment") or "") if history else "",
        "Created": created,
        "DockerVersion": config.get("docker_version") or "",
        "Author": config.get("author") or "",
        "Config": {**_NO_DEFAULTS, **(config.get("config") or {})},
        "Architecture": config.get("architecture") or "",
        "Variant": config.get("variant") or "",
        "Os": config.get("os") or "linux",
        "Size": image.size,
        "GraphDriver": {
            "Name": _driver(store),
            "Data": _directories(store, image),
        },
        "RootFS": {"Type": "layers", "Layers": diff_ids(image)},
        "Metadata": {"LastTagTime": _last_tagged(store, image)},
        "Descriptor": _descriptor(store, image),
    }


def _driver(store: Store) -> str:
    try:
        return choose_snapshots(store.root).kind
    except PermissionDenied:
        # somebody who may look at images, but cannot mount any
        return "overlay"


def _directories(store: Store, image: ImageRecord) -> dict[str, str]:
    """Where its layers lie: the topmost, and those below it, as overlayfs takes them."""
    trees = [store.layers.tree(diff_id) for diff_id in reversed(image.layers)]
    found = {}
    if trees:
        found["UpperDir"] = trees[0]
    if len(trees) > 1:
        found["LowerDir"] = ":".join(trees[1:])
    return found


def summarize(store: Store, image: ImageRecord) -> dict[str, Any]:
    """What a list shows of an image (Docker Engine API, ImageSummary)."""
    return {
        "Id": str(image.id),
        "ParentId": "",
        "RepoTags": list(image.tags),
        "RepoDigests": repository_digests(image),
        "Created": image.created // 1_000_000_000,
        "Size": image.size,
        "SharedSize": -1,
        "Labels": dict((image.config.get("config") or {}).get("Labels") or {}),
        "Containers": len(store.containers.using(image.id)),
    }


def repository_digests(image: ImageRecord) -> list[str]:
    """Its references with a digest, as Docker shows them."""
    found = (Reference.parse(text) for text in image.references if "@" in text)
    return [f"{reference.familiar_name}@{reference.digest}" for reference in found]


def _last_tagged(store: Store, image: ImageRecord) -> str:
    row = store.database.one(
        "SELECT max(stored) FROM image_references WHERE image = ?1", (image.id,)
    )
    return clock.from_nanoseconds(row[0]) if row and row[0] else clock.NEVER


def _descriptor(store: Store, image: ImageRecord) -> dict[str, Any] | None:
    if image.manifest is None:
        return None
    from proa.lean.json import loads
    from proa.oci.document import LARGEST_MANIFEST
    from proa.oci.media_types import OCI_MANIFEST

    data = store.blobs.read(image.manifest, LARGEST_MANIFEST)
    media_type = loads(data).get("mediaType") or OCI_MANIFEST
    return {"mediaType": media_type, "digest": str(image.manifest), "size": len(data)}
