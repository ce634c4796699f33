"""All about an image, in the shape of Docker's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.lean import clock
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from typing import Any

    from proa.store.images import ImageRecord
    from proa.store.store import Store


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
        "Config": config.get("config") or {},
        "Architecture": config.get("architecture") or "",
        "Variant": config.get("variant") or "",
        "Os": config.get("os") or "linux",
        "Size": image.size,
        "GraphDriver": {
            "Name": "overlay",
            "Data": {
                # as overlayfs takes it: the topmost first
                "LowerDir": ":".join(map(store.layers.tree, reversed(image.layers))),
            },
        },
        "RootFS": {"Type": "layers", "Layers": list(map(str, image.layers))},
        "Metadata": {"LastTagTime": _last_tagged(store, image)},
        "Descriptor": _descriptor(store, image),
    }


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
