"""OCI image layouts (image-spec, image-layout.md), in a directory or an archive, as a source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proa.errors import CorruptData, ImageNotFound, InvalidArgument, LimitExceeded, Unsupported
from proa.image.documents import check
from proa.image.files import read, read_document
from proa.image.view import Image, assemble
from proa.oci import media_types
from proa.oci.digest import Digest
from proa.oci.document import LARGEST_CONFIG, LARGEST_MANIFEST, Fields, parse_object
from proa.oci.index import Index
from proa.oci.manifest import Manifest
from proa.oci.platform import Platform
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from proa.image.files import Files
    from proa.oci.descriptor import Descriptor

LAYOUT = "oci-layout"
INDEX = "index.json"
NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_DEEPEST = 8
_MOST_INDEXES = 256
_ATTESTATION = "vnd.docker.reference.type"


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image that a source offers, and what it is called there."""

    image: Image
    references: tuple[Reference, ...]


def is_layout(files: Files) -> bool:
    """Whether these files are an OCI image layout."""
    return files.has(LAYOUT) and files.has(INDEX)


def images(files: Files, platform: Platform | None) -> list[SourceImage]:
    """The images of a layout: of each entry that has several platforms, the one that suits.

    `platform`: what is wanted; None: what this machine runs, or else the only one there is.
    Raises CorruptData, HostileData, LimitExceeded, ImageNotFound, Unsupported.
    """
    layout = Fields(parse_object(read_document(files, LAYOUT, LARGEST_MANIFEST), LAYOUT), LAYOUT)
    version = layout.text("imageLayoutVersion")
    if not version.startswith("1."):
        raise Unsupported(f"the archive is an OCI layout of version {version[:20]!r}, not 1")
    return _Reader(files, platform).read()


class _Reader:
    def __init__(self, files: Files, platform: Platform | None) -> None:
        self._files = files
        self._platform = platform
        self._indexes = 0

    def read(self) -> list[SourceImage]:
        data = read_document(self._files, INDEX, LARGEST_MANIFEST)
        index = Index.parse(data, what=INDEX)
        groups: dict[tuple[str, ...], list[Descriptor]] = {}
        for number, descriptor in enumerate(index.manifests):
            if _is_attachment(descriptor):
                continue
            names = _names(descriptor)
            # without a name, manifests of different platforms are one image
            key = tuple(map(str, names)) or ((str(number),) if descriptor.platform is None else ())
            groups.setdefault(key, []).append(descriptor)
        found: dict[Digest, SourceImage] = {}
        for descriptors in groups.values():
            manifest = self._choose(descriptors, ())
            image = self._image(manifest)
            names = _names(descriptors[0])
            known = found.get(image.id)
            if known is not None:
                names = tuple(dict.fromkeys((*known.references, *names)))
            found[image.id] = SourceImage(image, names)
        if not found:
            raise CorruptData("the archive has no images in its index.json")
        return list(found.values())

    def _choose(self, descriptors: list[Descriptor], path: tuple[Digest, ...]) -> Manifest:
        """The manifest that suits best, through as many indexes as it takes."""
        if len(path) > _DEEPEST:
            raise LimitExceeded("the archive's indexes are nested too deeply")
        offered: list[tuple[Platform | None, Descriptor | Manifest]] = []
        nothing: ImageNotFound | None = None
        for descriptor in descriptors:
            if _is_attachment(descriptor):
                continue
            if descriptor.media_type in media_types.MANIFESTS:
                offered.append((descriptor.platform, descriptor))
            elif descriptor.media_type in media_types.INDEXES:
                if descriptor.digest in path:
                    raise CorruptData(f"index {descriptor.digest.short} refers to itself")
                self._indexes += 1
                if self._indexes > _MOST_INDEXES:
                    raise LimitExceeded(f"the archive has more than {_MOST_INDEXES} indexes")
                inner = Index.parse(self._blob(descriptor, LARGEST_MANIFEST), descriptor.media_type)
                try:
                    manifest = self._choose(list(inner.manifests), (*path, descriptor.digest))
                except ImageNotFound as error:
                    nothing = error
                    continue
                offered.append((self._image(manifest).platform, manifest))
        if not offered:
            raise nothing or ImageNotFound(self._nothing(descriptors))
        wanted = self._platform or Platform.host()
        if len(offered) == 1 and self._platform is None:
            return self._manifest(offered[0][1])
        platforms = [
            offer if offer is not None else self._image(self._manifest(what)).platform
            for offer, what in offered
        ]
        place = wanted.choose(platforms)
        if place is None:
            names = ", ".join(sorted({str(offer) for offer in platforms}))
            raise ImageNotFound(
                f"the image has no variant for {wanted}; it has {names[:400]}; choose one of"
                " these with --platform"
            )
        return self._manifest(offered[place][1])

    def _nothing(self, descriptors: list[Descriptor]) -> str:
        kinds = ", ".join(sorted({descriptor.media_type for descriptor in descriptors}))
        return f"the archive has no container image; it has {kinds[:300] or 'nothing'}"

    def _manifest(self, found: Descriptor | Manifest) -> Manifest:
        if isinstance(found, Manifest):
            return found
        return Manifest.parse(self._blob(found, LARGEST_MANIFEST), found.media_type)

    def _image(self, manifest: Manifest) -> Image:
        config = self._blob(manifest.config, LARGEST_CONFIG)
        image = assemble(manifest, config, lambda layer: self._files.open(_path(layer.digest)))
        for layer in manifest.layers:
            size = self._files.size(_path(layer.digest))
            if size != layer.size:
                raise CorruptData(
                    f"layer {layer.digest} of image {image.id.short} has {size} bytes in the"
                    f" archive; its manifest tells of {layer.size}"
                )
        return image

    def _blob(self, descriptor: Descriptor, limit: int) -> bytes:
        data = read(self._files, _path(descriptor.digest), limit)
        if len(data) != descriptor.size:
            raise CorruptData(
                f"blob {descriptor.digest} has {len(data)} bytes in the archive instead of"
                f" {descriptor.size}"
            )
        if Digest.of(data, descriptor.digest.algorithm) != descriptor.digest:
            raise CorruptData(f"blob {descriptor.digest} in the archive does not match its digest")
        return check(data, f"blob {descriptor.digest}")


def _path(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _is_attachment(descriptor: Descriptor) -> bool:
    """Provenance and the like, which builders put beside an image's manifests."""
    return bool(descriptor.annotations and _ATTESTATION in descriptor.annotations)


def _names(descriptor: Descriptor) -> tuple[Reference, ...]:
    """What the image is called. A mere tag, as some tools write it, is no name."""
    annotations = descriptor.annotations or {}
    for annotation in NAME_ANNOTATIONS:
        text = annotations.get(annotation, "")
        if not text or (annotation == NAME_ANNOTATIONS[1] and ":" not in text and "/" not in text):
            continue
        try:
            reference = Reference.parse(text).with_default_tag()
        except InvalidArgument as error:
            raise CorruptData(f"the archive has an image with a bad name: {error}") from None
        return (reference,)
    return ()
