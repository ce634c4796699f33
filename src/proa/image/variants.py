"""Which of the manifests that a name stands for in a registry is the one to take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proa.errors import CorruptData, ImageNotFound, LimitExceeded
from proa.image.documents import check
from proa.lean.json import loads
from proa.oci import media_types
from proa.oci.index import Index
from proa.oci.manifest import Manifest
from proa.oci.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.distribution.repository import Content
    from proa.oci.descriptor import Descriptor

_DEEPEST = 4
_ATTESTATION = "vnd.docker.reference.type"


@dataclass(frozen=True, slots=True)
class Variant:
    """A manifest, and the index that it was chosen from, if there is one."""

    manifest: Manifest
    index: Index | None = None


def kind_of(content: Content) -> str:
    """The media type of a manifest: what the document says, or the registry. Raises CorruptData.

    A document that claims to be something else than its registry says may be taken for two
    different things by two programs (CVE-2021-41190).
    """
    try:
        document = loads(content.data)
    except (ValueError, RecursionError):
        document = None
    said = document.get("mediaType") if isinstance(document, dict) else None
    known = media_types.INDEXES | media_types.MANIFESTS
    if isinstance(said, str):
        if content.media_type in known and said in known and said != content.media_type:
            raise CorruptData(
                f"manifest {content.digest.short} says that it is {said!r}, its registry says"
                f" {content.media_type!r}; it was refused"
            )
        return said
    if content.media_type in known:
        return content.media_type
    if isinstance(document, dict) and "manifests" in document:
        return media_types.OCI_INDEX
    return content.media_type if "v1" in content.media_type else media_types.OCI_MANIFEST


def choose(
    content: Content, wanted: Platform | None, fetch: Callable[[Descriptor], Content], name: str
) -> Variant:
    """The variant for `wanted`, or for this machine, that `content` is or leads to.

    `fetch` gets what an index refers to. Raises ImageNotFound, CorruptData, LimitExceeded,
    Unsupported, and what `fetch` raises.
    """
    return _choose(content, wanted, fetch, name, 0)


def _choose(
    content: Content,
    wanted: Platform | None,
    fetch: Callable[[Descriptor], Content],
    name: str,
    depth: int,
) -> Variant:
    what = f"manifest {content.digest.short}"
    kind = kind_of(content)
    if kind not in media_types.INDEXES:
        known = kind if kind in media_types.MANIFESTS else ""
        manifest = Manifest.parse(content.data, known)
        check(content.data, what)
        return Variant(manifest)
    if depth >= _DEEPEST:
        raise LimitExceeded(f"the indexes of {name} are nested too deeply")
    index = Index.parse(content.data, kind)
    check(content.data, what)
    offered = [entry for entry in index.manifests if not is_attachment(entry)]
    nested = [entry for entry in offered if entry.media_type in media_types.INDEXES]
    plain = [entry for entry in offered if entry.media_type in media_types.MANIFESTS]
    platform = wanted or Platform.host()
    place = platform.choose([entry.platform for entry in plain])
    if place is None and len(plain) == 1 and not nested and wanted is None:
        place = 0
    if place is not None:
        found = _choose(fetch(plain[place]), wanted, fetch, name, depth + 1)
        return Variant(found.manifest, index)
    for entry in nested:
        try:
            found = _choose(fetch(entry), wanted, fetch, name, depth + 1)
        except ImageNotFound:
            continue
        return Variant(found.manifest, index)
    names = ", ".join(sorted({str(entry.platform) for entry in plain if entry.platform}))
    raise ImageNotFound(
        f"no matching manifest for {platform} in the manifest list entries of {name}; it has"
        f" {names[:400] or 'no image'}; choose one of these with --platform"
    )


def is_attachment(descriptor: Descriptor) -> bool:
    """Whether it is provenance or the like, which builders put beside an image's manifests."""
    annotations = descriptor.annotations or {}
    return _ATTESTATION in annotations
