"""Where the disk went: what images, containers, volumes and all else take, and what could go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.build.prune import usage as build_cache
from proa.engine.rootless import is_rootless
from proa.lean.json import loads
from proa.lean.record import record
from proa.oci.reference import Reference
from proa.store.images import BLOB, LAYER
from proa.store.store import Store
from proa.store.weigh import Weights, weigh

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from proa.engine.containers import ContainerSummary
    from proa.engine.engine import Engine
    from proa.store.images import ImageRecord

_RUNNING = ("running", "paused", "restarting")


@record
class ImageSpace:
    """What an image takes."""

    image: ImageRecord
    size: int
    """bytes on disk of its layers and blobs"""
    shared: int
    """of them, what other images have, too"""
    containers: int
    """made of it"""
    used: int
    """when a container of it was last made or started, nanoseconds since 1970; 0: never"""

    @property
    def unique(self) -> int:
        """What removing it would free."""
        return self.size - self.shared


@record
class ContainerSpace:
    """What a container takes."""

    container: ContainerSummary
    size: int
    """bytes on disk: what it has written, its logs, and files that are its own"""
    volumes: int
    """how many volumes it has"""


@record
class VolumeSpace:
    """What a volume takes."""

    name: str
    size: int
    """bytes on disk"""
    links: int
    """containers that have it"""


@record
class Kind:
    """One line of the summary."""

    total: int
    active: int
    size: int
    reclaimable: int


@record
class DiskUse:
    """What is on disk; all sizes are bytes that are allocated, as du(1) counts them."""

    images: tuple[ImageSpace, ...]
    containers: tuple[ContainerSpace, ...]
    volumes: tuple[VolumeSpace, ...]
    layers_size: int
    """of all layers and blobs, each once"""
    layers_reclaimable: int
    """of them, what no container needs"""
    builds: tuple[Mapping[str, Any], ...]
    """steps in the cache of builds, in the form of Docker's API"""
    builds_size: int
    """what builds keep, and no image or container has"""
    other: int
    """the database, caches and the like"""
    left: int
    """what nothing refers to; `system check --repair` removes it"""

    @property
    def total(self) -> int:
        """Of the engine's whole directory."""
        return sum(kind.size for kind in self.kinds.values())

    @property
    def kinds(self) -> dict[str, Kind]:
        """The summary."""
        idle = [item for item in self.containers if item.container.state not in _RUNNING]
        unused = [item for item in self.volumes if not item.links]
        containers, volumes = _sum(self.containers), _sum(self.volumes)
        return {
            "Images": Kind(
                len(self.images),
                sum(item.containers > 0 for item in self.images),
                self.layers_size,
                self.layers_reclaimable,
            ),
            "Containers": Kind(
                len(self.containers), len(self.containers) - len(idle), containers, _sum(idle)
            ),
            "Local Volumes": Kind(
                len(self.volumes), len(self.volumes) - len(unused), volumes, _sum(unused)
            ),
            "Build Cache": Kind(len(self.builds), 0, self.builds_size, self.builds_size),
            "Other": Kind(0, 0, self.other + self.left, self.left),
        }

    @property
    def attrs(self) -> dict[str, Any]:
        """In the form of Docker's API (SystemDataUsageResponse)."""
        return {
            "LayersSize": self.layers_size,
            "Images": [_image(item) for item in self.images],
            "Containers": [_container(item) for item in self.containers],
            "Volumes": [_volume(item) for item in self.volumes],
            "BuildCache": [dict(item) for item in self.builds],
        }


def disk_use(engine: Engine) -> DiskUse:
    """Look through the engine's directory."""
    weights = _weigh(engine.store)
    images = engine.store.images.list()
    containers = engine.containers.summaries(all=True)
    rows = {row.id: row for row in engine.store.containers.list()}
    parts = {image.id: image.parts for image in images}
    sizes = {
        **{(LAYER, diff_id): size for diff_id, size in weights.layers.items()},
        **{(BLOB, digest): size for digest, size in weights.blobs.items()},
    }
    holders: dict[tuple[str, str], int] = {}
    for held in parts.values():
        for part in held:
            holders[part] = holders.get(part, 0) + 1
    made = {image.id: 0 for image in images}
    # the layers of an image that was removed by force belong to the containers made of it
    needed: set[tuple[str, str]] = set()
    for row in rows.values():
        needed.update((LAYER, str(diff_id)) for diff_id in row.layers)
        for image in images:
            if image.id == row.image:
                made[image.id] += 1
                needed |= parts[image.id]
    for (layers,) in engine.store.database.all("SELECT layers FROM mounted_images"):
        needed.update((LAYER, diff_id) for diff_id in loads(layers))
    links = engine.store.volumes.counts()
    present = set(holders) | needed
    steps = engine.store.database.all("SELECT layer FROM build_cache WHERE layer <> ''")
    cached = {(kind, layer) for (layer,) in steps for kind in (LAYER, BLOB)} - present
    uses = engine.store.images.uses()
    return DiskUse(
        images=tuple(
            ImageSpace(
                image=image,
                size=sum(sizes.get(part, 0) for part in parts[image.id]),
                shared=sum(sizes.get(part, 0) for part in parts[image.id] if holders[part] > 1),
                containers=made[image.id],
                used=uses.get(str(image.id), 0),
            )
            for image in images
        ),
        containers=tuple(
            ContainerSpace(item, weights.containers.get(item.id, 0), item.local_volumes)
            for item in containers
        ),
        volumes=tuple(
            VolumeSpace(name, size, links.get(name, 0))
            for name, size in sorted(weights.volumes.items())
        ),
        layers_size=sum(size for part, size in sizes.items() if part in present),
        layers_reclaimable=sum(
            size for part, size in sizes.items() if part in present and part not in needed
        ),
        builds=tuple(build_cache(engine.store)),
        builds_size=weights.builds + sum(sizes.get(part, 0) for part in cached),
        other=weights.other,
        left=weights.left
        + sum(size for part, size in sizes.items() if part not in present | cached),
    )


def _weigh(store: Store) -> Weights:
    if not is_rootless():
        return weigh(store)
    # some of it belongs to subordinate users, who let nobody look
    from proa.monitor.inside import call

    return Weights(**call("proa.engine.disk:weigh_inside", {"root": store.root}))


def weigh_inside(root: str) -> dict[str, Any]:
    """What `weigh` finds, in the user namespace."""
    from proa.lean.record import as_dict

    return as_dict(weigh(Store.open(root)))


def _sum(items: Iterable[ContainerSpace | VolumeSpace]) -> int:
    return sum(item.size for item in items)


def _image(item: ImageSpace) -> dict[str, Any]:
    image = item.image
    return {
        "Id": str(image.id),
        "ParentId": "",
        "RepoTags": list(image.tags),
        "RepoDigests": [Reference.parse(text).familiar for text in image.references if "@" in text],
        "Created": image.created // 1_000_000_000,
        "Labels": (image.config.get("config") or {}).get("Labels"),
        "Containers": item.containers,
        "Size": item.size,
        "SharedSize": item.shared,
    }


def _container(item: ContainerSpace) -> dict[str, Any]:
    found = item.container
    return {
        "Id": found.id,
        "Names": [f"/{found.name}"],
        "Image": found.image,
        "ImageID": found.image_id,
        "Command": " ".join(found.command),
        "Created": found.created // 1_000_000_000,
        "State": found.state,
        "Labels": dict(found.labels),
        "SizeRw": item.size,
    }


def _volume(item: VolumeSpace) -> dict[str, Any]:
    usage: Mapping[str, int] = {"Size": item.size, "RefCount": item.links}
    return {"Name": item.name, "Driver": "local", "Scope": "local", "UsageData": usage}
