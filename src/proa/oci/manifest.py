"""Image manifests (image-spec, manifest.md) and Docker's of version 2, schema 2."""

from __future__ import annotations

from proa.errors import CorruptData, LimitExceeded, Unsupported
from proa.lean.json import dumps
from proa.lean.record import record
from proa.oci import media_types
from proa.oci.descriptor import Descriptor
from proa.oci.digest import Digest
from proa.oci.document import Fields, parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

MOST_LAYERS = 1000
"""Docker refuses images of more than 127; overlayfs of more than 500 lower directories."""


@record
class Manifest:
    """An image of one platform: its config and its layers, base first."""

    data: bytes
    """the very bytes: what its digest is of"""
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] | None = None

    @classmethod
    def parse(cls, data: bytes, media_type: str = "") -> Self:
        """Parse and check a manifest; `media_type` is what its descriptor calls it.

        Raises CorruptData, LimitExceeded, Unsupported (of an ancient schema, of an artifact).
        """
        what = f"manifest {Digest.of(data).short}"
        document = parse_object(data, what)
        fields = Fields(document, what)
        if fields.number("schemaVersion", 0) != 2:
            raise Unsupported(
                f"{what} is of schema version {document.get('schemaVersion')!r}; only 2 is"
                " supported: push the image again with a current tool"
            )
        kind = fields.text("mediaType", media_type or media_types.OCI_MANIFEST)
        if kind not in media_types.MANIFESTS or "manifests" in document:
            raise CorruptData(f"{what} has the media type {kind[:100]!r}: not an image manifest")
        if not fields.has("config"):
            raise CorruptData(f"{what} has no 'config'")
        config = Descriptor.parse(fields.object("config"), what)
        if config.media_type not in media_types.CONFIGS:
            raise Unsupported(
                f"{what} is of an artifact ({config.media_type[:100]}), not of a container image"
            )
        layers = tuple(Descriptor.parse(layer, what) for layer in fields.objects("layers"))
        if len(layers) > MOST_LAYERS:
            raise LimitExceeded(f"{what} has {len(layers)} layers; at most {MOST_LAYERS}")
        for layer in layers:
            if layer.media_type not in media_types.LAYERS:
                raise Unsupported(
                    f"{what} has a layer of the type {layer.media_type[:100]!r}, which is not"
                    " a file system layer"
                )
        return cls(data, kind, config, layers, fields.strings("annotations") or None)

    @classmethod
    def build(
        cls,
        config: Descriptor,
        layers: tuple[Descriptor, ...],
        annotations: Mapping[str, str] | None = None,
    ) -> Self:
        """A new OCI manifest."""
        document: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "config": config.to_json(),
            "layers": [layer.to_json() for layer in layers],
        }
        if annotations:
            document["annotations"] = dict(annotations)
        data = dumps(document).encode()
        return cls(data, media_types.OCI_MANIFEST, config, layers, annotations)

    @property
    def digest(self) -> Digest:
        """The digest of its bytes."""
        return Digest.of(self.data)

    @property
    def descriptor(self) -> Descriptor:
        """What refers to it."""
        return Descriptor(self.media_type, self.digest, len(self.data))
