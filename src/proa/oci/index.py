"""Image indexes (image-spec, image-index.md) and Docker's manifest lists: one image, many
platforms; also the entry point of an OCI layout."""

from __future__ import annotations

from proa.errors import CorruptData, LimitExceeded
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

MOST_MANIFESTS = 10_000


@record
class Index:
    """A list of manifests."""

    data: bytes
    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] | None = None

    @classmethod
    def parse(cls, data: bytes, media_type: str = "", what: str = "") -> Self:
        """Parse and check an index; `media_type` is what its descriptor calls it.

        Raises CorruptData, LimitExceeded.
        """
        what = what or f"index {Digest.of(data).short}"
        document = parse_object(data, what)
        fields = Fields(document, what)
        if fields.number("schemaVersion", 0) != 2:
            raise CorruptData(f"{what}: 'schemaVersion' is not 2")
        kind = fields.text("mediaType", media_type or media_types.OCI_INDEX)
        if kind not in media_types.INDEXES or "config" in document or "layers" in document:
            raise CorruptData(f"{what} has the media type {kind[:100]!r}: not an image index")
        entries = fields.objects("manifests")
        if len(entries) > MOST_MANIFESTS:
            raise LimitExceeded(f"{what} has {len(entries)} manifests; at most {MOST_MANIFESTS}")
        manifests = tuple(Descriptor.parse(entry, what) for entry in entries)
        return cls(data, kind, manifests, fields.strings("annotations") or None)

    @classmethod
    def build(cls, manifests: tuple[Descriptor, ...]) -> Self:
        """A new OCI index."""
        data = dumps(
            {
                "schemaVersion": 2,
                "mediaType": media_types.OCI_INDEX,
                "manifests": [manifest.to_json() for manifest in manifests],
            }
        ).encode()
        return cls(data, media_types.OCI_INDEX, manifests)

    @property
    def digest(self) -> Digest:
        """The digest of its bytes."""
        return Digest.of(self.data)
