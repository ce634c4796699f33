"""Descriptors: references to content by digest, size and type (image-spec, descriptor.md)."""

from __future__ import annotations

from proa.errors import CorruptData
from proa.lean.record import record
from proa.oci.digest import Digest
from proa.oci.document import Fields
from proa.oci.platform import Platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

_LONGEST_TYPE = 255


@record
class Descriptor:
    """What content to expect where."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] | None = None
    urls: tuple[str, ...] = ()
    artifact_type: str = ""

    @classmethod
    def parse(cls, data: Mapping[str, Any], what: str) -> Self:
        """A descriptor found in the document `what`. Raises CorruptData."""
        fields = Fields(data, f"{what}: a descriptor")
        media_type = fields.text("mediaType")
        if not 0 < len(media_type) <= _LONGEST_TYPE or not media_type.isascii():
            raise CorruptData(f"{what}: {media_type[:100]!r} is not a media type")
        platform = None
        if fields.has("platform"):
            platform = _platform(fields.object("platform"), what)
        return cls(
            media_type=media_type,
            digest=fields.digest("digest"),
            size=fields.number("size"),
            platform=platform,
            annotations=fields.strings("annotations") or None,
            urls=fields.texts("urls"),
            artifact_type=fields.text("artifactType", ""),
        )

    def to_json(self) -> dict[str, Any]:
        """As it stands in a manifest or an index."""
        data: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.urls:
            data["urls"] = list(self.urls)
        if self.annotations:
            data["annotations"] = dict(self.annotations)
        if self.platform is not None:
            platform = {"architecture": self.platform.architecture, "os": self.platform.os}
            if self.platform.os_version:
                platform["os.version"] = self.platform.os_version
            if self.platform.variant:
                platform["variant"] = self.platform.variant
            data["platform"] = platform
        if self.artifact_type:
            data["artifactType"] = self.artifact_type
        return data


def _platform(data: Mapping[str, Any], what: str) -> Platform:
    fields = Fields(data, f"{what}: a platform")
    return Platform(
        os=fields.text("os", ""),
        architecture=fields.text("architecture", ""),
        variant=fields.text("variant", ""),
        os_version=fields.text("os.version", ""),
    )
