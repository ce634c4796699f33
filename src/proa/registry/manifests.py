"""A manifest that is pushed: checked, and what it refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.errors import CorruptData, LimitExceeded
from proa.lean.record import record
from proa.oci import media_types
from proa.oci.descriptor import Descriptor
from proa.oci.digest import Digest
from proa.oci.document import LARGEST_MANIFEST, Fields, parse_object
from proa.registry.refusals import Refused, bad_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_ANNOTATIONS = 1 << 20


@record
class Pushed:
    """A manifest that may be kept."""

    data: bytes
    digest: Digest
    media_type: str
    needed: tuple[Digest, ...]
    """blobs that must be there already"""
    subject: str | None
    artifact_type: str
    annotations: Mapping[str, str]


def check(data: bytes, content_type: str, wanted: Digest | None) -> Pushed:
    """What `data` is, sent with `content_type`, under the digest `wanted` or a tag (None).

    What an index lists may be missing: it may be sparse, or come later. Raises Refused.
    """
    if len(data) > LARGEST_MANIFEST:
        raise Refused(413, "SIZE_INVALID", f"the manifest is larger than {LARGEST_MANIFEST} bytes")
    digest = Digest.of(data, wanted.algorithm if wanted is not None else "sha256")
    if wanted is not None and digest != wanted:
        raise bad_digest(wanted, f"the manifest has the digest {digest}")
    try:
        return _parse(data, digest, content_type)
    except (CorruptData, LimitExceeded) as error:
        raise Refused(400, "MANIFEST_INVALID", str(error)) from None


def _parse(data: bytes, digest: Digest, content_type: str) -> Pushed:
    what = f"manifest {digest.short}"
    document = parse_object(data, what)
    fields = Fields(document, what)
    if fields.number("schemaVersion", 0) != 2:
        raise CorruptData(f"{what}: 'schemaVersion' is not 2")
    said = fields.text("mediaType", "")
    if said and content_type and content_type != said:
        raise CorruptData(f"{what} says that it is {said!r}, and was sent as {content_type!r}")
    is_index = "manifests" in document
    usual = media_types.OCI_INDEX if is_index else media_types.OCI_MANIFEST
    kind = said or content_type or usual
    if (kind in media_types.INDEXES) != is_index or (is_index and "layers" in document):
        raise CorruptData(f"{what} is not what its type says, {kind[:100]!r}")
    needed: list[Digest] = []
    config = None
    if is_index:
        for entry in fields.objects("manifests"):
            Descriptor.parse(entry, what)
    else:
        if fields.has("config"):
            config = Descriptor.parse(fields.object("config"), what)
            needed.append(config.digest)
        elif kind in media_types.MANIFESTS:
            raise CorruptData(f"{what} has no 'config'")
        for layer in fields.objects("layers"):
            descriptor = Descriptor.parse(layer, what)
            if not (descriptor.media_type in media_types.FOREIGN or descriptor.urls):
                needed.append(descriptor.digest)
    subject = None
    if fields.has("subject"):
        subject = str(Descriptor.parse(fields.object("subject"), what).digest)
    artifact_type = fields.text("artifactType", "")
    if not artifact_type and config is not None:
        artifact_type = config.media_type
    return Pushed(
        data,
        digest,
        kind,
        tuple(dict.fromkeys(needed)),
        subject,
        artifact_type,
        fields.strings("annotations"),
    )
