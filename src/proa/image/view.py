"""Images as immutable views: the same whether they lie in the store, an archive or a registry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from proa.errors import CorruptData
from proa.oci.digest import Digest
from proa.oci.document import LARGEST_MANIFEST
from proa.oci.image_config import ImageConfig
from proa.oci.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.image.reader import BinaryReader
    from proa.oci.descriptor import Descriptor
    from proa.oci.index import Index
    from proa.oci.platform import Platform
    from proa.store.images import ImageRecord
    from proa.store.store import Store


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that can be read."""

    diff_id: Digest
    """the digest of its tar, uncompressed"""
    open: Callable[[], BinaryReader]
    """its blob from the beginning, compressed as it is; each call reads anew"""
    descriptor: Descriptor | None = None
    """its blob; None where that is known only after reading it"""
    open_at: Callable[[int], BinaryReader] | None = None
    """its blob from a byte on, where reading it takes long enough to be broken off"""


@dataclass(frozen=True, slots=True)
class Image:
    """An image of one platform."""

    config: ImageConfig
    layers: tuple[Layer, ...]
    """base first"""
    manifest: Manifest | None = None
    """None where it is still to be made"""
    index: Index | None = None
    """what it was chosen from, to be kept with it"""

    def __post_init__(self) -> None:
        """Verify that the parts belong together. Raises CorruptData."""
        diff_ids = tuple(layer.diff_id for layer in self.layers)
        if diff_ids != self.config.diff_ids:
            raise CorruptData(
                f"image {self.id.short} has {len(diff_ids)} layers, but its config tells of"
                f" {len(self.config.diff_ids)}, or of others"
            )

    @property
    def id(self) -> Digest:
        """The digest of its config."""
        return self.config.id

    @property
    def platform(self) -> Platform:
        """What it is for."""
        return self.config.platform


def assemble(
    manifest: Manifest,
    config_data: bytes,
    opener: Callable[[Descriptor], BinaryReader],
    opener_at: Callable[[Descriptor, int], BinaryReader] | None = None,
    index: Index | None = None,
) -> Image:
    """The image of a manifest; `opener` reads a layer's blob. Raises CorruptData.

    `opener_at`: reads it from a byte on; see `Layer.open_at`.
    """
    if Digest.of(config_data, manifest.config.digest.algorithm) != manifest.config.digest:
        raise CorruptData(
            f"the config of image {manifest.config.digest.short} does not match its digest"
        )
    config = ImageConfig.parse(config_data)
    if len(config.diff_ids) != len(manifest.layers):
        raise CorruptData(
            f"image {config.id.short} has {len(manifest.layers)} layers in its manifest and"
            f" {len(config.diff_ids)} in its config"
        )
    layers = tuple(
        Layer(
            diff_id,
            _bind(opener, descriptor),
            descriptor,
            None if opener_at is None else partial(opener_at, descriptor),
        )
        for diff_id, descriptor in zip(config.diff_ids, manifest.layers, strict=True)
    )
    return Image(config, layers, manifest, index)


def from_store(store: Store, record: ImageRecord) -> Image:
    """The view of an image in the store. Raises NotFound, CorruptData."""
    assert record.manifest is not None
    manifest = Manifest.parse(store.blobs.read(record.manifest, LARGEST_MANIFEST))
    config = store.blobs.read(manifest.config.digest, manifest.config.size)
    return assemble(manifest, config, lambda descriptor: store.blobs.open(descriptor.digest))


def _bind(
    opener: Callable[[Descriptor], BinaryReader], descriptor: Descriptor
) -> Callable[[], BinaryReader]:
    return lambda: opener(descriptor)
