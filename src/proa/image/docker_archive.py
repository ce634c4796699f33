"""What `docker save` writes, as a source: manifest.json, configs and layers.

Format: moby's image/spec, "Combined Image JSON + Filesystem Changeset Format". Current versions
of Docker write an OCI layout into the same archive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.errors import CorruptData, ImageNotFound, InvalidArgument, LimitExceeded
from proa.image import oci_layout
from proa.image.files import inside, read_document
from proa.image.oci_layout import SourceImage
from proa.image.reader import SNIFF, read_exactly
from proa.image.view import Image, Layer
from proa.lean.json import loads
from proa.oci import media_types
from proa.oci.descriptor import Descriptor
from proa.oci.document import LARGEST_CONFIG, LARGEST_MANIFEST, Fields
from proa.oci.image_config import ImageConfig
from proa.oci.platform import Platform
from proa.oci.reference import Reference
from proa.snapshot.decompress import sniff

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from proa.image.files import Files
    from proa.image.reader import BinaryReader

MANIFEST = "manifest.json"
_MOST_IMAGES = 10_000


def is_archive(files: Files) -> bool:
    """Whether these files are what `docker save` writes."""
    return files.has(MANIFEST)


def images(files: Files, platform: Platform | None) -> list[SourceImage]:
    """The images of the archive, those of `platform` only where one is given.

    Raises CorruptData, HostileData, LimitExceeded, ImageNotFound.
    """
    found = [_image(files, entry) for entry in _entries(files)]
    if platform is not None:
        wanted = [item for item in found if platform.choose([item.image.platform]) is not None]
        if not wanted:
            names = ", ".join(sorted({str(item.image.platform) for item in found}))
            raise ImageNotFound(f"the archive has no image for {platform}; it has {names[:400]}")
        found = wanted
    return found


def names(files: Files) -> dict[str, tuple[Reference, ...]]:
    """The references in manifest.json, by the path of the config."""
    found: dict[str, tuple[Reference, ...]] = {}
    for entry in _entries(files):
        path = inside(entry.text("Config"), MANIFEST)
        found[path] = (*found.get(path, ()), *_references(entry))
    return found


def _entries(files: Files) -> list[Fields]:
    data = read_document(files, MANIFEST, LARGEST_MANIFEST)
    try:
        document: Any = loads(data)
    except RecursionError:
        raise LimitExceeded(f"{MANIFEST} is nested too deeply") from None
    except ValueError as error:
        raise CorruptData(f"{MANIFEST} is not JSON: {error}") from None
    if not isinstance(document, list) or not all(isinstance(item, dict) for item in document):
        raise CorruptData(f"{MANIFEST} is not an array of objects")
    if not document:
        raise CorruptData(f"{MANIFEST} names no images")
    if len(document) > _MOST_IMAGES:
        raise LimitExceeded(f"{MANIFEST} names more than {_MOST_IMAGES} images")
    return [Fields(item, MANIFEST) for item in document]


def _image(files: Files, entry: Fields) -> SourceImage:
    path = inside(entry.text("Config"), MANIFEST)
    config = ImageConfig.parse(read_document(files, path, LARGEST_CONFIG))
    digits = path.rpartition("/")[2].removesuffix(".json")
    if len(digits) == 64 and digits != config.id.hex:
        raise CorruptData(f"the config {path[:200]} in the archive does not match its digest")
    paths = [inside(text, MANIFEST) for text in entry.texts("Layers")]
    if len(paths) != len(config.diff_ids):
        raise CorruptData(
            f"image {config.id.short} has {len(paths)} layers in {MANIFEST} and"
            f" {len(config.diff_ids)} in its config"
        )
    layers = []
    for diff_id, layer_path in zip(config.diff_ids, paths, strict=True):
        descriptor = None
        size = files.size(layer_path)
        if sniff(read_exactly(files.open(layer_path), SNIFF)) == "plain":
            # uncompressed, its blob's digest is its diff ID
            descriptor = Descriptor(media_types.OCI_LAYER, diff_id, size)
        elif (digest := files.digest(layer_path)) is not None:
            descriptor = Descriptor(media_type(files.open(layer_path)), digest, size)
        layers.append(Layer(diff_id, _opener(files, layer_path), descriptor))
    return SourceImage(Image(config, tuple(layers)), _references(entry))


def media_type(layer: BinaryReader) -> str:
    """The media type of a layer, by its first bytes."""
    kind = sniff(read_exactly(layer, SNIFF))
    types = {"gzip": media_types.OCI_LAYER_GZIP, "zstd": media_types.OCI_LAYER_ZSTD}
    return types.get(kind, media_types.OCI_LAYER)


def _references(entry: Fields) -> tuple[Reference, ...]:
    try:
        return tuple(
            Reference.parse(text).without_digest().with_default_tag()
            for text in entry.texts("RepoTags")
        )
    except InvalidArgument as error:
        raise CorruptData(f"{MANIFEST}: {error}") from None


def _opener(files: Files, path: str) -> Callable[[], BinaryReader]:
    return lambda: files.open(path)


def combined(files: Files, platform: Platform | None) -> list[SourceImage]:
    """The images of an archive that is an OCI layout as well: its manifests, all its names."""
    known = names(files)
    found = []
    for item in oci_layout.images(files, platform):
        more = known.get(f"blobs/sha256/{item.image.id.hex}", ())
        more = more or known.get(f"{item.image.id.hex}.json", ())
        found.append(SourceImage(item.image, tuple(dict.fromkeys((*item.references, *more)))))
    return found
