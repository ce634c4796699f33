"""Which images share which layers, and what removing one would free."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proa.image.history import diff_ids

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from proa.store.images import ImageRecord
    from proa.store.store import Store


@dataclass(slots=True)
class Node:
    """Layers that the same images have, in a row, and what lies on top of them."""

    layers: list[str]
    """diff IDs, the lowest first"""
    size: int
    """bytes of them on disk"""
    users: int
    """how many images have them"""
    images: list[dict[str, Any]] = field(default_factory=list)
    """those that end here: id, tags, size, freed (bytes), containers"""
    above: list[Node] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """As what JSON has, with the names of Docker's API."""
        return {
            "Layers": self.layers,
            "Size": self.size,
            "Users": self.users,
            "Images": self.images,
            "Above": [node.as_dict() for node in self.above],
        }


def tree(store: Store) -> list[Node]:
    """The layers of all images as trees: a node's layers are below those of the nodes above it."""
    with store.database.transaction():
        images = store.images.list()
        sizes = store.layers.sizes()
        blobs = {str(digest): size for digest, size in store.blobs.list()}
        containers = store.containers.list()
    layers: Counter[str] = Counter()
    content: Counter[str] = Counter()
    for image in images:
        layers.update(set(map(str, image.layers)))
        content.update(set(map(str, image.content)))
    used = {str(layer) for container in containers for layer in container.layers}
    using = Counter(container.image for container in containers)
    top = _Branch()
    for image in images:
        branch = top
        for layer in diff_ids(image):
            branch = branch.above.setdefault(layer, _Branch())
            branch.users += 1
        freed = sum(
            sizes.get(layer, 0)
            for layer in set(map(str, image.layers))
            if layers[layer] == 1 and layer not in used
        ) + sum(blobs.get(blob, 0) for blob in set(map(str, image.content)) if content[blob] == 1)
        branch.images.append(_describe(image, freed, using[str(image.id)]))
    # an image without layers is a tree of its own
    bare = [Node([], 0, 1, [image]) for image in top.images]
    return [*bare, *_nodes(top, sizes)]


@dataclass(slots=True)
class _Branch:
    """One layer in its place, or what is below all."""

    users: int = 0
    images: list[dict[str, Any]] = field(default_factory=list)
    above: dict[str, _Branch] = field(default_factory=dict)


def _describe(image: ImageRecord, freed: int, containers: int) -> dict[str, Any]:
    return {
        "Id": str(image.id),
        "RepoTags": list(image.tags),
        "Size": image.size,
        "Freed": freed,
        "Containers": containers,
    }


def _nodes(below: _Branch, sizes: dict[str, int]) -> list[Node]:
    found = []
    for layer, branch in below.above.items():
        row = [layer]
        while not branch.images and len(branch.above) == 1:
            ((layer, branch),) = branch.above.items()
            row.append(layer)
        size = sum(sizes.get(name, 0) for name in set(row))
        found.append(Node(row, size, branch.users, branch.images, _nodes(branch, sizes)))
    found.sort(key=_order)
    return found


def _order(node: Node) -> tuple[str, ...]:
    return tuple(sorted(_names(node)))[:1]


def _names(node: Node) -> Iterable[str]:
    for image in node.images:
        yield from image["RepoTags"] or [image["Id"]]
    for above in node.above:
        yield from _names(above)
